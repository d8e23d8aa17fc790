"""Changed tables and reports are told, and rows of several makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dae_cli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended
    from tests.commands.verify.conftest import Tiny

    Dae = Callable[..., Ended]


# table.csv and REPORT.md


def test_a_cell_of_table_csv_that_was_changed_is_told(tiny: Tiny, done: Path) -> None:
    row = tiny.row("rect-0")
    tiny.edit(done / "table.csv", f",{row.n_wrong},", ",1,")
    assert tiny.differences() == {("table.csv", "rect-0: n_wrong", "1", str(row.n_wrong))}


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n", "\r\n"), ("\nrect-25", "\n\nrect-25"), ("cell,", "cells,"), (",rect,", ", rect,")],
)
def test_any_other_byte_of_table_csv_is_told(tiny: Tiny, done: Path, old: str, new: str) -> None:
    path = done / "table.csv"
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    (place,) = {place for place, *_ in tiny.differences()}
    assert place == "table.csv"


def test_a_missing_table_or_report_is_told(tiny: Tiny, done: Path) -> None:
    (done / "table.csv").unlink()
    (done / "REPORT.md").unlink()
    assert set(tiny.reasons()) == {"table.csv", "REPORT.md"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("| rect | 25 %", "| rect | 26 %", "Ours and the paper's, line 4"),
        (" of 400 |", " of 401 |", "Every run, line 3"),
        ("| rect | original |", "| rect | regenerated |", "Data, line 3"),
        ("learning_rate: 0.1", "learning_rate: 0.2", "Settings, line 5"),
        ("## Data\n", "## Date\n", "Data, line 1 and 2 more"),
        ("; 2 runs, ", "; 3 runs, ", "commits and minutes"),
    ],
)
def test_any_fact_of_the_report_that_was_changed_is_told(
    tiny: Tiny, done: Path, old: str, new: str, what: str
) -> None:
    tiny.edit(done / "REPORT.md", old, new)
    ((place, told, recorded, recomputed),) = tiny.differences()
    assert (place, told) == ("REPORT.md", what)
    assert recorded != recomputed


def test_a_line_added_to_the_table_of_the_report_is_told(tiny: Tiny, done: Path) -> None:
    tiny.edit(
        done / "REPORT.md",
        "\n\nIntervals are",
        "\n| rect | 99 % | x | x | x | x | x |\n\nIntervals are",
    )
    ((_, what, recorded, recomputed),) = tiny.differences()
    assert (what, recomputed) == ("Ours and the paper's, line 5", "–")
    assert recorded.startswith("| rect | 99 %")


def test_a_warning_that_rows_do_not_deserve_is_told(tiny: Tiny, done: Path) -> None:
    warning = "**These rows are not of one make**: engines blas, torch."
    tiny.edit(done / "REPORT.md", "\n\nIntervals are", f"\n\n{warning}\n\nIntervals are")
    assert tiny.differences() == {("REPORT.md", "rows of several makes", warning, "–")}


@pytest.mark.parametrize("commit", ["0123456789ab", "0123456789ab-dirty"])
def test_a_commit_that_the_report_does_not_name_is_told(
    tiny: Tiny, dae: Dae, done: Path, commit: str
) -> None:
    # Both runs were made at a commit, and the tables say so: the report does not.
    for folder in tiny.runs():
        tiny.edit_json(folder / "environment.json", "commit", value=commit)
    report = (done / "REPORT.md").read_text()
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    assert dae("verify", "tiny").code == 0
    (done / "REPORT.md").write_text(report)
    ((place, what, _, recomputed), *_) = sorted(
        tiny.differences(), key=lambda d: d[1] != "commits and minutes"
    )
    assert (place, what) == ("REPORT.md", "commits and minutes")
    assert f"at commit {commit}" in recomputed
    assert ("**with changes that were not committed**" in recomputed) == commit.endswith("-dirty")


# report.html


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" of 400</td>", " of 401</td>"),
        ("<small>original data</small>", "<small>regenerated data</small>"),
        ("no reference</span>", "better</span>"),
        ("</footer>", "</footer><p>More.</p>"),
    ],
)
def test_any_fact_of_the_page_that_was_changed_is_told(
    tiny: Tiny, done: Path, old: str, new: str
) -> None:
    tiny.edit(done / "report.html", old, new)
    ((place, what, recorded, recomputed),) = tiny.differences()
    assert (place, what.partition(" ")[0]) == ("report.html", "line")
    assert old not in recorded.replace(new, "")
    assert old in recomputed


def test_a_page_that_is_not_there_is_told_with_the_command_that_writes_it(
    tiny: Tiny, dae: Dae, done: Path
) -> None:
    page = (done / "report.html").read_bytes()
    (done / "report.html").unlink()
    (reason,) = tiny.reasons().values()
    assert reason.startswith("is not written yet; dae replicate tiny writes it")
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    assert len((done / "report.html").read_bytes()) == pytest.approx(len(page), abs=100)
    assert tiny.found(0)["agrees"]


# Rows of several makes


@pytest.mark.parametrize(("key", "value"), [("engine", "compiled"), ("device", "NVIDIA H100")])
def test_rows_of_several_engines_or_devices_are_told(
    tiny: Tiny, dae: Dae, key: str, value: str
) -> None:
    tiny.edit_json(tiny.runs()[1] / "environment.json", key, value=value)
    assert dae("replicate", "tiny", "--jobs", "1", "--device", "auto").code == 0
    told = tiny.differences()
    first = json.loads((tiny.runs()[0] / "environment.json").read_text())[key]
    assert ("runs.csv", f"{key}s", f"{first}, {value}", "one for the whole table") in told


def test_how_it_was_counted_is_told_where_it_was_not_as_the_run_was_made(
    tiny: Tiny, dae: Dae, done: Path
) -> None:
    row = tiny.row()
    folder = done / "runs" / row.run
    tiny.edit_json(folder / "environment.json", "device", value="NVIDIA H100")
    tiny.edit_json(folder / "status.json", "result", "n_wrong", value=1)
    assert dae("replicate", "tiny", "--jobs", "1", "--device", "auto").code == 0
    counted = f"{row.n_wrong} (counted with torch on cpu)"
    assert ("runs.csv", f"{row.run}: n_wrong", "1", counted) in tiny.differences()


def test_data_that_cannot_be_had_are_asked_for_once_and_hide_nothing(
    tiny: Tiny, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def none(folder: Path, *_: object) -> None:
        asked.append(folder)
        raise DataError("rect: gone")

    monkeypatch.setattr("dae_cli.study.verify.run.recorded_data", none)
    tiny.edit(done / "table.csv", "rect-25,", "rect-26,")
    result = tiny.found()
    assert tiny.reasons(result) == {f"runs/{folder.name}": "rect: gone" for folder in tiny.runs()}
    assert (result["recomputed"], len(asked)) == (0, 1)
    assert {place for place, *_ in tiny.differences(result)} == {"table.csv"}
