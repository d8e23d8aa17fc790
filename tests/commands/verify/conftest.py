"""A finished study to tamper with, and what `dae verify` finds in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dae_cli.study.rows import RunRow, read_rows

if TYPE_CHECKING:
    from tests.commands.conftest import Ended


class Tiny:
    """The results of `dae replicate tiny`, in a folder of their own."""

    def __init__(self, dae: Callable[..., Ended], done: Path) -> None:
        self._dae = dae
        self.done = done

    def runs(self) -> list[Path]:
        """The run folders, rect-0 (SAA) first."""
        return sorted((self.done / "runs").iterdir())

    def row(self, cell: str = "rect-25") -> RunRow:
        """The row of a cell in runs.csv."""
        rows = read_rows(self.done / "runs.csv", RunRow)
        return next(row for row in rows if row.cell == cell)

    def edit(self, path: Path, old: str, new: str) -> None:
        """Replace the first place of a text."""
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def edit_json(self, path: Path, *keys: str, value: object) -> None:
        """Replace a value of a record."""
        record = json.loads(path.read_text(encoding="utf-8"))
        inner = record
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps(record), encoding="utf-8")

    def found(self, code: int = 1, *options: str) -> dict[str, Any]:
        """What `dae verify` tells as JSON."""
        ended = self._dae("verify", "tiny", "--format", "json", *options)
        assert ended.code == code, ended.err
        assert "Traceback" not in ended.err
        result: dict[str, Any] = json.loads(ended.out)
        return result

    def differences(self, result: dict[str, Any] | None = None) -> set[tuple[str, str, str, str]]:
        """Place, what, recorded and recomputed value of each difference."""
        keys = ("place", "what", "recorded", "recomputed")
        found = self.found() if result is None else result
        return {tuple(d[key] for key in keys) for d in found["differences"]}

    def reasons(self, result: dict[str, Any] | None = None) -> dict[str, str]:
        """By place, why something could not be checked."""
        found = self.found() if result is None else result
        return {problem["place"]: problem["reason"] for problem in found["unchecked"]}


@pytest.fixture
def tiny(dae: Callable[..., Ended], done: Path) -> Tiny:
    """Finished results that a test may damage."""
    return Tiny(dae, done)
