"""A study on filters from its files to its report: what is written, and what is told of it."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from dae_cli.config.experiments import ResolvedStudy, resolve_study
from dae_cli.errors import RunFolderError
from dae_cli.features.measures import measure
from dae_cli.stopping import NeverStop
from dae_cli.study.progress import Silent
from dae_cli.study.replicate import Outcome
from dae_cli.study.run.evaluate import evaluate_run
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, FILTERS_CSV, METRICS, RUNS
from dae_cli.study.run.status import Stopped
from dae_cli.study.verify.study import verify_study
from tests.study.of_filters.conftest import CELLS, STUDY, PlanFilters
from tests.study.running import csv_rows, run_again


@pytest.fixture(scope="module")
def made(
    plan_filters: PlanFilters, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """The study with two seeds. Read only."""
    out = tmp_path_factory.mktemp("results") / "small"
    return out, run_again(plan_filters(out, seeds=2))


@pytest.fixture
def copied(made: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the results that a test may change."""
    return Path(shutil.copytree(made[0], tmp_path / "small"))


def test_every_cell_and_seed_is_a_run_without_a_test_error(made: tuple[Path, Outcome]) -> None:
    out, outcome = made
    assert (outcome.done, outcome.failed, outcome.table) == (4, 0, [])
    rows = csv_rows(out / "runs.csv")
    assert [(row["cell"], row["model"], row["seed"]) for row in rows] == [
        ("noisy", "DAE", "0"),
        ("noisy", "DAE", "1"),
        ("plain", "AE", "0"),
        ("plain", "AE", "1"),
    ]
    assert {row["test_error_percent"] for row in rows} == {""}
    assert not (out / "table.csv").exists()
    assert not (out / "report.html").exists()


def test_filters_csv_has_the_measures_of_each_unit_of_each_run(made: tuple[Path, Outcome]) -> None:
    out, _ = made
    rows = csv_rows(out / FILTERS_CSV)
    assert len(rows) == 4 * 8
    run = next(row["run"] for row in rows if row["cell"] == "noisy" and row["seed"] == "1")
    weights = load_file(out / RUNS / run / CHECKPOINT)["pretrained.1.weight"]
    assert weights.shape == (8, 36)
    told = [row for row in rows if row["run"] == run]
    for row, unit in zip(told, measure(weights), strict=True):
        assert row["unit"] == str(unit.unit)
        assert float(row["locality"]) == pytest.approx(unit.locality, abs=1e-4)
        assert row["gabor_like"] == ("yes" if unit.gabor_like else "no")


def test_figures_csv_tells_each_figures_cells_and_whether_its_claim_holds(
    made: tuple[Path, Outcome],
) -> None:
    rows = csv_rows(made[0] / "figures.csv")
    both = [row for row in rows if row["figure"] == "both"]
    assert [(row["cell"], row["units"], row["holds"]) for row in both] == [
        ("noisy", "8", "yes"),
        ("noisy", "8", "yes"),
        ("plain", "8", "yes"),
        ("plain", "8", "yes"),
    ]
    for row in both:
        assert float(row["gabor_percent_low"]) <= float(row["gabor_percent"])
        assert float(row["gabor_percent"]) <= float(row["gabor_percent_high"])
    assert {row["holds"] for row in rows if row["figure"] == "near"} == {""}


def test_the_report_has_each_picture_beside_claim_and_judgement(
    made: tuple[Path, Outcome],
) -> None:
    out, outcome = made
    report = outcome.report.read_text("utf-8")
    for name in ("both", "seen", "parts", "near"):
        assert f"](figures/{name}.png)" in report
        with Image.open(out / "figures" / f"{name}.png") as image:
            assert image.size[0] > 100
    assert "The paper (Fig. 1): They differ." in report
    (judgement,) = outcome.judgements
    assert judgement.startswith("both: The measure bears it out for 2 of 2 seeds: seed 0: plain")
    assert judgement.removeprefix("both: ") in report


def test_every_cell_of_a_seed_learns_from_the_same_patches_and_the_same_weights(
    plan_filters: PlanFilters, tmp_path: Path
) -> None:
    still = STUDY.replace("learning_rate: 0.02", "learning_rate: 1.0e-30")
    folder = tmp_path / "still"
    folder.mkdir()
    (folder / "study.yaml").write_text(still, encoding="utf-8")
    for cell, text in CELLS.items():
        (folder / f"{cell}.yaml").write_text(text, encoding="utf-8")
    study = resolve_study(f"{folder}/")
    plan = plan_filters(tmp_path / "out", of=study)
    run_again(plan)
    noisy, plain = (load_file(p.job.folder / CHECKPOINT) for p in plan.runs)
    assert np.array_equal(noisy["pretrained.1.weight"], plain["pretrained.1.weight"])


