"""A Dask cluster on this machine: a scheduler and two workers in separate processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.children import ROOT, wait_until


class DaskCluster:
    """A scheduler on a port chosen by the system, and workers with one thread each."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            **environment,
            "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
            # A task fails when its second worker dies, so that tests need not wait for more.
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        }
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        where = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self._file))
        self.scheduler = self._start("scheduler", *where)
        try:
            wait_until(self._address)
        except BaseException:
            self.end()
            raise
        self.address = self._address()

    def add_workers(self) -> None:
        """Start two workers, each with a nanny that restarts it, and wait until they are
        connected."""
        where = ("--host", "127.0.0.1", "--local-directory", str(self._folder / "scratch"))
        self._start("worker", self.address, "--nworkers", "2", "--nthreads", "1", *where)
        wait_until(lambda: len(self.worker_pids()) == 2)

    def _address(self) -> str:
        """The scheduler's address; empty until it has been written completely."""
        try:
            return str(json.loads(self._file.read_text())["address"])
        except (OSError, ValueError):
            return ""

    def worker_pids(self) -> list[int]:
        """Return the processes of the workers."""
        from distributed import Client

        connect: Any = Client
        with connect(self.address, set_as_default=False) as client:
            return list(client.run(os.getpid, on_error="ignore").values())

    def run_pids(self) -> list[int]:
        """Return the processes that execute runs: forked by a server that a worker started."""
        import psutil

        servers = [child for pid in self.worker_pids() for child in psutil.Process(pid).children()]
        return [run.pid for server in servers for run in server.children()]

    def address_of_a(self, kind: str) -> str:
        """Return the address of a `Worker`, or of the `Nanny` that watches it."""
        from distributed import Client

        connect: Any = Client
        with connect(self.address, set_as_default=False) as client:
            workers = client.scheduler_info()["workers"]
        address, about = next(iter(workers.items()))
        return str(address if kind == "Worker" else about["nanny"])

    def end(self) -> None:
        """Kill all processes."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{what}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *words, "--no-dashboard"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._folder,
            )
        self._processes.append(process)
        return process
