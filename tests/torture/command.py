"""The command that is tortured, as a process of its own, and what there is of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

MARK = "DAE_TORTURED"
GRACE = 20.0
"""Seconds in which the processes of a killed command must be gone."""


@dataclass
class Command:
    """`dae` with some words, in a process group of its own."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    logs: Path
    """Folder for what it writes to stderr."""
    mark: str = field(default_factory=lambda: token_hex(8))
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Start it."""
        site = Path(__file__).parent / "site"
        paths = os.pathsep.join(p for p in (str(site), os.environ.get("PYTHONPATH")) if p)
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dae_cli", *self.arguments],
                env={**os.environ, **self.environment, "PYTHONPATH": paths, MARK: self.mark},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> bool:
        """Wait at most so long, and return whether it has ended."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill the command itself and leave its workers to themselves."""
        self.process.kill()
        self.process.wait()

    def kill_group(self) -> None:
        """Kill every process at once, as a machine that crashes would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def workers(self) -> list[int]:
        """The living worker processes of the pool."""
        found = []
        for pid in self.others():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"popen_loky" in words:
                found.append(pid)
        return found

    def end(self, number: int) -> int:
        """Send a signal and return the exit code, as a shell tells it."""
        self.process.send_signal(number)
        code = self.process.wait(120)
        return 128 - code if code < 0 else code

    def others(self) -> list[int]:
        """The living processes that the command started, workers and helpers of the pool."""
        sought = f"{MARK}={self.mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            pid = int(path.name)
            try:
                ours = sought in (path / "environ").read_bytes().split(b"\0")
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if ours and pid != self.process.pid and state != "Z":
                found.append(pid)
        return sorted(found)

    def survivors(self) -> list[int]:
        """The processes that are still there when they have had time to end."""
        end = time.monotonic() + GRACE
        while (left := self.others()) and time.monotonic() < end:
            time.sleep(0.05)
        return left

    def said(self) -> str:
        """What it wrote to stderr; waits for its end."""
        self.process.wait()
        return self.said_so_far()

    def said_so_far(self) -> str:
        """What it has written to stderr by now."""
        return self._log.read_text(encoding="utf-8")

    @property
    def _log(self) -> Path:
        return self.logs / f"{self.mark}.log"
