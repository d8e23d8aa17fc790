"""Changed wrong rows, comparisons and what the report makes of them are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dae_cli.study.run.wrong_rows import keep_wrong_rows, load_wrong_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended
    from tests.commands.verify.conftest import Tiny

    Dae = Callable[..., Ended]

WRONG_ROWS, KEPT, MCNEMAR = "wrong_rows.npy", "wrong_rows.csv", "mcnemar.csv"


def test_other_rows_that_are_as_many_are_told(tiny: Tiny) -> None:
    row = tiny.row("rect-0")
    folder = tiny.done / "runs" / row.run
    wrong = load_wrong_rows(folder, row.n_test or 0, row.n_wrong or 0)
    first, right = int(np.flatnonzero(wrong)[0]), int(np.flatnonzero(~wrong)[0])
    wrong[[first, right]] = False, True
    keep_wrong_rows(folder, wrong)
    place, what = f"runs/{row.run}/{WRONG_ROWS}", f"test row {min(first, right)} and 1 more"
    told = {(d[0], d[1]) for d in tiny.differences()}
    assert (place, what) in told
    assert (KEPT, f"{row.run}: bits") in told
    assert {name for name, _ in told} <= {place, KEPT, MCNEMAR, "REPORT.md"}


def test_a_damaged_file_cannot_be_checked_and_says_how_it_is_made_again(
    tiny: Tiny, dae: Dae
) -> None:
    run = tiny.row("rect-0").run
    path = tiny.done / "runs" / run / WRONG_ROWS
    before = path.read_bytes()
    path.write_bytes(before[:-1])
    reason = tiny.reasons()[f"runs/{run}/{WRONG_ROWS}"]
    assert "has not the 50 bytes" in reason
    assert "dae replicate counts it again" in reason
    assert f"{run}: cannot be checked\n" in dae("verify", "tiny").err
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    assert path.read_bytes() == before
    tiny.found(code=0)


def test_wrong_rows_that_are_missing_are_told(tiny: Tiny) -> None:
    path, run = tiny.done / KEPT, tiny.row("rect-0").run
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *(line for line in lines if not line.startswith(run))]))
    assert tiny.differences() == {(KEPT, run, "no row", "a row")}
    path.unlink()
    assert {d[:2] for d in tiny.differences()} == {(KEPT, folder.name) for folder in tiny.runs()}
    # Of a run whose folder is elsewhere, nothing tells that its rows were ever kept.
    shutil.rmtree(tiny.done / "runs" / run)
    assert (KEPT, run) not in {d[:2] for d in tiny.differences()}


def test_results_made_before_wrong_rows_were_kept_get_them(tiny: Tiny, dae: Dae) -> None:
    files = [tiny.done / MCNEMAR, tiny.done / KEPT, *(run / WRONG_ROWS for run in tiny.runs())]
    before = [path.read_bytes() for path in files]
    report = (tiny.done / "REPORT.md").read_bytes()
    for path in files:
        path.unlink()
    assert set(tiny.reasons()) == {f"runs/{run.name}/{WRONG_ROWS}" for run in tiny.runs()}
    ended = dae("replicate", "tiny", "--jobs", "1")
    assert ended.code == 0
    assert ended.err.count(f"{WRONG_ROWS} was not kept when it was made; counted again") == 2
    assert [path.read_bytes() for path in files] == before
    assert (tiny.done / "REPORT.md").read_bytes() == report
    tiny.found(code=0)


@pytest.mark.parametrize(
    ("column", "new"),
    [
        ("model_a", "SVM_rbf"),
        ("only_a_wrong", "77"),
        ("error_b_percent", "1.00"),
        ("p_value", "0.001"),
        ("significant", "perhaps"),
        ("p_holm", "0.5"),
        ("seed", "3"),
        ("run_b", "another"),
    ],
)
def test_any_column_of_mcnemar_csv_that_was_changed_is_told(
    tiny: Tiny, column: str, new: str
) -> None:
    path = tiny.done / MCNEMAR
    header, line, *rest = path.read_text().splitlines()
    values = line.split(",")
    values[header.split(",").index(column)] = new
    path.write_text("\n".join([header, ",".join(values), *rest]) + "\n")
    found = tiny.found()
    places = {d["place"] for d in found["differences"] + found["unchecked"]}
    assert places == {MCNEMAR}
    assert new in json.dumps(found)


def test_a_comparison_that_is_missing_is_told(tiny: Tiny) -> None:
    path = tiny.done / MCNEMAR
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert {place for place, *_ in tiny.differences()} == {MCNEMAR}
    path.unlink()
    assert {place for place, *_ in tiny.differences()} == {MCNEMAR}


def test_a_comparison_that_was_changed_in_the_report_is_told(tiny: Tiny) -> None:
    tiny.edit(tiny.done / "REPORT.md", "| rect-0 (SAA-2) |", "| rect-0 (SAA-3) |")
    ((place, what, _, _),) = tiny.differences()
    assert (place, what) == ("REPORT.md", "The same test rows, pair by pair, line 3")


def test_a_row_for_what_does_not_match_that_was_added_is_told(tiny: Tiny, done: Path) -> None:
    heading = "## What does not match, and what we tried\n"
    tiny.edit(done / "REPORT.md", heading, f"{heading}\n| rect-0 | is worse |\n")
    ((place, what, recorded, _),) = tiny.differences()
    assert (place, recorded) == ("REPORT.md", "| rect-0 | is worse |")
    assert what.startswith("What does not match, and what we tried, line 1")


def test_reference_model_reaches_rows_and_their_verification(
    tiny: Tiny, dae: Dae, tmp_path: Path
) -> None:
    # As many rows as the paper has, and its depth: the number of SdA-3 at 10 %, ours has 25 %.
    study = tmp_path / "experiments" / "tiny" / "study.yaml"
    text = study.read_text().replace("shared:", "reference: model\nshared:")
    text = text.replace("[12, 10]", "[4, 4, 4]").replace("epochs: 2}", "epochs: 1}")
    study.write_text(text.replace("  subset: {train: 100, valid: 50, test: 400}\n", ""))
    words = ("--set", "finetune.max_epochs=1", "--set", "finetune.batch_size=200")
    out = ("--out", "results/model")
    assert dae("replicate", "tiny", "--only", "rect-25", "--jobs", "1", *words, *out).code == 0
    line = (tmp_path / "results" / "model" / "runs.csv").read_text().splitlines()[1]
    assert ",1.99,0.12,SdA-3,worse," in line
    ended = dae("verify", "tiny", *words, *out)
    assert (ended.code, "0 differences" in ended.out) == (0, True), ended.out + ended.err
    report = (tmp_path / "results" / "model" / "REPORT.md").read_text(encoding="utf-8")
    assert "whatever destruction was selected" in report
    assert "| worse than the paper | model |" in report
