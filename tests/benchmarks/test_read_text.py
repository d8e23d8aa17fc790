from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "read_text.py"


@pytest.mark.slow
def test_the_benchmark_runs_and_all_readers_agree(tmp_path: Path) -> None:
    figures = tmp_path / "figures.csv"
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rows", "20", "--repeats", "1", "--csv", figures],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "times as fast as pandas.read_csv" in done.stdout
    with figures.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["reader"] == "dae"
    assert len(rows) == 4
    assert {row["megabytes"] for row in rows} == {"0.3"}
