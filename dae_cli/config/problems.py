"""Problems with a configuration, gathered first and told in one message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dae_cli.errors import ConfigError, shown

_WIDEST_COLUMN = 48
"""Wider left columns go on a line of their own, so that the message fits a terminal."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong: `where` it stands (file:line and value, or --set), and the plain words."""

    where: str
    text: str


def config_error(title: str, problems: Sequence[Problem]) -> ConfigError:
    """All problems with `title` in one error, aligned in two columns; equal ones stand once."""
    unique = list(dict.fromkeys(problems))
    count = "1 problem" if len(unique) == 1 else f"{len(unique)} problems"
    width = max((len(problem.where) for problem in unique), default=0)
    lines = [f"{count} with {shown(title)}:"]
    for problem in unique:
        first, *rest = problem.text.splitlines() or [""]
        if width <= _WIDEST_COLUMN:
            lines.append(f"  {problem.where:<{width}}   {first}")
        else:
            lines += [f"  {problem.where}", f"      {first}"]
        lines += [f"      {line}" for line in rest]
    return ConfigError("\n".join(lines))


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """'; did you mean X?' for the known words nearest to `word`, or '' when none is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f"; did you mean {shown(prefix + by_folded[near[0]])}?" if near else ""
