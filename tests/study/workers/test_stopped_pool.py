"""Runs that are stopped by signals, and workers that are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from dae_cli.stopping import ONE_AND_THE_SAME, Interrupted, SignalStop
from dae_cli.study.progress import Silent
from dae_cli.study.rows import RunRow
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, Job
from dae_cli.study.workers.files import STOPPING
from dae_cli.study.workers.pool import run_jobs
from tests.study.workers.pools import (
    ENDLESS,
    LONG,
    MakeJob,
    no_traces,
    workers_here,
)

pytestmark = pytest.mark.usefixtures("no_worker_of_another_test")


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
    no_traces(endless[0])
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
    no_traces(endless[0])
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
            os.kill(workers_here()[0], signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        list(run_jobs(endless, workers=2, watcher=Terminating(endless), command="dae"))
    assert caught.value.exit_code == 143
    assert all(_position(job) > (4, False) for job in endless)
    no_traces(endless[0])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_where_a_worker_is_killed_the_runs_go_on_with_fewer_at_a_time(
    make_job: MakeJob, tmp_path: Path
) -> None:
    jobs = [make_job(**LONG), make_job(**LONG, seed=1)]

    class Killing(PressingCtrlC):
        def press(self) -> None:
            os.kill(workers_here()[0], signal.SIGKILL)

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
                for pid in workers_here():
                    os.kill(pid, signal.SIGKILL)

    rows = list(run_jobs([endless, short], workers=2, watcher=Killing(), command="dae"))
    errors = {row.run: row.error for row in rows if isinstance(row, RunRow)}
    assert errors[endless.name].startswith("a worker process was killed, perhaps because the mem")
    assert "goes on from the checkpoint" in errors[endless.name]
    assert errors[short.name] == ""
    assert list(short.folder.parent.glob(".*")) == []
    assert short.state() == "done"
