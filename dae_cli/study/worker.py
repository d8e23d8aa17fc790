"""What happens in a process that makes a job.

Nothing is imported at the top that could fail: who is to hear of it would not.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import threading
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from dae_cli.errors import DaeError
from dae_cli.stopping import WorkerStopRequest


class StartError(DaeError):
    """No process can be started here."""

    @classmethod
    def because(cls, why: object) -> Self:
        """Say why, and what to do."""
        return cls(f"worker processes cannot be started ({why}); --jobs 1 needs none")


def work(folder: Path, pickled: bytes, writer: Connection) -> None:
    """Make a job; what is sent is its progress, then ("result", …) or ("error", …).

    Args:
        folder: the current one of the command.
        pickled: the job and what makes it.
        writer: leads to the command.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stop = WorkerStopRequest()
    os.chdir(folder)
    result: tuple[str, object]
    try:
        from dae_cli.study.progress import SendingWatcher

        job, make = pickle.loads(pickled)
        try:
            result = "result", make(job, SendingWatcher(partial(_send_progress, writer)), stop)
        except BaseException as error:
            result = "error", error
    except ImportError as error:
        result = "error", StartError.because(error)
    writer.send(result)


def _send_progress(writer: Connection, message: tuple[Any, ...]) -> None:
    """Send it, unless the command has not read for a while: the job goes on in any case."""
    with suppress(OSError):
        if select.select([], [writer], [], 0)[1]:
            writer.send(("progress", message))


def _end_with_parent() -> None:
    """End this process, wherever it is, as soon as the command is gone, even killed.

    The next command will go on from the checkpoint.
    """
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
