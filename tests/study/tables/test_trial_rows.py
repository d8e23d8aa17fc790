"""The rows of search.csv, their digest, and which of them is selected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dae_cli.config.domains import Choices, Domain, Range
from dae_cli.errors import RunFolderError
from dae_cli.study.tables.trial_rows import (
    TrialRow,
    as_text,
    best,
    digest_of,
    from_text,
    read_csv,
    tally,
    to_csv,
)

ROW = TrialRow(
    cell="convex-25",
    search="0123456789ab",
    trial=1,
    sampler="tpe",
    sampler_seed=3,
    state="complete",
    valid_error_percent=14.95,
    valid_wrong=299,
    n_valid=2000,
    best_epoch=30,
    epochs=50,
    weights=1000,
    minutes=3.2,
    seed=0,
    settings={"layers": "3", "pretrain.learning_rate": "1.0e-05"},
)
PRUNED = replace(ROW, trial=2, state="pruned", valid_wrong=100, valid_error_percent=5.0)
FAILED = replace(
    ROW, trial=3, state="failed", valid_wrong=None, valid_error_percent=None, error='a "word", b'
)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    other = replace(ROW, cell="rect-0", settings={"units": "500"})
    rows = [ROW, PRUNED, FAILED, other]
    path = tmp_path / "search.csv"
    path.write_text(to_csv(rows))
    assert read_csv(path) == rows
    assert read_csv(tmp_path / "none.csv") == []


def test_the_digest_of_a_cell_does_not_depend_on_the_rest_of_the_file(tmp_path: Path) -> None:
    other = replace(ROW, cell="rect-0", settings={"units": "500"})
    path = tmp_path / "search.csv"
    path.write_text(to_csv([other, PRUNED, ROW]))
    again = [row for row in read_csv(path) if row.cell == ROW.cell]
    assert digest_of(again) == digest_of([ROW, PRUNED])
    assert digest_of([ROW, replace(PRUNED, epochs=51)]) != digest_of([ROW, PRUNED])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("cell,", "sell,"), "its columns are not those that dae writes"),
        (("convex-25,", "convex-25,,"), "search.csv:2: 26 values found, 25 expected"),
        ((",299,", ",many,"), "search.csv:2: valid_wrong is 'many', expected a number"),
        (("complete", "finished"), "search.csv:2: state is 'finished'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, change: tuple[str, str], text: str) -> None:
    path = tmp_path / "search.csv"
    path.write_text(to_csv([ROW]).replace(*change, 1))
    with pytest.raises(RunFolderError) as caught:
        read_csv(path)
    assert text in str(caught.value)


def test_values_come_back_from_their_text() -> None:
    space: dict[str, Domain] = {
        "layers": Range(1, 3),
        "model.tied": Choices((True, False)),
        "pretrain.learning_rate": Range(1e-6, 0.1, log=True),
    }
    values = {"layers": 2, "model.tied": False, "pretrain.learning_rate": 2e-05}
    text = as_text(values)
    assert text == {"layers": "2", "model.tied": "false", "pretrain.learning_rate": "2.0e-05"}
    assert from_text(space, text) == values
    assert from_text(space, {**text, "layers": "4"}) is None
    assert from_text(space, {"layers": "2"}) is None


def test_ties_are_broken_by_weights_then_epochs_then_number() -> None:
    later = replace(ROW, trial=4)
    assert best([later, ROW]) == ROW
    quicker = replace(later, epochs=49)
    assert best([ROW, quicker]) == quicker
    smaller = replace(later, weights=999, epochs=90)
    assert best([ROW, quicker, smaller]) == smaller
    better = replace(later, valid_wrong=298, weights=10**6)
    assert best([ROW, quicker, smaller, better]) == better


def test_a_pruned_trial_is_not_selected_even_if_it_is_the_best() -> None:
    assert best([ROW, PRUNED, FAILED]) == ROW
    assert best([PRUNED, FAILED]) is None


def test_a_tally_names_what_did_not_come_to_its_end() -> None:
    assert tally([ROW]) == "1"
    assert tally([ROW, PRUNED, FAILED]) == "3 (1 pruned, 1 failed)"
