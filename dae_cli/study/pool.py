"""Runs side by side: one process a run, one thread a process."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from dae_cli.files import write_json
from dae_cli.study.progress import Position, Silent, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import Job

POLL_SECONDS = 0.5


def run_jobs(
    jobs: Sequence[Job], *, workers: int, watcher: Watcher, command: str
) -> Iterator[RunRow]:
    """Run jobs, at most `workers` at a time, and yield each row when its run ends.

    The results do not depend on `workers`. A failed run does not stop the others. If the caller
    stops early or is interrupted, the workers are ended; their checkpoints stay.
    """
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            yield _told(_run_here(job, watcher, command), watcher)
    else:
        yield from _run_in_workers(jobs, min(workers, len(jobs)), watcher, command)


def _run_here(job: Job, watcher: Watcher, command: str) -> RunRow:
    from dae_cli.study.execute import execute

    return execute(job, watcher, command)


def _told(row: RunRow, watcher: Watcher) -> RunRow:
    watcher.finished(row)
    return row


def _run_in_workers(
    jobs: Sequence[Job], workers: int, watcher: Watcher, command: str
) -> Iterator[RunRow]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor

    over = threading.Event()
    poller = threading.Thread(target=_poll, args=(jobs, watcher, over), daemon=True)
    poller.start()
    try:
        with parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
            results = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch=workers)(
                delayed(_run_in_worker)(job, command) for job in jobs
            )
            for row in results:
                yield _told(row, watcher)
    except BaseException:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
        raise
    finally:
        over.set()
        poller.join()
        for job in jobs:
            _progress_file(job).unlink(missing_ok=True)


def _run_in_worker(job: Job, command: str) -> RunRow:
    # Ctrl-C reaches the whole process group; the parent alone decides what becomes of workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _run_here(job, _FileWatcher(job), command)


def _progress_file(job: Job) -> Path:
    return job.folder.with_name(f".{job.name}.progress")


class _FileWatcher(Silent):
    """Leaves a worker's progress in a small file that the parent reads now and then."""

    def __init__(self, job: Job) -> None:
        self._path = _progress_file(job)
        self._resumed = False

    def started(self, run: str, resumed: bool) -> None:
        self._resumed = resumed

    def moved(self, run: str, position: Position) -> None:
        write_json(self._path, {"resumed": self._resumed, "position": asdict(position)})


def _poll(jobs: Sequence[Job], watcher: Watcher, over: threading.Event) -> None:
    """Tell the watcher what the workers' files say, until the study is over."""
    last: dict[str, str] = {}
    while not over.wait(POLL_SECONDS):
        for job in jobs:
            try:
                text = _progress_file(job).read_text(encoding="utf-8")
            except OSError:
                continue  # not begun, or over
            if text == last.get(job.name):
                continue
            progress = json.loads(text)
            if job.name not in last:
                watcher.started(job.name, progress["resumed"])
            last[job.name] = text
            watcher.moved(job.name, Position(**progress["position"]))
