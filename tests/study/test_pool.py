"""Runs in this process and in workers: progress, interrupts, and nothing left behind."""

from __future__ import annotations

import json
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
from safetensors import safe_open

from dae_cli.stopping import ONE_AND_THE_SAME, Interrupted, NeverStop, SignalStop
from dae_cli.study.execute import execute
from dae_cli.study.pool import run_jobs
from dae_cli.study.progress import Silent
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import CHECKPOINT, METRICS, Job
from dae_cli.study.worker_files import STOPPING, WorkerFiles

MakeJob = Callable[..., Job]

LONG = {"finetune": {"max_epochs": 600, "patience": 600}}
ENDLESS = {"finetune": {"max_epochs": 90_000, "patience": 90_000}}
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
    assert isinstance(row, RunRow) and row.error == ""
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
            if position.phase == "finetune":
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dae_cli.study.keeper.STATUS_SECONDS", 0.0)
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


class PressingCtrlC(Silent):
    """Sends a signal to this process once all runs are fine-tuned, and hears what is noted."""

    def __init__(self, jobs: list[Job], number: int = signal.SIGINT, times: int = 1) -> None:
        self._jobs, self._number, self._left = jobs, number, times
        self._last = 0.0
        self._tuned: set[str] = set()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def moved(self, run: str, position: Any) -> None:
        self._tuned |= {run} if position.phase == "finetune" else set()
        waited = time.monotonic() - self._last > 2 * ONE_AND_THE_SAME
        if self._left and waited and self._tuned >= {job.name for job in self._jobs}:
            self._left, self._last = self._left - 1, time.monotonic()
            self.press()

    def press(self) -> None:
        os.kill(os.getpid(), self._number)


def _position(job: Job) -> tuple[int, bool]:
    """Epochs in the checkpoint, and whether it was kept in the middle of one."""
    with safe_open(job.partial / CHECKPOINT, framework="pt") as file:
        position = json.loads(file.metadata()["dae"])
    return len(position["history"]), position["interim"] is not None


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_lets_every_run_finish_its_step_and_keep_a_checkpoint(
    make_job: MakeJob, number: int, code: int, workers: int
) -> None:
    endless = [make_job(**ENDLESS, seed=seed) for seed in range(workers)]
    pressing = PressingCtrlC(endless, number)
    with pytest.raises(Interrupted) as caught:
        list(run_jobs(endless, workers=workers, watcher=pressing, command="dae"))
    assert caught.value.exit_code == code
    assert pressing.notes == [STOPPING]
    _no_traces(endless[0])
    assert [job.state() for job in endless] == ["stopped"] * workers
    # Not the one from the end of pretraining: it was kept when the signal came.
    assert all(_position(job) > (4, False) for job in endless)
    assert signal.getsignal(number) is not signal.SIG_IGN


def test_runs_that_wait_are_called_off(make_job: MakeJob) -> None:
    endless = [make_job(**ENDLESS, seed=seed) for seed in range(5)]
    with pytest.raises(Interrupted):
        list(run_jobs(endless, workers=2, watcher=PressingCtrlC(endless[:2]), command="dae"))
    assert [job.state() for job in endless] == ["stopped"] * 2 + ["new"] * 3
    assert not endless[2].partial.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_at_once(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    endless = [make_job(**ENDLESS, seed=seed) for seed in range(workers)]
    # The first goes unheard by the runs, so that only the second can end them.
    monkeypatch.setattr(SignalStop, "asked", lambda self: 0)
    with pytest.raises(Interrupted):
        list(
            run_jobs(
                endless, workers=workers, watcher=PressingCtrlC(endless, times=2), command="dae"
            )
        )
    _no_traces(endless[0])
    assert [job.state() for job in endless] == ["stopped"] * workers


def test_two_signals_in_one_moment_count_as_one(make_job: MakeJob) -> None:
    (endless,) = (make_job(**ENDLESS),)

    class Twice(PressingCtrlC):
        def note(self, text: str) -> None:  # told from within the first
            super().note(text)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        list(run_jobs([endless], workers=1, watcher=Twice([endless]), command="dae"))
    assert caught.value.exit_code == 130
    assert _position(endless) > (4, False)


def test_a_worker_that_a_scheduler_terminates_keeps_a_checkpoint_and_all_stop(
    make_job: MakeJob,
) -> None:
    endless = [make_job(**ENDLESS, seed=seed) for seed in (0, 1)]

    class Terminating(PressingCtrlC):
        def press(self) -> None:
            os.kill(_workers()[0], signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        list(run_jobs(endless, workers=2, watcher=Terminating(endless), command="dae"))
    assert caught.value.exit_code == 143
    assert all(_position(job) > (4, False) for job in endless)
    _no_traces(endless[0])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_where_a_worker_is_killed_the_runs_go_on_with_fewer_at_a_time(
    make_job: MakeJob, tmp_path: Path
) -> None:
    jobs = [make_job(**LONG), make_job(**LONG, seed=1)]

    class Killing(PressingCtrlC):
        def press(self) -> None:
            os.kill(_workers()[0], signal.SIGKILL)

    watcher = Killing(jobs)
    rows = list(run_jobs(jobs, workers=2, watcher=watcher, command="dae"))
    assert [row.error for row in rows if isinstance(row, RunRow)] == ["", ""]
    assert watcher.notes == [
        "a worker process was killed, perhaps because the memory ran out; going on from the "
        "checkpoints, one run at a time"
    ]
    assert list(jobs[0].folder.parent.glob(".*")) == []
    whole = make_job(tmp_path / "elsewhere", **LONG)
    execute(whole, Silent(), "dae")
    assert (jobs[0].folder / CHECKPOINT).read_bytes() == (whole.folder / CHECKPOINT).read_bytes()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_whose_worker_is_killed_again_and_again_fails_and_the_others_go_on(
    make_job: MakeJob,
) -> None:
    endless, short = make_job(**ENDLESS), make_job()

    class Killing(Silent):
        def moved(self, run: str, position: Any) -> None:
            if run == endless.name:
                for pid in _workers():
                    os.kill(pid, signal.SIGKILL)

    rows = list(run_jobs([endless, short], workers=2, watcher=Killing(), command="dae"))
    errors = {row.run: row.error for row in rows if isinstance(row, RunRow)}
    assert errors[endless.name].startswith("a worker process was killed, perhaps because the mem")
    assert "goes on from the checkpoint" in errors[endless.name]
    assert errors[short.name] == ""
    assert list(short.folder.parent.glob(".*")) == []
    assert short.state() == "done"


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
