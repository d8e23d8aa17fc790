"""The run of an SVM: what its folder holds, and that it goes on wherever it was stopped."""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from dae_cli.baselines import machines
from dae_cli.config.experiments import load_resolved
from dae_cli.data.obtain import Prepared
from dae_cli.study.progress import Position, Silent
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, TRIALS, Job
from dae_cli.study.run.status import Stopped
from tests.study.conftest import Recorder
from tests.study.svms import noisy_data, svm_job, without_seconds

WHOLE = {
    *("config.yaml", "environment.json", "trials.csv", "checkpoint.safetensors", "status.json"),
    "wrong_rows.npy",
}


class StopAfter(Silent):
    """Asks to stop as soon as so many trials were told; a watcher and a `Stop` in one."""

    def __init__(self, trials: int) -> None:
        self._left = trials

    def moved(self, run: str, position: Position) -> None:
        if position.phase == "select":
            self._left -= 1

    def asked(self) -> int:
        return 15 if self._left <= 0 else 0

    def deferred(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """In place of the data of the other tests, which an SVM learns without an error."""
    return noisy_data(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def done(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Any, Recorder]:
    """A run that was never stopped: its job, its row and what was told. Read only."""
    job, watcher = svm_job(data, tmp_path_factory.mktemp("svm") / "runs"), Recorder()
    return job, execute(job, watcher, "dae train"), watcher


def _same_bits(job: Job, other: Job) -> None:
    for name in (CHECKPOINT, "config.yaml"):
        assert (job.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    assert without_seconds(job.folder / TRIALS) == without_seconds(other.folder / TRIALS)
    results = [json.loads((j.folder / "status.json").read_text())["result"] for j in (job, other)]
    assert results[0] == results[1]


def test_the_folder_of_an_svm(done: tuple[Job, Any, Recorder]) -> None:
    job, _, _ = done
    assert job.folder.name.startswith("convex-svm-rbf-s0-")
    assert {path.name for path in job.folder.iterdir()} == WHOLE
    assert load_resolved(job.folder / "config.yaml") == job.experiment
    environment = json.loads((job.folder / "environment.json").read_text())
    assert (environment["engine"], environment["device"], environment["threads"]) == (
        "libsvm",
        "cpu",
        1,
    )
    assert "scikit-learn" in environment["packages"]


def test_the_row_of_an_svm(done: tuple[Job, Any, Recorder]) -> None:
    job, row, _ = done
    assert row.error == ""
    assert (row.model, row.destruction_percent, row.n_test) == ("SVM_rbf", 0.0, 200)
    assert row.test_error_percent == row.n_wrong / 2
    assert 0 < row.n_wrong < 100  # it learned something
    assert (row.best_epoch, row.epochs) == (None, None)
    assert row.trials == len(without_seconds(job.folder / TRIALS)) - 1 > 4
    assert row.selected.startswith("gamma 0.")
    assert (row.engine, row.device) == ("libsvm", "cpu")
    assert row.paper_error_percent is None  # of a few rows there is nothing to compare
    least = min(float(line[5]) for line in without_seconds(job.folder / TRIALS)[1:])
    assert row.valid_error_percent == least


def test_progress_counts_the_trials(done: tuple[Job, Any, Recorder]) -> None:
    job, row, watcher = done
    positions = watcher.positions(job.name)
    assert [p.epoch for p in positions[:-1]] == list(range(1, row.trials + 1))
    assert {p.phase for p in positions[:-1]} == {"select"}
    assert positions[-1].phase == "test"
    fractions = [p.fraction for p in positions]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    best = [p.valid_error_percent for p in positions]
    assert best == sorted(best, key=lambda percent: -(percent or 0.0))


@pytest.mark.parametrize("trials", [1, 3, 6])
def test_the_same_bits_wherever_it_was_stopped(
    data: Prepared, tmp_path: Path, done: tuple[Job, Any, Recorder], trials: int
) -> None:
    job = svm_job(data, tmp_path / "runs")
    stop = StopAfter(trials)
    with pytest.raises(Stopped):
        execute(job, stop, "dae", stop)
    assert job.state() == "stopped"
    assert not job.folder.exists()
    assert len(without_seconds(job.partial / TRIALS)) == 1 + trials
    status = json.loads((job.partial / "status.json").read_text())
    assert status["state"] == "running"
    (job.partial / "status.json").write_text(json.dumps(status | {"minutes": 5.0}))
    watcher = Recorder()
    row = execute(job, watcher, "dae")
    assert watcher.events[0] == ("started", job.name, True)
    assert watcher.positions(job.name)[0].epoch == trials
    assert row.minutes is not None and row.minutes > 5.0  # of both sessions
    _same_bits(job, done[0])


@pytest.mark.parametrize("kept", [0, 2, 1000])
def test_the_same_bits_wherever_it_was_killed(
    data: Prepared, tmp_path: Path, done: tuple[Job, Any, Recorder], kept: int
) -> None:
    job = svm_job(data, tmp_path / "runs")
    job.partial.mkdir(parents=True)
    lines = (done[0].folder / TRIALS).read_text().splitlines(keepends=True)
    (job.partial / TRIALS).write_text("".join(lines[: 1 + kept]))
    (job.partial / f".{TRIALS}@gone-1-0.part").write_text("rbf,0.0")
    assert job.state() == "stopped"
    assert execute(job, Silent(), "dae").error == ""
    _same_bits(job, done[0])
    assert {path.name for path in job.folder.iterdir()} == WHOLE


def test_it_stops_in_the_middle_of_a_trial(
    data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, begun = threading.Event(), threading.Event()

    def endless(*_: object) -> None:
        begun.set()
        never.wait(60)

    class StopOnceBegun(StopAfter):
        def asked(self) -> int:
            return 2 if begun.is_set() else 0

    monkeypatch.setattr(machines, "fit_on_matrix", endless)
    job = svm_job(data, tmp_path / "runs")
    with pytest.raises(Stopped):
        execute(job, Silent(), "dae", StopOnceBegun(1))
    assert not never.is_set()
    never.set()
    assert job.state() == "stopped"


def test_a_damaged_trials_csv_fails_the_run_and_says_what_to_do(
    data: Prepared, tmp_path: Path
) -> None:
    job = svm_job(data, tmp_path / "runs")
    job.partial.mkdir(parents=True)
    (job.partial / TRIALS).write_text("kernel\n")
    row = execute(job, Silent(), "dae")
    assert "trials.csv:1: its columns are not kernel, gamma" in row.error
    assert "remove the run's folder" in row.error
    assert row.trials is None


def test_values_beyond_single_precision_fail_the_run_in_plain_words(
    data: Prepared, tmp_path: Path
) -> None:
    job = svm_job(
        data,
        tmp_path / "runs",
        kernel="poly",
        gammas=[1000.0],
        degrees=[20],
        penalties=[1e9],
        refine=False,
    )
    row = execute(job, Silent(), "dae")
    assert "cannot be trained on this kernel" in row.error or row.error == ""
    assert "Traceback" not in row.error
