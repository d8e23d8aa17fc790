"""SVMs beside networks in one study: rows, tables, pictures, evaluation and verification."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.data.obtain import Prepared
from dae_cli.errors import RunFolderError
from dae_cli.study.expected_work import expected_work
from dae_cli.study.paper import published
from dae_cli.study.replicate import Outcome
from dae_cli.study.report.figures import draw
from dae_cli.study.report.kept_page import Kept
from dae_cli.study.report.markdown import facts
from dae_cli.study.rows import RunRow, read_rows, rows_to_csv
from dae_cli.study.run.evaluate import evaluate_run
from dae_cli.study.run.filters import run_filters
from dae_cli.study.run.folder import Job, run_name
from dae_cli.study.run.provenance import environment
from dae_cli.study.run.row import failed_row
from dae_cli.study.verify.study import Verification, verify_study
from tests.study.conftest import small_experiment, small_study
from tests.study.running import plan_of, run_again
from tests.study.svms import noisy_data, small_svm


def _study() -> ResolvedStudy:
    poly = {"kernel": "poly", "gammas": [0.01], "degrees": [2], "penalties": [1.0]}
    return small_study(
        {
            "convex-sda": small_experiment(),
            "convex-rbf": small_svm(),
            "convex-poly": small_svm(**poly, refine=False),
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """In place of the data of the other tests, which an SVM learns without an error."""
    return noisy_data(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def made(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The study, run with two seeds. Read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAE_CACHE_DIR", str(data.path.parent))
        patch.delenv("DAE_DATA_DIR", raising=False)
        out = tmp_path_factory.mktemp("results") / "svms"
        return out, run_again(plan_of(_study(), out, seeds=2))


@pytest.fixture
def copy(made: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """Results that a test may damage."""
    return Path(shutil.copytree(made[0], tmp_path / "results"))


def _run(out: Path, kernel: str = "rbf") -> Path:
    (folder,) = (out / "runs").glob(f"convex-svm-{kernel}-*")
    return folder


def _verified(out: Path) -> Verification:
    return verify_study(_study(), out, None, lambda _: None)


def test_an_svm_is_made_once_whatever_the_seeds(made: tuple[Path, Outcome]) -> None:
    out, outcome = made
    assert outcome.failed == 0
    seeds = [(row.cell, row.seed) for row in read_rows(out / "runs.csv", RunRow)]
    assert seeds == [("convex-sda", 0), ("convex-sda", 1), ("convex-rbf", 0), ("convex-poly", 0)]
    assert {row.cell: row.model for row in outcome.table} == {
        "convex-sda": "SdA-2",
        "convex-rbf": "SVM_rbf",
        "convex-poly": "SVM_poly",
    }


def test_rows_come_back_from_the_folders_and_nothing_is_made_twice(
    made: tuple[Path, Outcome], copy: Path
) -> None:
    again = run_again(plan_of(_study(), copy, seeds=2))
    assert (again.done, again.skipped, again.failed) == (0, 4, 0)
    assert again.rows == made[1].rows
    # Whatever engine is asked for: SVMs have none to choose.
    svms = small_study({"convex-rbf": small_svm()})
    assert run_again(plan_of(svms, copy, engine="blas")).skipped == 1


def test_the_report_shows_what_was_selected(made: tuple[Path, Outcome]) -> None:
    out, outcome = made
    report = (out / "REPORT.md").read_text()
    row = next(row for row in outcome.rows if row.model == "SVM_rbf")
    assert f"| {row.selected} of {row.trials} trials |" in report
    assert "| best epoch, or the SVM selected |" in report
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f'<td class="number">{row.selected} of {row.trials} trials</td>' in page
    assert '<th scope="col" class="number">best epoch, or the SVM selected</th>' in page
    assert "not of one make" not in report  # libsvm beside an engine is as it must be


def test_results_without_svms_have_the_columns_of_before(
    make_row: Callable[..., RunRow], tmp_path: Path
) -> None:
    before = make_row()
    header = rows_to_csv([before], RunRow).splitlines()[0]
    assert "epochs,paper_error_percent" in header
    assert "best epoch | minutes |" in facts(_study(), tmp_path, [before], [])["Every run"]
    of_svm = {"model": "SVM_rbf", "best_epoch": None, "epochs": None}
    rows = [before, make_row(**of_svm, cell="b", selected="gamma 0.1, C 1", trials=12)]
    assert "epochs,selected,trials,paper_error" in rows_to_csv(rows, RunRow).splitlines()[0]
    for written in ([before], rows):
        (tmp_path / "runs.csv").write_text(rows_to_csv(written, RunRow))
        assert read_rows(tmp_path / "runs.csv", RunRow) == written


def test_pictures_leave_svms_out(made: tuple[Path, Outcome], tmp_path: Path) -> None:
    out, outcome = made
    assert sorted(path.name for path in (out / "filters").iterdir()) == [
        "convex-sda.png",
        "convex.png",
    ]
    svms = [row for row in outcome.rows if row.model.startswith("SVM")]
    table = [row for row in outcome.table if row.model.startswith("SVM")]
    pictures = draw(_study(), tmp_path, svms, table, Kept())
    assert (pictures.errors, pictures.curves, pictures.filters) == ("", "", {})


def test_the_test_errors_are_counted_again_from_the_checkpoint(
    made: tuple[Path, Outcome],
) -> None:
    out, outcome = made
    wrong = {row.model: row.n_wrong for row in outcome.rows}
    for kernel in ("rbf", "poly"):
        again = evaluate_run(_run(out, kernel), "test", None, lambda _: None)
        assert again.n_wrong == wrong[f"SVM_{kernel}"]
        assert again.n_rows == 200


def test_an_svm_has_no_filters(made: tuple[Path, Outcome]) -> None:
    with pytest.raises(RunFolderError, match="an SVM has no filters; give the runs of networks"):
        run_filters(_run(made[0]))


def test_the_papers_columns_of_svms_know_no_destruction() -> None:
    rbf, poly = published("convex", "SVM_rbf", 0.0), published("rect-img", "SVM_poly", 0.0)
    assert rbf is not None and poly is not None
    assert (rbf.error_percent, poly.error_percent) == (19.13, 24.05)


def test_an_svm_of_all_rows_is_compared_with_its_column(data: Prepared, tmp_path: Path) -> None:
    whole = small_svm().model_copy(update={"subset": None})
    job = Job("convex-rbf", whole, data, tmp_path / run_name(whole, data.sha256))
    row = failed_row(job, environment("cpu", "libsvm", 1, "dae"), 0.0, "no")
    assert (row.paper_error_percent, row.paper_model) == (19.13, "SVM_rbf")
    assert expected_work(job) > 0


def test_sound_results_agree(made: tuple[Path, Outcome]) -> None:
    found = _verified(made[0])
    assert (found.runs, found.recomputed) == (4, 4)
    assert (found.differences, found.unchecked) == ([], [])


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _lines(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()]


def _write(path: Path, lines: list[list[str]]) -> None:
    path.write_text("".join(",".join(line) + "\n" for line in lines))


def _said(found: Verification) -> str:
    return " | ".join(
        [f"{d.place}: {d.what}: {d.recorded} -> {d.recomputed}" for d in found.differences]
        + [f"{u.place}: {u.reason}" for u in found.unchecked]
    )


def test_a_trial_made_better_is_found(copy: Path) -> None:
    trials = _run(copy) / "trials.csv"
    lines = _lines(trials)
    lines[1][4:6] = ["0", "0.0000"]
    _write(trials, lines)
    said = _said(_verified(copy))
    assert "trials.csv" in said  # the search would have gone on from there


def test_a_best_trial_told_otherwise_is_found(copy: Path) -> None:
    trials = _run(copy, "poly") / "trials.csv"
    lines = _lines(trials)
    lines[1][4:6] = ["0", "0.0000"]
    _write(trials, lines)
    said = _said(_verified(copy))
    assert "n_wrong: 0 -> " in said and "(trained again)" in said
    assert "valid_error_percent" in said


def test_a_trial_left_out_or_added_is_found(copy: Path) -> None:
    trials = _run(copy) / "trials.csv"
    lines = _lines(trials)
    _write(trials, [*lines[:1], *lines[2:]])
    assert "a search makes a trial of rbf gamma 0.001 that is not in trials.csv" in _said(
        _verified(copy)
    )
    _write(trials, [*lines, ["rbf", "0.5", "", "7.0", *lines[1][4:]]])
    assert "trial rbf gamma 0.5 C 7" in _said(_verified(copy))


def test_a_machine_that_was_tampered_with_is_found(copy: Path) -> None:
    path = _run(copy) / "checkpoint.safetensors"
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        tensors = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    spoilt = tensors | {"weights": -tensors["weights"]}
    path.write_bytes(safetensors.numpy.save(spoilt, metadata=metadata))
    assert "n_wrong" in _said(_verified(copy))
    header = json.loads(metadata["dae"]) | {"penalty": 3.0}
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"dae": json.dumps(header)}))
    said = _said(_verified(copy))
    assert "machine: gamma" in said and "the best trial: rbf gamma" in said


def test_a_result_told_otherwise_is_found(copy: Path) -> None:
    status = _run(copy) / "status.json"
    record = json.loads(status.read_text())
    record["result"]["selected"] = "gamma 7, C 7"
    status.write_text(json.dumps(record))
    assert "result.selected: gamma 7, C 7 -> " in _said(_verified(copy))
    _edit(copy / "runs.csv", ",SVM_rbf,0,0,200,", ",SVM_rbf,0,0,100,")
    assert "n_test: 100 -> 200" in _said(_verified(copy))


def test_the_result_of_a_network_in_the_folder_of_an_svm_is_refused(copy: Path) -> None:
    status = _run(copy) / "status.json"
    record = json.loads(status.read_text())
    del record["result"]["selected"], record["result"]["trials"]
    record["result"] |= {"best_epoch": 1, "epochs": 2}
    status.write_text(json.dumps(record))
    plan = plan_of(_study(), copy, seeds=2)
    row = next(row for row in run_again(plan).rows if row.cell == "convex-rbf")
    assert "status.json tells the result of a network, but config.yaml is that of an SVM" in (
        row.error
    )
