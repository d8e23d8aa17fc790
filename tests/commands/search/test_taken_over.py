"""A search whose storage is gone, as after a clone, goes on from search.csv."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dae_cli.study.trial_rows import read_csv, to_csv
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
