"""Small files beside the runs, between a command and its workers: progress, a wish to stop."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from dae_cli.errors import DaeError
from dae_cli.files import part_of
from dae_cli.stopping import Stop
from dae_cli.study.progress import Position, Silent, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import PROGRESS, Job, hidden, sweep_runs

POLL_SECONDS = 0.25
STOPPING = "stopping: runs finish their step and keep a checkpoint; once more stops at once"


def _progress_file(job: Job) -> Path:
    return hidden(job.folder, PROGRESS)


class FileWatcher(Silent):
    """The worker's end: leaves its progress in a file that the command reads now and then."""

    def __init__(self, job: Job) -> None:
        self._path = _progress_file(job)
        self._resumed = False

    def started(self, run: str, resumed: bool) -> None:
        self._resumed = resumed

    def moved(self, run: str, position: Position) -> None:
        text = json.dumps({"resumed": self._resumed, "position": asdict(position)})
        # Not forced to the disk, which several times a second would slow the run down; and a
        # run does not fail because its progress cannot be told.
        part = part_of(self._path)
        with suppress(OSError):
            part.write_text(text, encoding="utf-8")
            part.replace(self._path)


class WorkerFiles:
    """The command's end.

    Tells the watcher what the workers' files say; nothing of a run comes after its end. When the
    command is to stop, makes the file that the workers look for.
    """

    def __init__(
        self, jobs: Sequence[Job], watcher: Watcher, stop: Stop, runs: Path | None = None
    ) -> None:
        """Listen to `jobs`; their folder is `runs`, which must be given where no job is known."""
        self._watcher = watcher
        self._stop = stop
        self._runs = runs or jobs[0].folder.parent
        self.stop_file = part_of(self._runs / "stop")
        self._files = {job.name: _progress_file(job) for job in jobs}
        self._told: dict[str, str] = {}
        self._ended: set[str] = set()
        self._asked = False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Self:
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
        with suppress(OSError, DaeError):  # a disk that is read-only by now, say
            self.stop_file.unlink(missing_ok=True)
            sweep_runs(self._runs)

    def finish(self, row: RunRow) -> None:
        """Tell the last of a run, then its end."""
        with self._lock:
            self._tell(row.run)
            self._ended.add(row.run)
            self._watcher.finished(row)
        self._files[row.run].unlink(missing_ok=True)

    def leave(self, run: str) -> None:
        """Tell no more of a run that is not brought to an end here."""
        with self._lock:
            self._ended.add(run)

    def _poll(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            if self._stop.asked():
                self.ask_to_stop()
            with self._lock:
                for run in self._files:
                    if run not in self._ended:
                        self._tell(run)

    def ask_to_stop(self) -> None:
        """Let every worker finish its step and keep a checkpoint."""
        if self._asked:
            return
        self._asked = True
        self._watcher.note(STOPPING)
        try:
            self.stop_file.touch()
        except OSError:  # a full disk, say
            for worker in multiprocessing.active_children():
                worker.terminate()  # which a worker hears as the same request

    def _tell(self, run: str) -> None:
        try:
            text = self._files[run].read_text(encoding="utf-8")
            if text == self._told.get(run):
                return
            progress = json.loads(text)
            resumed, place = bool(progress["resumed"]), Position(**progress["position"])
        except (OSError, ValueError, KeyError, TypeError):
            return  # not begun
        if run not in self._told:
            self._watcher.started(run, resumed)
        self._told[run] = text
        self._watcher.moved(run, place)
