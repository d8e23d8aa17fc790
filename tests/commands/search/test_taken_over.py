"""A search whose storage is gone, as after a clone, goes on from search.csv."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dae_cli.search.storage import open_storage
from dae_cli.study.tables.trial_rows import TrialRow, read_csv, to_csv
from tests.commands.conftest import Ended
from tests.commands.search.conftest import TRIALS

Dae = Callable[..., Ended]


def test_a_search_goes_on_from_search_csv_where_the_storage_is_gone(
    dae: Dae, tmp_path: Path, searched: Path
) -> None:
    before = (searched / "search.csv").read_bytes()
    rows = read_csv(searched / "search.csv")
    shutil.rmtree(searched / "search")
    ended = dae("search", "tiny", "--trials", str(TRIALS), "--jobs", "1")
    assert ended.code == 0, ended.err
    assert "trials taken over into the storage: rect-0 4, rect-25 4" in ended.err
    assert (searched / "search.csv").read_bytes() == before

    ended = dae("search", "tiny", "--trials", str(TRIALS + 1), "--jobs", "1")
    assert "taken over" not in ended.err
    more = read_csv(searched / "search.csv")
    assert [row for row in more if row.trial <= TRIALS] == rows
    assert [(row.cell, row.trial) for row in more if row.trial > TRIALS] == [
        ("rect-0", TRIALS + 1),
        ("rect-25", TRIALS + 1),
    ]
    fifth = next(row for row in more if row.trial > TRIALS)

    # The settings are those of a search that never lost its storage.
    words = ("search", "tiny", "--only", "rect-0", "--trials", str(TRIALS + 1), "--jobs", "1")
    whole = dae(*words, "--out", "whole")
    assert whole.code == 0, whole.err
    last = read_csv(tmp_path / "whole" / "search.csv")[-1]
    assert (last.trial, last.settings) == (fifth.trial, fifth.settings)


def test_a_trial_that_is_not_in_search_csv_keeps_its_number_free_and_counts_for_nothing(
    dae: Dae, searched: Path
) -> None:
    rows = [row for row in read_csv(searched / "search.csv") if row.cell == "rect-0"]
    kept = [row for row in rows if row.trial != 2]
    (searched / "search.csv").write_text(to_csv(kept))
    shutil.rmtree(searched / "search")
    ended = dae("search", "tiny", "--only", "rect-0", "--trials", str(TRIALS), "--jobs", "1")
    assert ended.code == 0, ended.err
    numbers = [row.trial for row in read_csv(searched / "search.csv")]
    assert numbers == [1, 3, 4, 5]


ONE = ("search", "tiny", "--only", "rect-0", "--jobs", "1")


def test_a_search_over_fine_steps_goes_on_where_the_storage_is_gone(
    dae: Dae, tmp_path: Path
) -> None:
    study, results = tmp_path / "experiments/tiny/study.yaml", tmp_path / "results/tiny"
    stepped = "finetune.learning_rate: {low: 0.1, high: 0.5, step: 0.00125}"
    log = "finetune.learning_rate: {low: 0.1, high: 2.0, log: true}"
    study.write_text(study.read_text().replace(log, stepped))
    assert dae(*ONE, "--trials", "3").code == 0
    before = (results / "search.csv").read_bytes()
    shutil.rmtree(results / "search")
    open_storage.cache_clear()  # as another process would begin
    ended = dae(*ONE, "--trials", "3")
    assert ended.code == 0, ended.err
    assert "trials taken over into the storage: rect-0 3" in ended.err
    assert (results / "search.csv").read_bytes() == before


def _of_rect_0(folder: Path) -> list[TrialRow]:
    return [row for row in read_csv(folder / "search.csv") if row.cell == "rect-0"]


def test_trials_that_came_from_another_machine_since_are_not_lost(
    dae: Dae, tmp_path: Path, searched: Path
) -> None:
    # Another machine goes on from the committed rows; this one gets its search.csv by a pull.
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(searched / "search.csv", other)
    assert dae(*ONE, "--trials", str(TRIALS + 2), "--out", str(other)).code == 0
    shutil.copy(other / "search.csv", searched)
    ended = dae(*ONE, "--trials", str(TRIALS + 2))
    assert ended.code == 0, ended.err
    assert "trials taken over into the storage: rect-0 2" in ended.err
    assert _of_rect_0(searched) == _of_rect_0(other)


def test_a_trial_whose_number_another_one_has_becomes_the_last(dae: Dae, searched: Path) -> None:
    rows = _of_rect_0(searched)
    # As if another machine had drawn other settings at number 2: those of a rate between two.
    rate = "finetune.learning_rate"
    other = replace(rows[1], settings={**rows[1].settings, rate: "0.123"}, minutes=7.0)
    (searched / "search.csv").write_text(to_csv([rows[0], other, *rows[2:]]))
    ended = dae(*ONE, "--trials", str(TRIALS + 1))
    assert ended.code == 0, ended.err
    assert _of_rect_0(searched) == [*rows, replace(other, trial=TRIALS + 1)]


def test_a_line_that_occurs_twice_is_one_trial(dae: Dae, searched: Path) -> None:
    rows = _of_rect_0(searched)
    (searched / "search.csv").write_text(to_csv([*rows, rows[-1]]))
    shutil.rmtree(searched / "search")
    assert dae(*ONE, "--trials", str(TRIALS)).code == 0
    assert _of_rect_0(searched) == rows


def test_a_line_that_is_not_of_the_space_is_refused_and_stays(dae: Dae, searched: Path) -> None:
    rows = _of_rect_0(searched)
    edited = replace(rows[1], settings={**rows[1].settings, "finetune.learning_rate": "99.0"})
    (searched / "search.csv").write_text(to_csv([rows[0], edited, *rows[2:]]))
    shutil.rmtree(searched / "search")
    ended = dae(*ONE, "--trials", str(TRIALS))
    assert ended.code == 2
    assert "search.csv: trial 2 of rect-0 (" in ended.err
    assert "finetune.learning_rate=99.0" in ended.err
    assert "is not of the space of its search" in ended.err
    assert _of_rect_0(searched)[1] == edited
