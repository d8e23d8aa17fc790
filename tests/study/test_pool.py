"""Runs in this process and in workers: progress, interrupts, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dae_cli.errors import DaeError
from dae_cli.study.execute import execute
from dae_cli.study.pool import run_jobs
from dae_cli.study.progress import Silent
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import CHECKPOINT, METRICS, Job

MakeJob = Callable[..., Job]

LONG = {"pretrain": {"epochs": 1500}}
ENDLESS = {"pretrain": {"epochs": 90_000}}
WAIT = 60.0


@pytest.fixture(autouse=True)
def _no_worker_of_another_test() -> Iterator[None]:
    """Workers of a study that ended well stay for the next one; end them."""
    _end_workers()
    yield
    _end_workers()


def _end_workers() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _wait_for(path: Path, or_for: Path | None = None) -> None:
    end = time.monotonic() + WAIT
    while not (path.exists() or (or_for and or_for.exists())):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def _workers() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def _no_traces(job: Job) -> None:
    """No file of the pool is left, and no process."""
    assert [p.name for p in job.folder.parent.iterdir() if p.name.startswith(".")] == []
    assert _workers() == []


def test_one_worker_is_this_process(make_job: MakeJob, recorder: Any) -> None:
    jobs = [make_job(seed=seed) for seed in (0, 1)]
    rows = list(run_jobs(jobs, workers=1, watcher=recorder, command="dae"))
    assert [row.run for row in rows] == [job.name for job in jobs]
    assert _workers() == []
    assert [run for what, run, _ in recorder.events if what == "finished"] == [r.run for r in rows]


def test_a_single_run_needs_no_worker(make_job: MakeJob) -> None:
    (row,) = run_jobs([make_job()], workers=8, watcher=Silent(), command="dae")
    assert row.error == ""
    assert _workers() == []


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
            if position.epoch == 2:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dae_cli.study.execute.STATUS_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            execute(jobs[0], Interrupting(), "dae")
    stale = jobs[1].folder.with_name(f".{jobs[1].name}.progress")
    stale.write_text('{"resumed": true, "position": {"phase": "left by a killed command"}}')
    list(run_jobs(jobs, workers=2, watcher=recorder, command="dae"))
    started = {run: resumed for what, run, resumed in recorder.events if what == "started"}
    assert started == {jobs[0].name: True, jobs[1].name: False}
    assert all(p.phase != "left by a killed command" for p in recorder.positions(jobs[1].name))
    assert list(stale.parent.glob(".*")) == []


def test_an_interrupt_ends_the_workers_at_once_and_the_run_goes_on_later(
    make_job: MakeJob, tmp_path: Path
) -> None:
    short, long = make_job(), make_job(**LONG)

    class Interrupting(Silent):
        def finished(self, row: RunRow) -> None:
            _wait_for(long.partial / CHECKPOINT, or_for=long.folder)
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(run_jobs([short, long], workers=2, watcher=Interrupting(), command="dae"))
    assert time.monotonic() - begin < WAIT
    _no_traces(short)
    assert short.state() == "done"
    if long.state() == "done":
        pytest.skip("this machine trained the long run before it could be interrupted")
    assert long.state() == "stopped"

    list(run_jobs([long], workers=1, watcher=Silent(), command="dae"))
    whole = make_job(tmp_path / "elsewhere", **LONG)
    execute(whole, Silent(), "dae")
    for name in (CHECKPOINT, METRICS):
        assert (long.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_caller_that_stops_early_does_not_wait_for_the_runs(make_job: MakeJob) -> None:
    short, endless = make_job(), make_job(**ENDLESS)
    rows = run_jobs([short, endless], workers=2, watcher=Silent(), command="dae")
    assert next(rows).run == short.name
    _wait_for(endless.partial / CHECKPOINT)
    rows.close()
    _no_traces(short)
    assert endless.state() == "stopped"


def test_ctrl_c_reaches_the_caller_while_it_waits(make_job: MakeJob) -> None:
    endless = [make_job(**ENDLESS, seed=seed) for seed in (0, 1)]

    class PressingOnce(Silent):
        pressed = False

        def moved(self, run: str, position: Any) -> None:
            if not self.pressed and all((j.partial / CHECKPOINT).exists() for j in endless):
                self.pressed = True
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(endless, workers=2, watcher=PressingOnce(), command="dae"))
    _no_traces(endless[0])
    assert [job.state() for job in endless] == ["stopped", "stopped"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_worker_is_told_in_plain_words(make_job: MakeJob) -> None:
    short, endless = make_job(), make_job(**ENDLESS)
    with pytest.raises(DaeError, match="a worker process was killed, perhaps because the memory"):
        for _ in run_jobs([short, endless], workers=2, watcher=Silent(), command="dae"):
            _wait_for(endless.partial / CHECKPOINT)
            for pid in _workers():
                os.kill(pid, signal.SIGKILL)
    _no_traces(short)
    assert [short.state(), endless.state()] == ["done", "stopped"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_of_a_killed_command_end_by_themselves(make_job: MakeJob, tmp_path: Path) -> None:
    import pickle

    jobs = [make_job(**ENDLESS, seed=seed) for seed in (0, 1)]
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    program = """
        import pickle, sys
        from pathlib import Path
        from dae_cli.study.pool import run_jobs
        from dae_cli.study.progress import Silent
        jobs = pickle.loads(Path(sys.argv[1]).read_bytes())
        list(run_jobs(jobs, workers=2, watcher=Silent(), command="dae"))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "jobs")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for job in jobs:
            _wait_for(job.partial / CHECKPOINT)
        workers = _children_of(process.pid)
        process.kill()
    assert len(workers) >= 2
    end = time.monotonic() + WAIT
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < end, "a worker trains on for nobody"
        time.sleep(0.1)


def _children_of(parent: int) -> list[int]:
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[1]) == parent:
            children.append(int(path.parent.name))
    return children
