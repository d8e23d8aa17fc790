"""One experiment by itself: where its run goes, and what is done a second time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedExperiment
from dae_cli.config.schema import Experiment
from dae_cli.errors import RunFolderError
from dae_cli.study.progress import Silent
from dae_cli.study.run.folder import CHECKPOINT, PlannedRun
from dae_cli.study.single import execute, plan_run

MakeExperiment = Callable[..., Experiment]


@pytest.fixture
def resolved(make_experiment: MakeExperiment) -> ResolvedExperiment:
    """The experiment that is also a cell of the study."""
    return ResolvedExperiment("tiny/convex-25", make_experiment(), Path("convex-25.yaml"))


def _plan(
    resolved: ResolvedExperiment, out: Path | None, seed: int | None = None, watcher: Any = None
) -> PlannedRun:
    return plan_run(
        resolved, seed=seed, device="cpu", out=out, data_dir=None, watcher=watcher or Silent()
    )


def test_a_run_goes_where_the_study_looks(
    resolved: ResolvedExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planned = _plan(resolved, None)
    assert planned.job.folder.parent == tmp_path / "results" / "tiny" / "runs"
    assert planned.job.cell == "convex-25"
    assert planned.state == "new"
    assert list(tmp_path.iterdir()) == []


def test_the_seed_given_replaces_the_experiments_own(
    resolved: ResolvedExperiment, tmp_path: Path
) -> None:
    assert _plan(resolved, tmp_path).job.experiment.seed == 0
    seeded = _plan(resolved, tmp_path, seed=7).job
    assert seeded.experiment.seed == 7
    assert "-s7-" in seeded.name


def test_where_the_data_come_from_is_told(
    resolved: ResolvedExperiment, tmp_path: Path, recorder: Any
) -> None:
    _plan(resolved, tmp_path, watcher=recorder)
    ((what, _, told),) = recorder.events
    assert what == "note"
    assert all(word in told for word in ("convex", "original", "made for the tests"))


def test_alone_a_run_has_the_bits_it_has_in_a_study(
    resolved: ResolvedExperiment, tmp_path: Path, in_process: Any, recorder: Any
) -> None:
    planned = _plan(resolved, tmp_path / "deep" / "runs")
    row = execute(planned, watcher=recorder, force=False, command="dae train")
    same = in_process.folder("convex-25")
    assert planned.job.name == same.name
    assert (planned.job.folder / CHECKPOINT).read_bytes() == (same / CHECKPOINT).read_bytes()
    assert row.n_wrong == in_process.outcome.rows[2].n_wrong
    heard = recorder.of(row.run)
    assert (heard[0], heard[-1]) == ("started", "finished")
    # Nothing but the run is made.
    assert [path.name for path in (tmp_path / "deep" / "runs").iterdir()] == [planned.job.name]


def test_a_done_run_is_told_again_and_only_force_trains_it_again(
    resolved: ResolvedExperiment, tmp_path: Path, recorder: Any
) -> None:
    first = execute(_plan(resolved, tmp_path), watcher=Silent(), force=False, command="dae train")
    planned = _plan(resolved, tmp_path)
    assert planned.state == "done"
    written = (planned.job.folder / CHECKPOINT).stat().st_mtime_ns
    assert execute(planned, watcher=recorder, force=False, command="dae train") == first
    assert recorder.events == []
    assert (planned.job.folder / CHECKPOINT).stat().st_mtime_ns == written
    again = execute(planned, watcher=recorder, force=True, command="dae train")
    assert recorder.of(planned.job.name)[0] == "started"
    assert again.n_wrong == first.n_wrong
    assert (planned.job.folder / CHECKPOINT).stat().st_mtime_ns > written


def test_a_failed_run_is_a_row_with_its_error(
    make_experiment: MakeExperiment, tmp_path: Path, recorder: Any
) -> None:
    wild = make_experiment(pretrain={"loss": "squared-error", "learning_rate": 1000.0, "epochs": 6})
    resolved = ResolvedExperiment("wild", wild, Path("wild.yaml"))
    row = execute(_plan(resolved, tmp_path), watcher=recorder, force=False, command="dae train")
    assert row.error.startswith("diverged in pretrain")
    assert recorder.events[-1] == ("finished", row.run, row)


def test_a_file_in_the_place_of_the_runs_is_told(
    resolved: ResolvedExperiment, tmp_path: Path, recorder: Any
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunFolderError, match=r"out: cannot be made .*; choose --out"):
        execute(
            _plan(resolved, tmp_path / "out"), watcher=recorder, force=False, command="dae train"
        )
    assert recorder.events == []
