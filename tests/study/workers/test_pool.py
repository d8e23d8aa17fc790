"""Runs in this process and in workers: progress, results, and nothing left behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dae_cli.stopping import NeverStop
from dae_cli.study.progress import Silent
from dae_cli.study.rows import RunRow
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, METRICS
from dae_cli.study.workers.files import WorkerFiles
from dae_cli.study.workers.pool import run_jobs
from tests.study.workers.pools import (
    ENDLESS,
    LONG,
    WAIT,
    MakeJob,
    no_traces,
    wait_for,
    workers_here,
)

pytestmark = pytest.mark.usefixtures("no_worker_of_another_test")


def test_one_worker_is_this_process(make_job: MakeJob, recorder: Any) -> None:
    jobs = [make_job(seed=seed) for seed in (0, 1)]
    rows = list(run_jobs(jobs, workers=1, watcher=recorder, command="dae"))
    assert [row.run for row in rows] == [job.name for job in jobs]
    assert workers_here() == []
    assert [run for what, run, _ in recorder.events if what == "finished"] == [r.run for r in rows]


def test_a_single_run_needs_no_worker(make_job: MakeJob) -> None:
    (row,) = run_jobs([make_job()], workers=8, watcher=Silent(), command="dae")
    assert isinstance(row, RunRow) and row.error == ""
    assert workers_here() == []


def test_nothing_to_run_gives_nothing() -> None:
    assert list(run_jobs([], workers=4, watcher=Silent(), command="dae")) == []


@pytest.mark.parametrize("how", ["in_process", "in_workers"])
def test_the_watcher_hears_start_progress_and_end_of_each_run(
    request: pytest.FixtureRequest, how: str
) -> None:
    study: Any = request.getfixturevalue(how)
    for planned in study.plan.runs:
        heard = study.watcher.of(planned.job.name)
        assert heard[0] == "started"
        assert heard[-1] == "finished"
        assert len(heard) > 2
        assert set(heard[1:-1]) == {"moved"}


def test_workers_leave_no_progress_files(in_workers: Any) -> None:
    assert list((in_workers.out / "runs").glob(".*")) == []


def test_a_run_in_a_worker_goes_on_from_its_checkpoint(make_job: MakeJob, recorder: Any) -> None:
    jobs = [make_job(seed=seed) for seed in (0, 1)]

    class Interrupting(Silent):
        def moved(self, run: str, position: Any) -> None:
            if position.phase == "finetune":
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dae_cli.study.run.keeper.STATUS_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            execute(jobs[0], Interrupting(), "dae")
    list(run_jobs(jobs, workers=2, watcher=recorder, command="dae"))
    started = {run: resumed for what, run, resumed in recorder.events if what == "started"}
    assert started == {jobs[0].name: True, jobs[1].name: False}
    assert list(jobs[0].folder.parent.glob(".*")) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"resumed": true, "position": {"more": 1}}'])
def test_progress_that_cannot_be_read_is_passed_over(
    make_job: MakeJob, recorder: Any, text: str
) -> None:
    job = make_job()
    path = job.folder.with_name(f".{job.name}.progress")
    path.parent.mkdir()
    path.write_text(text)
    with WorkerFiles([job], recorder, NeverStop()) as files:
        files.leave(job.name)
    assert recorder.events == []
    assert not path.exists()


def test_an_interrupt_ends_the_workers_at_once_and_the_run_goes_on_later(
    make_job: MakeJob, tmp_path: Path
) -> None:
    short, long = make_job(), make_job(**LONG)

    class Interrupting(Silent):
        def finished(self, row: RunRow) -> None:
            wait_for(long.partial / CHECKPOINT, or_for=long.folder)
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([short, long], workers=2, watcher=Interrupting(), command="dae"))
    assert time.monotonic() - begin < WAIT
    no_traces(short)
    assert short.state() == "done"
    if long.state() == "done":
        pytest.skip("this machine trained the long run before it could be interrupted")
    assert long.state() == "stopped"

    list(run_jobs([long], workers=1, watcher=Silent(), command="dae"))
    whole = make_job(tmp_path / "elsewhere", **LONG)
    execute(whole, Silent(), "dae")
    for name in (CHECKPOINT, METRICS):
        assert (long.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_caller_that_stops_early_does_notwait_for_the_runs(make_job: MakeJob) -> None:
    short, endless = make_job(), make_job(**ENDLESS)
    rows = run_jobs([short, endless], workers=2, watcher=Silent(), command="dae")
    assert next(rows).run == short.name
    wait_for(endless.partial / CHECKPOINT)
    rows.close()
    no_traces(short)
    assert endless.state() == "stopped"
