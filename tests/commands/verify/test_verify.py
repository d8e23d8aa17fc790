"""`dae verify`: results that agree, what is no results, and how it is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended
    from tests.commands.verify.conftest import Tiny

    Dae = Callable[..., Ended]


# Agreement


def test_results_that_were_not_touched_agree(tiny: Tiny, dae: Dae, done: Path) -> None:
    before = {p: p.read_bytes() for p in done.rglob("*") if p.is_file()}
    ended = dae("verify", "tiny")
    assert (ended.code, ended.lines) == (0, ["2 runs recomputed, 0 differences"])
    for folder in tiny.runs():
        assert f"{folder.name}: agrees\n" in ended.err
    assert tiny.found(0) == {
        "runs": 2,
        "recomputed": 2,
        "differences": [],
        "unchecked": [],
        "agrees": True,
    }
    assert dae("verify", "tiny", "--quiet") == (0, "", "")
    assert {p: p.read_bytes() for p in done.rglob("*") if p.is_file()} == before


def test_results_elsewhere_are_found_with_out(dae: Dae, done: Path, tmp_path: Path) -> None:
    done.rename(tmp_path / "moved")
    assert dae("verify", "tiny", "--out", "moved").code == 0
    ended = dae("verify", "tiny")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "results/tiny/runs.csv: there are no results of tiny here; make them with "
        "dae replicate tiny, or say where they are with --out\n"
    )


def test_results_of_changed_settings_agree_with_the_same_set(
    tiny: Tiny, dae: Dae, tmp_path: Path
) -> None:
    setting = ("--set", "pretrain.epochs=1")
    assert dae("replicate", "tiny", "--jobs", "1", *setting).code == 0
    assert dae("verify", "tiny", *setting).code == 0
    (folder,) = (tmp_path / "results").glob("tiny-*")
    result = tiny.found(1, "--out", str(folder))
    assert {
        (what, recorded, now)
        for place, what, recorded, now in tiny.differences(result)
        if place.endswith("config.yaml")
    } == {("pretrain.epochs", "1", "2")}


def test_several_seeds_agree(dae: Dae) -> None:
    assert dae("replicate", "tiny", "--jobs", "1", "--seeds", "3").code == 0
    assert dae("verify", "tiny").lines == ["6 runs recomputed, 0 differences"]


def test_a_study_of_which_a_part_was_run_agrees_and_the_rest_is_told(dae: Dae) -> None:
    assert dae("replicate", "tiny", "--only", "rect-25").code == 0
    ended = dae("verify", "tiny")
    assert (ended.code, ended.lines) == (0, ["1 run recomputed, 0 differences"])
    assert "rect-0: no run of it in runs.csv\n" in ended.err


# What is no results


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its columns are not those that dae writes"),
        (b"a,b\n", "its columns are not those that dae writes"),
        (b"\xff\xfe", "runs.csv: cannot be read ("),
    ],
)
def test_a_runs_csv_that_cannot_be_read_is_exit_code_2(
    dae: Dae, done: Path, content: bytes, words: str
) -> None:
    (done / "runs.csv").write_bytes(content)
    ended = dae("verify", "tiny")
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_a_runs_csv_without_rows_is_exit_code_2(dae: Dae, done: Path) -> None:
    header = (done / "runs.csv").read_text().splitlines()[0]
    (done / "runs.csv").write_text(header + "\n")
    assert dae("verify", "tiny").err == (
        "results/tiny/runs.csv: holds no run; make them with dae replicate tiny\n"
    )


def test_the_table_shows_place_and_both_values_in_columns(tiny: Tiny, dae: Dae, done: Path) -> None:
    row = tiny.row("rect-0")
    tiny.edit(done / "table.csv", f",{row.n_wrong},", ",\x1b[1m1,")
    ended = dae("verify", "tiny", "--quiet")
    assert (ended.code, ended.err) == (1, "")
    assert [line.split() for line in ended.lines] == [
        ["file", "what", "recorded", "recomputed"],
        ["table.csv", "rect-0:", "n_wrong", "�[1m1", str(row.n_wrong)],
    ]
