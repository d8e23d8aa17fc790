"""Runs for the tests of the pool, and looking at its processes and files."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

from dae_cli.study.run.folder import Job

MakeJob = Callable[..., Job]
LONG = {"finetune": {"max_epochs": 600, "patience": 600}}
ENDLESS = {"finetune": {"max_epochs": 90_000, "patience": 90_000}}
WAIT = 60.0


def end_workers() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def wait_for(path: Path, or_for: Path | None = None) -> None:
    """Wait until a file is there, or another."""
    end = time.monotonic() + WAIT
    while not (path.exists() or (or_for and or_for.exists())):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def workers_here() -> list[int]:
    """The processes of the pool."""
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def no_traces(job: Job) -> None:
    """No file of the pool is left, and no process."""
    assert [p.name for p in job.folder.parent.iterdir() if p.name.startswith(".")] == []
    assert workers_here() == []
