"""The values that each cell's settings were selected from, as REPORT.md tells them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.study.report.selection import (
    Trials,
    selection_markdown,
    trials_of,
    tried_values_markdown,
)
from dae_cli.study.tables.trial_rows import TrialRow, TrialState, to_csv


def _trial(
    number: int,
    wrong: int,
    state: TrialState = "complete",
    cell: str = "rect-sda-3",
    **settings: str,
) -> TrialRow:
    keys = {key.replace("__", "."): settings[key] for key in sorted(settings)}
    return TrialRow(
        *(cell, "0123456789ab", number, "random" if number == 3 else "tpe", 0, state),
        valid_error_percent=wrong / 20,
        valid_wrong=wrong,
        minutes=15.0 * number,
        settings=keys,
    )


def _told(trials: Sequence[TrialRow]) -> list[str]:
    return tried_values_markdown(trials).splitlines()[2:]


def test_the_trials_of_each_cell_are_counted_beside_those_of_earlier_searches(
    tmp_path: Path,
) -> None:
    trials = [_trial(1, 9, cell="a"), _trial(2, 9, "pruned", "a"), _trial(3, 9, "failed", "a")]
    before = [_trial(1, 9, cell="b"), _trial(1, 9, cell="c"), _trial(2, 9, cell="b")]
    (tmp_path / "search.csv").write_text(to_csv([*trials, _trial(4, 9, cell="b")]))
    (tmp_path / "search_earlier.csv").write_text(to_csv(before))
    assert selection_markdown(trials_of(tmp_path)).splitlines()[2:] == [
        "| a | tpe random | 3 | 1 | 1 | 1 | 90 | 0 | 0 |",
        "| b | tpe | 1 | 1 | 0 | 0 | 60 | 2 | 45 |",
        "| c |  | 0 | 0 | 0 | 0 | 0 | 1 | 15 |",
        "| all | tpe random | 4 | 2 | 1 | 1 | 150 | 3 | 60 |",
    ]


def test_without_trials_nothing_is_told_and_a_damaged_file_is(tmp_path: Path) -> None:
    assert trials_of(tmp_path) == Trials([], [])
    assert selection_markdown(Trials()) == ""
    for content in (b"", b"\xff\xfe,\n1", b"a,b\n1,2,3\n", b"cell,minutes\nx,1\n"):
        (tmp_path / "search.csv").write_bytes(content)
        told = selection_markdown(trials_of(tmp_path))
        assert told.startswith("Not told: search.csv") and "\n" not in told
    (tmp_path / "search.csv").write_text(to_csv([_trial(1, 9)]).replace(",15.0,", ",nan,"))
    assert selection_markdown(trials_of(tmp_path)) == (
        "Not told: search.csv:2: minutes is nan, expected a number of 0 or more; move the file away"
    )


def test_each_value_is_named_once_by_size_and_the_selected_one_is_bold() -> None:
    trials = [
        _trial(1, 50, pretrain__epochs="300", finetune__learning_rate="0.1"),
        _trial(2, 46, pretrain__epochs="40", finetune__learning_rate="0.1"),
        _trial(3, 48, pretrain__epochs="300", finetune__learning_rate="0.1"),
    ]
    assert _told(trials) == [
        "| rect-sda-3 | 2.30 | `finetune.learning_rate` **0.1**; `pretrain.epochs` **40**, 300 |"
    ]


def test_a_pruned_trial_counts_as_tried_but_is_not_selected() -> None:
    trials = [_trial(1, 50, units="500"), _trial(2, 40, "pruned", units="1000")]
    assert _told(trials) == ["| rect-sda-3 | 2.50 | `units` **500**, 1000 |"]


def test_words_are_told_as_written_and_many_numbers_by_their_ends() -> None:
    trials = [
        _trial(n, 60 - n, units=str(100 * n), loss="squared" if n % 2 else "cross-entropy")
        for n in range(1, 13)
    ]
    assert _told(trials) == [
        "| rect-sda-3 | 2.40 | `loss` **cross-entropy**, squared; `units` 100 to 1200, **1200** |"
    ]


def test_without_a_completed_trial_nothing_is_told() -> None:
    assert tried_values_markdown([]) == ""
    assert tried_values_markdown([_trial(1, 50, "pruned", units="500")]) == ""
