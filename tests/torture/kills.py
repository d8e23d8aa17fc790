"""Kill a command at random moments, run it again after each kill, and check the results."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.children import Child
from tests.support.compare import differences, temporary_files
from tests.torture.reader import Reader

ENDS = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}
LEAST_PATIENCE = 3.0
"""Seconds after which a run is well under way; kills come at any time up to at least then."""
KILLS = ("command", "group", "worker")
"""Targets of a kill: only the command, all its processes, or one of its workers."""


@dataclass
class Tally:
    """Counts and faults of all kills."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*KILLS, *ENDS), 0))
    studies: int = 0
    cold: int = 0
    """Studies that began with an empty cache, so that data were generated as well."""
    reads: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    wrong_exits: list[str] = field(default_factory=list)

    @property
    def killed(self) -> int:
        """Number of SIGKILLs; requests to stop are not counted."""
        return sum(self.kills[how] for how in KILLS)

    def failures(self) -> list[str]:
        """Return all faults."""
        return [
            *(f"half-written: {text}" for text in self.broken),
            *(f"lost row: {text}" for text in self.lost),
            *(f"survived: {text}" for text in self.survivors),
            *(f"differs: {text}" for text in self.different),
            *(f"left behind: {text}" for text in self.left),
            *(f"exit code: {text}" for text in self.wrong_exits),
        ]


class Torture:
    """Run studies in a folder, each killed repeatedly until it is done."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        report: Callable[[str], None],
        cold: float = 0.15,
        alone: float = 0.2,
        study: tuple[str, ...] = ("smoke", "--origin", "regenerated"),
        data: Path | None = None,
    ) -> None:
        """Prepare.

        Args:
            folder: for everything that is written.
            seed: seed of the moments and kinds of kills.
            report: called with lines of progress.
            cold: share of studies that begin with an empty cache.
            alone: share of commands that execute one run at a time, in their own process.
            study: its name and further arguments.
            data: folder of its data; without it, data are generated.
        """
        self.tally = Tally()
        self._folder = folder
        self._random = random.Random(seed)
        self._report = report
        self._cold, self._alone = cold, alone
        self._words, self._data = study, data
        self._patience = 0.0
        self._caches = folder / "caches"
        self._reference = folder / "reference"

    def run(self, kills: int) -> Tally:
        """Kill at least `kills` times and finish the last study."""
        begin = time.monotonic()
        self._report("a study without kills, for comparison")
        self._finish(self._reference, self._caches / "warm")
        self._patience = time.monotonic() - begin
        while self.tally.killed < kills:
            self._study(kills)
        self.tally.seconds = time.monotonic() - begin
        return self.tally

    def _study(self, kills: int) -> None:
        tally, name = self.tally, f"study-{self.tally.studies + 1}"
        before = len(tally.failures())
        out = self._folder / name
        cold = self._random.random() < self._cold
        tally.cold += cold
        cache = self._caches / (name if cold else "warm")
        with Reader(out) as reader:
            while tally.killed < kills and not self._kill_once(out, cache):
                pass
            self._finish(out, cache)
        tally.reads += reader.reads
        tally.broken += reader.broken
        tally.lost += [f"{name}: {run}" for run in reader.lost]
        tally.different += [f"{name}: {what}" for what in differences(out, self._reference)]
        tally.left += [f"{name}: {what}" for what in temporary_files(out)]
        tally.left += [f"{name}, cache: {what}" for what in _litter(cache)]
        tally.studies += 1
        for fault in tally.failures()[before:]:
            self._report(fault)
        self._report(f"{tally.killed} kills, {tally.studies} studies")
        shutil.rmtree(out)

    def _kill_once(self, out: Path, cache: Path) -> bool:
        """Start the command and stop it at a random moment; return whether it was already done."""
        command = self._command(out, cache)
        if command.poll(self._random.uniform(0.05, self._patience)) is not None:
            self._expect(command, {0})
            # The machine may be less busy than before, so come earlier next time.
            self._patience = max(LEAST_PATIENCE, 0.8 * self._patience)
            return True
        self._patience *= 1.02
        how = self._random.choices((*KILLS, *ENDS), (5, 4, 3, 1, 1))[0]
        if how == "worker":
            for pid in command.workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                self.tally.kills[how] += 1
            if command.poll(self._random.uniform(0.1, self._patience)) is None:
                self.tally.kills["command"] += 1
                command.kill()
        elif how in ENDS:
            self.tally.kills[how] += 1
            # The signal may come before the command handles it, or just when it is done.
            expected = {0, 128 + ENDS[how], 128 - ENDS[how]}
            if (ended := command.end(ENDS[how])).code not in expected:
                self.tally.wrong_exits.append(f"{how}: {ended.code}\n{ended.err}")
        else:
            self.tally.kills[how] += 1
            command.kill() if how == "command" else command.kill_group()
        self.tally.survivors += [f"{how}: {pid}" for pid in command.survivors()]
        return False

    def _finish(self, out: Path, cache: Path) -> None:
        command = self._command(out, cache)
        command.wait(600)
        self._expect(command, {0})

    def _expect(self, command: Child, codes: set[int]) -> None:
        ended = command.wait()
        if ended.code not in codes:
            self.tally.wrong_exits.append(f"{ended.code}: {ended.err}")
        self.tally.survivors += [f"done: {pid}" for pid in command.survivors()]

    def _command(self, out: Path, cache: Path) -> Child:
        jobs = "1" if self._random.random() < self._alone else "2"
        out_of = ("--out", str(out), "--jobs", jobs, "--engine", "torch")
        environment = {
            "DAE_CACHE_DIR": str(cache),
            "DAE_DATA_DIR": str(self._data or ""),
            "DAE_CHECKPOINT_SECONDS": "0.05",  # so that kills come between two checkpoints
            "OMP_NUM_THREADS": "1",
        }
        return Child("replicate", *self._words, *out_of, environment=environment)


def _litter(cache: Path) -> list[str]:
    """Return the half-written files in a cache; lock files and Numba's kernels may stay."""
    return [
        str(path.relative_to(cache))
        for path in cache.rglob("*")
        if path.name.startswith(".download-") or path.suffix == ".part"
    ]
