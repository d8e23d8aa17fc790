"""Fuzzing one target for some time, and the row that is told of it."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from tests.fuzz.attempts import counted
from tests.fuzz.targets import TARGETS

HANG = 10
"""Seconds an input may take."""
RESIDENT = 2048
"""MiB a process may hold."""


@dataclass(frozen=True)
class Row:
    """How one target did."""

    target: str
    inputs: int
    refused: int
    accepted: int
    failures: int
    """Ways to fail: exceptions that are no plain refusal, hangs, too much memory."""
    corpus: int
    """Inputs that were kept because they reached something new."""
    edges: int
    """Jumps in the compiled code of the readers and of the configuration that were taken."""
    seconds: float
    seed: int
    engine: str
    commit: str


def fuzz(
    name: str, seconds: float, seed: int, failures: Path, commit: str, most_inputs: int = -1
) -> Row:
    """Fuzz a target in a process of its own; what fails is kept in the folder `failures`."""
    failures.mkdir(parents=True, exist_ok=True)
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpus = folder / "corpus"
        corpus.mkdir()
        inputs = target.inputs()
        for i, data in enumerate(inputs):
            (corpus / str(i)).write_bytes(data)
        start = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.child", name, folder, failures.resolve()),
                *(f"-max_total_time={seconds:.0f}", f"-seed={seed}"),
                f"-runs={most_inputs}",
                *(f"-timeout={HANG}", f"-rss_limit_mb={RESIDENT}"),
                f"-max_len={2 * max(map(len, inputs)) + 1000}",
                f"-artifact_prefix={failures.resolve()}/{target.file_name}-",
                str(corpus),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        counts = counted(folder)
    if done.returncode != 0:
        (failures / f"{target.file_name}-end.txt").write_text(done.stdout + done.stderr)
    covered = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)/", done.stderr)
    edges, kept = map(int, covered[-1]) if covered else (0, 0)
    return Row(
        target=name,
        inputs=counts.inputs,
        refused=counts.refused,
        accepted=counts.accepted,
        failures=counts.ways + (done.returncode != 0),
        corpus=kept,
        edges=edges,
        seconds=round(time.monotonic() - start, 1),
        seed=seed,
        engine=f"atheris {version('atheris')}",
        commit=commit,
    )


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table of one row a target."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
