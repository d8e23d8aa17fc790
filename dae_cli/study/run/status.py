"""status.json of a run while it is made: how far it is, and what it took, all sessions together."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from dae_cli.errors import RunFolderError
from dae_cli.stopping import Stop
from dae_cli.study.progress import Watcher
from dae_cli.study.run.folder import STATUS, Job, write_status
from dae_cli.study.run.records import Status, read_record


class Stopped(Exception):
    """The run was asked to stop and has kept what it goes on from."""


class RunStatus:
    """The part that the runs of networks and SVMs have in common."""

    def __init__(self, job: Job, watcher: Watcher, stop: Stop) -> None:
        self._job = job
        self._watcher = watcher
        self._stop = stop
        self._start = time.monotonic()
        self._before = 0.0  # seconds spent before this process took over
        self._kept, self._keeping = 0, 0.0
        # At once: whatever fails from here on must not make the run forget what it has taken.
        if job.state() == "stopped" and (before := status_so_far(job)):
            self._before = 60.0 * before.minutes
            self._kept, self._keeping = before.checkpoints.kept, before.checkpoints.seconds

    def minutes(self) -> float:
        """Return the time this run has taken, all its sessions together."""
        return (self._before + time.monotonic() - self._start) / 60.0

    def write_status(self, outcome: str, **more: Any) -> None:
        """Write status.json; `more` is the result or the error."""
        data = self._job.data
        status = {
            "state": outcome,
            "run": self._job.name,
            "cell": self._job.cell,
            "data": {
                "origin": data.origin,
                "trust": data.trust,
                "sha256": data.sha256,
                "source": data.source,
            },
            "minutes": round(self.minutes(), 4),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "checkpoints": {"kept": self._kept, "seconds": round(self._keeping, 3)},
            **more,
        }
        write_status(self._job.partial, status)


def status_so_far(job: Job) -> Status | None:
    """Return what a stopped run tells of itself; None where it tells nothing."""
    try:
        return read_record(job.partial / STATUS, Status)
    except RunFolderError:
        return None
