"""Fuzz one target for some time in a separate process, and write its row of fuzz.csv."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from tests.fuzz.targets import Target

HANG, RESIDENT = 10, 2048  # most seconds per input, most MiB of memory
COUNTS = "counts.json"
NOTHING = dict.fromkeys(("accepted", "refused", "failed", "ways"), 0)
"""Numbers of inputs that were accepted, refused or failed, and of different failures."""


class Attempts:
    """Try inputs; the counts are in a file, so that they survive any end of the process."""

    def __init__(self, target: Target, folder: Path, failures: Path) -> None:
        """Begin at zero; write inputs to `folder`, and failing ones to `failures`."""
        self._target, self._folder, self._failures = target, folder, failures
        self._counts = dict(NOTHING)
        self._seen: set[tuple[str, ...]] = set()

    def attempt(self, data: bytes) -> None:
        """Try one input."""
        counts = self._counts
        try:
            counts["accepted" if self._target.accepts(data, self._folder) else "refused"] += 1
        except Exception as error:
            counts["failed"] += 1
            self._save(data, error)
            counts["ways"] = len(self._seen)
        (self._folder / COUNTS).write_text(json.dumps(counts))

    def _save(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        way = (type(error).__name__, *(f"{f.filename}:{f.lineno}" for f in frames[-3:]))
        if way in self._seen:
            return
        self._seen.add(way)
        path = self._failures / f"{self._target.name.replace(' ', '-')}-{len(self._seen)}"
        path.with_suffix(".input").write_bytes(data)
        text = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def counted(folder: Path) -> dict[str, int]:
    """Return the last counts in the file; zeros if there is no file."""
    path = folder / COUNTS
    return NOTHING | (json.loads(path.read_text()) if path.exists() else {})


@dataclass(frozen=True)
class Row:
    """Figures of one target."""

    target: str
    inputs: int
    refused: int
    accepted: int
    failures: int  # different failures: exceptions other than a refusal, hangs, too much memory
    corpus: int  # inputs that reached new code
    edges: int  # edges of the control flow of `dae_cli` that were taken
    seconds: float
    seed: int
    engine: str
    commit: str


def fuzz(
    name: str, seconds: float, seed: int, failures: Path, commit: str, most_inputs: int = -1
) -> Row:
    """Fuzz a target in a separate process; save failing inputs in the folder `failures`."""
    failures.mkdir(parents=True, exist_ok=True)
    prefix = f"{failures.resolve()}/{name.replace(' ', '-')}"
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.child", name, folder, failures.resolve()),
                *(f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-runs={most_inputs}"),
                *(f"-timeout={HANG}", f"-rss_limit_mb={RESIDENT}", f"-artifact_prefix={prefix}-"),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        counts = counted(Path(folder))
    if done.returncode != 0:
        Path(f"{prefix}-end.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    covered = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)/", done.stderr) or [(0, 0)]
    edges, corpus = map(int, covered[-1])
    return Row(
        target=name,
        inputs=sum(counts.values()) - counts["ways"],
        refused=counts["refused"],
        accepted=counts["accepted"],
        failures=counts["ways"] + (done.returncode != 0),
        corpus=corpus,
        edges=edges,
        seconds=round(time.monotonic() - start, 1),
        seed=seed,
        engine=f"atheris {version('atheris')}",
        commit=commit,
    )


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Write a table with one row per target, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    return path
