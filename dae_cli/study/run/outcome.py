"""What a run came to: its row, or that it was left for another time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dae_cli.stopping import Stop
from dae_cli.study.locks import HeldError
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import Job


@dataclass(frozen=True)
class Left:
    """A run that this process did not bring to an end."""

    run: str
    why: Literal["stopped", "held"]
    """It was asked to stop and kept a checkpoint; or another process is making it."""


def outcome_of(job: Job, watcher: Watcher, command: str, stop: Stop) -> RunRow | Left:
    """Make a run here, in this thread, and return what it came to."""
    from dae_cli.study.run.execute import execute
    from dae_cli.study.run.status import Stopped

    try:
        return execute(job, watcher, command, stop)
    except Stopped:
        return Left(job.name, "stopped")
    except HeldError:
        return Left(job.name, "held")
