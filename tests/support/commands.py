"""`dae` in this process: quick, and true enough where no signal, lock or disk is at stake."""

from __future__ import annotations

import csv
import functools
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from typer import testing

DEFAULTS = {
    "train": {"--engine": "torch"},
    "replicate": {"--engine": "torch", "--jobs": "1"},
    "search": {"--engine": "torch", "--jobs": "1"},
}
"""Options that tests give unless they say otherwise: the same numbers everywhere, one process."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Standard output as CSV, by column."""
        return list(csv.DictReader(io.StringIO(self.out), strict=True))

    @property
    def message(self) -> str:
        """Standard error on one line, so that it does not matter where lines were wrapped."""
        return " ".join(self.err.split())

    def succeeded(self) -> Ended:
        """Hold it to exit code 0."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}"
        return self

    def failed(self, code: int, *parts: str) -> Ended:
        """Hold it to an exit code and to parts of its message: place, value, remedy."""
        assert self.code == code, f"exit code {self.code}\n{self.err}"
        assert "Traceback" not in self.err, self.err
        message = self.message
        for part in parts:
            assert part in message, f"no {part!r} in:\n{self.err}"
        return self


def with_defaults(words: tuple[str | Path, ...]) -> list[str]:
    """Return the words of a command with the options that tests give by default."""
    given = [str(word) for word in words]
    if not given or {"-h", "--help"} & set(given):
        return given
    short = {"--jobs": "-j"}
    for option, value in DEFAULTS.get(given[0], {}).items():
        names = (option, short.get(option, option))
        named = any(word in names or word.startswith(f"{option}=") for word in given)
        if not named and not (option == "--jobs" and "--scheduler" in given):
            given += [option, value]
    return given


# Typer would build all commands anew each time, from their signatures.
testing._get_command = functools.cache(testing._get_command)  # type: ignore[attr-defined]


def dae(*words: str | Path) -> Ended:
    """Run a command in this process, its streams being pipes: `dae("train", "tiny/rect-0")`."""
    from tests.entry_points.cli import app
    from tests.entry_points.once import read_and_draw_once

    read_and_draw_once()
    result = testing.CliRunner().invoke(app, with_defaults(words), prog_name="dae")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
