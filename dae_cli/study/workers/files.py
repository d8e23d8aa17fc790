"""Small files beside the runs, between a command and its workers: progress, a wish to stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from dae_cli.errors import DaeError
from dae_cli.files import part_of
from dae_cli.stopping import Stop
from dae_cli.study.progress import Position, Silent, Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import PROGRESS, Job, hidden, sweep_runs

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


class ProgressFiles:
    """The command's end: tells the watcher what the workers' files say.

    Nothing of a run comes after its end.
    """

    def __init__(self, jobs: Sequence[Job], watcher: Watcher, runs: Path | None = None) -> None:
        """Listen to `jobs`; their folder is `runs`, which must be given where no job is known."""
        self._watcher = watcher
        self._runs = runs or jobs[0].folder.parent
        self._files = {job.name: _progress_file(job) for job in jobs}
        self._told: dict[str, str] = {}

    def close(self) -> None:
        """Remove what the workers left."""
        with suppress(OSError, DaeError):  # a disk that is read-only by now, say
            sweep_runs(self._runs)

    def poll(self) -> None:
        """Read the files of all runs that have not ended."""
        for run in self._files:
            self._tell(run)

    def finish(self, row: RunRow) -> None:
        """Tell the last of a run, then its end."""
        self._tell(row.run)
        self._watcher.finished(row)
        self._files.pop(row.run).unlink(missing_ok=True)

    def leave(self, run: str) -> None:
        """Tell no more of a run that is not brought to an end here."""
        del self._files[run]

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


class ClusterFiles(ProgressFiles):
    """When the command is to stop, makes the file that the workers of a cluster look for."""

    def __init__(
        self, jobs: Sequence[Job], watcher: Watcher, stop: Stop, runs: Path | None = None
    ) -> None:
        super().__init__(jobs, watcher, runs)
        self._stop = stop
        self.stop_file = part_of(self._runs / "stop")
        self._asked = False

    def close(self) -> None:
        with suppress(OSError):
            self.stop_file.unlink(missing_ok=True)
        super().close()

    def poll(self) -> None:
        if self._stop.asked():
            self.ask_to_stop()
        super().poll()

    def ask_to_stop(self) -> None:
        """Let every worker finish its step and keep a checkpoint."""
        if self._asked:
            return
        self._asked = True
        self._watcher.note(STOPPING)
        with suppress(OSError):  # a full disk, say: then the end of the command stops them
            self.stop_file.touch()