def test_what_is_done_is_not_made_again_and_the_files_come_out_the_same(
    copied: Path, plan_filters: PlanFilters
) -> None:
    names = ("runs.csv", FILTERS_CSV, "figures.csv", "REPORT.md")
    before = [(copied / name).read_bytes() for name in names]
    outcome = run_again(plan_filters(copied, seeds=2))
    assert (outcome.done, outcome.skipped) == (0, 4)
    assert [(copied / name).read_bytes() for name in names] == before


@pytest.mark.parametrize("lost", ["folder", "filters.csv in it"])
def test_runs_whose_folders_are_elsewhere_keep_their_numbers_and_pictures(
    copied: Path, plan_filters: PlanFilters, study: ResolvedStudy, lost: str
) -> None:
    before = (copied / FILTERS_CSV).read_bytes()
    picture = (copied / "figures" / "both.png").read_bytes()
    for folder in (copied / RUNS).glob("*-ae-*"):
        if lost == "folder":
            shutil.rmtree(folder)
        else:
            (folder / FILTERS_CSV).unlink()
    noisy = replace(study, cells=tuple(c for c in study.all_cells if c.cell == "noisy"))
    run_again(plan_filters(copied, seeds=2, of=noisy))
    assert (copied / FILTERS_CSV).read_bytes() == before
    assert (copied / "figures" / "both.png").read_bytes() == picture


def test_a_damaged_file_that_alone_tells_of_a_run_is_refused_before_anything_is_made(
    copied: Path, plan_filters: PlanFilters
) -> None:
    for folder in (copied / RUNS).iterdir():
        shutil.rmtree(folder)
    text = (copied / FILTERS_CSV).read_text().replace("yes", "perhaps").replace("no,", "perhaps,")
    (copied / FILTERS_CSV).write_text(text)
    with pytest.raises(
        RunFolderError, match=r"small.filters\.csv:2: .* is 'perhaps', expected yes"
    ):
        run_again(plan_filters(copied, seeds=2))
    assert (copied / FILTERS_CSV).read_text() == text
    assert not list((copied / RUNS).iterdir())


def test_where_every_run_is_here_a_damaged_file_of_the_study_is_made_anew(
    copied: Path, plan_filters: PlanFilters
) -> None:
    before = (copied / FILTERS_CSV).read_bytes()
    (copied / FILTERS_CSV).write_text("no,rows\n")
    run_again(plan_filters(copied, seeds=2))
    assert (copied / FILTERS_CSV).read_bytes() == before


class _StopAfter(NeverStop):
    """Asks a run to stop when it has looked so many times."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    def asked(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize("looks", [3, 14, 25])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    made: tuple[Path, Outcome], plan_filters: PlanFilters, tmp_path: Path, looks: int
) -> None:
    job = next(p.job for p in plan_filters(tmp_path).runs if p.job.cell == "noisy")
    with pytest.raises(Stopped):
        execute(job, Silent(), "dae", _StopAfter(looks))
    assert job.state() == "stopped"
    execute(job, Silent(), "dae")
    whole = made[0] / RUNS / job.name
    for name in (METRICS, FILTERS_CSV):
        assert (job.folder / name).read_bytes() == (whole / name).read_bytes()
    one, other = (load_file(folder / CHECKPOINT) for folder in (job.folder, whole))
    assert all(np.array_equal(one[name], other[name]) for name in other)


def test_there_are_no_errors_to_count_and_it_says_so(made: tuple[Path, Outcome]) -> None:
    folder = next((made[0] / RUNS).glob("*/"))
    with pytest.raises(
        RunFolderError, match=r"trained for its filters, without labels.*filters\.csv"
    ):
        evaluate_run(folder, "test", None, lambda _: None)


def test_verify_finds_nothing_in_what_was_just_made(
    made: tuple[Path, Outcome], study: ResolvedStudy
) -> None:
    verification = verify_study(study, made[0], None, lambda _: None)
    assert verification.differences == []
    assert verification.unchecked == []
    assert verification.recomputed == 4


def test_verify_finds_a_number_that_was_edited(copied: Path, study: ResolvedStudy) -> None:
    for path in (copied / FILTERS_CSV, next((copied / RUNS).glob("*/filters.csv"))):
        rows = list(csv.reader(path.read_text().splitlines()))
        column = rows[0].index("locality")
        rows[3][column] = "0.9999"
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    found = verify_study(study, copied, None, lambda _: None).differences
    assert {f.place.rpartition("/")[2] for f in found} >= {FILTERS_CSV}
    assert any(f.place == FILTERS_CSV for f in found)
    assert any(f.place.startswith(RUNS) for f in found)
