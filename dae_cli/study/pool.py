"""Runs side by side: one process a run, one thread a process."""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dae_cli.errors import DaeError
from dae_cli.study.progress import Position, Silent, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import Job

POLL_SECONDS = 0.5


def run_jobs(
    jobs: Sequence[Job], *, workers: int, watcher: Watcher, command: str
) -> Generator[RunRow, None, None]:
    """Run jobs, at most `workers` at a time, and yield each row when its run ends.

    The results do not depend on `workers`. A failed run does not stop the others. If the caller
    stops early or is interrupted, the workers are ended; their checkpoints stay.

    Raises:
        DaeError: a worker process was killed from outside.
    """
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            row = _run_here(job, watcher, command)
            watcher.finished(row)
            yield row
    else:
        yield from _run_in_workers(jobs, min(workers, len(jobs)), watcher, command)


def _run_here(job: Job, watcher: Watcher, command: str) -> RunRow:
    from dae_cli.study.execute import execute

    return execute(job, watcher, command)


def _run_in_workers(
    jobs: Sequence[Job], workers: int, watcher: Watcher, command: str
) -> Generator[RunRow, None, None]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import BrokenProcessPool

    results: Any = ()
    with _Progress(jobs, watcher) as progress:
        try:
            with parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
                # Dispatched one by one: a run lasts minutes, and what waits can be called off.
                results = Parallel(
                    return_as="generator_unordered", batch_size=1, pre_dispatch=workers
                )(delayed(_run_in_worker)(job, command) for job in jobs)
                for row in results:
                    progress.finish(row)
                    yield row
        except BrokenProcessPool as error:
            _end_workers(results)
            raise DaeError(
                "a worker process was killed, perhaps because the memory ran out; the same "
                "command goes on from the checkpoints, and fewer --jobs need less memory"
            ) from error
        except BaseException:
            _end_workers(results)
            raise


def _end_workers(results: Any) -> None:
    """Kill the workers now; without this the pool would wait for their runs to end."""
    from joblib.externals.loky import get_reusable_executor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib tells what was called off; that is known here
        if hasattr(results, "close"):
            results.close()
    # The first line above does it, unless the interrupt came while joblib was still dispatching.
    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _run_in_worker(job: Job, command: str) -> RunRow:
    # Ctrl-C reaches the whole process group; the parent alone decides what becomes of workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _run_here(job, _FileWatcher(job), command)


def _progress_file(job: Job) -> Path:
    return job.folder.with_name(f".{job.name}.progress")


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".new")


class _FileWatcher(Silent):
    """Leaves a worker's progress in a small file that the parent reads now and then."""

    def __init__(self, job: Job) -> None:
        self._path = _progress_file(job)
        self._parent = os.getppid()
        self._resumed = False

    def started(self, run: str, resumed: bool) -> None:
        self._resumed = resumed

    def moved(self, run: str, position: Position) -> None:
        if os.getppid() != self._parent:
            os._exit(1)  # the command was killed; the next one will go on from the checkpoint
        text = json.dumps({"resumed": self._resumed, "position": asdict(position)})
        # Not forced to the disk, which several times a second would slow the run down; and a
        # run does not fail because its progress cannot be told.
        with suppress(OSError):
            _unfinished(self._path).write_text(text, encoding="utf-8")
            _unfinished(self._path).replace(self._path)


class _Progress:
    """Tells the watcher what the workers' files say; nothing of a run comes after its end."""

    def __init__(self, jobs: Sequence[Job], watcher: Watcher) -> None:
        self._watcher = watcher
        self._files = {job.name: _progress_file(job) for job in jobs}
        self._told: dict[str, str] = {}
        self._ended: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Self:
        self._remove_files()  # of a command that was killed
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._remove_files()

    def finish(self, row: RunRow) -> None:
        """Tell the last of a run, then its end."""
        with self._lock:
            self._tell(row.run)
            self._ended.add(row.run)
            self._watcher.finished(row)

    def _poll(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            with self._lock:
                for run in self._files:
                    if run not in self._ended:
                        self._tell(run)

    def _tell(self, run: str) -> None:
        try:
            text = self._files[run].read_text(encoding="utf-8")
        except OSError:
            return  # not begun
        if text == self._told.get(run):
            return
        progress = json.loads(text)
        if run not in self._told:
            self._watcher.started(run, progress["resumed"])
        self._told[run] = text
        self._watcher.moved(run, Position(**progress["position"]))

    def _remove_files(self) -> None:
        for path in self._files.values():
            path.unlink(missing_ok=True)
            _unfinished(path).unlink(missing_ok=True)
