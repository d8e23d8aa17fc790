"""The values that each cell's settings were selected from, as REPORT.md tells them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.study.report.selection import tried_values_markdown
from dae_cli.study.tables.trial_rows import TrialRow, to_csv


def _trial(number: int, wrong: int, state: str = "complete", **settings: str) -> TrialRow:
    keys = {key.replace("__", "."): value for key, value in settings.items()}
    return TrialRow(
        *("rect-sda-3", "0123456789ab", number, "tpe", 0, state),  # type: ignore[arg-type]
        valid_error_percent=wrong / 20,
        valid_wrong=wrong,
        settings=keys,
    )


def _told(out: Path, trials: Sequence[TrialRow]) -> list[str]:
    (out / "search.csv").write_text(to_csv(trials), encoding="utf-8")
    return tried_values_markdown(out).splitlines()[2:]


def test_each_value_is_named_once_by_size_and_the_selected_one_is_bold(tmp_path: Path) -> None:
    trials = [
        _trial(1, 50, pretrain__epochs="300", finetune__learning_rate="0.1"),
        _trial(2, 46, pretrain__epochs="40", finetune__learning_rate="0.1"),
        _trial(3, 48, pretrain__epochs="300", finetune__learning_rate="0.1"),
    ]
    assert _told(tmp_path, trials) == [
        "| rect-sda-3 | 2.30 | `finetune.learning_rate` **0.1**; `pretrain.epochs` **40**, 300 |"
    ]


def test_a_pruned_trial_counts_as_tried_but_is_not_selected(tmp_path: Path) -> None:
    trials = [_trial(1, 50, units="500"), _trial(2, 40, "pruned", units="1000")]
    assert _told(tmp_path, trials) == ["| rect-sda-3 | 2.50 | `units` **500**, 1000 |"]


def test_words_are_told_as_written_and_many_numbers_by_their_ends(tmp_path: Path) -> None:
    trials = [
        _trial(n, 60 - n, units=str(100 * n), loss="squared" if n % 2 else "cross-entropy")
        for n in range(1, 13)
    ]
    assert _told(tmp_path, trials) == [
        "| rect-sda-3 | 2.40 | `loss` **cross-entropy**, squared; `units` 100 to 1200, **1200** |"
    ]


def test_without_a_completed_trial_or_a_readable_file_nothing_is_told(tmp_path: Path) -> None:
    assert tried_values_markdown(tmp_path) == ""
    assert _told(tmp_path, [_trial(1, 50, "pruned", units="500")]) == []
    (tmp_path / "search.csv").write_bytes(b"cell,minutes\nx,1\n")
    assert tried_values_markdown(tmp_path) == ""
