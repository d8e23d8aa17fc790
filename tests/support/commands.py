"""`dae` in this process: quick, and sufficient if no signal, lock or full disk is involved."""

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
"""Default options of tests, for the same numbers everywhere and a single process."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of standard output."""
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
        """Standard error on one line, so that wrapped lines do not matter."""
        return " ".join(self.err.split())

    def succeeded(self) -> Ended:
        """Check that the exit code is 0."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}"
        return self

    def failed(self, code: int, *parts: str) -> Ended:
        """Check the exit code and parts of the message: place, value, remedy."""
        assert self.code == code, f"exit code {self.code}\n{self.err}"
        assert "Traceback" not in self.err, self.err
        message = self.message
        for part in parts:
            assert part in message, f"no {part!r} in:\n{self.err}"
        return self


def with_defaults(words: tuple[str | Path, ...]) -> list[str]:
    """Return the words of a command with the default options of tests."""
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


# Otherwise Typer would rebuild all commands from their signatures each time.
testing._get_command = functools.cache(testing._get_command)  # type: ignore[attr-defined]


def dae(*words: str | Path) -> Ended:
    """Run a command in this process, with pipes as streams: `dae("train", "tiny/rect-0")`."""
    from tests.entry_points.cli import app
    from tests.entry_points.once import read_and_draw_once

    read_and_draw_once()
    result = testing.CliRunner().invoke(app, with_defaults(words), prog_name="dae")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
