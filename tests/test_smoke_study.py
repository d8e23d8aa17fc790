"""The whole path through the real command: `dae replicate smoke` on regenerated convex."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dae_cli.study.rows import RunRow, read_rows


@pytest.mark.timeout(240)
def test_the_smoke_study_runs_from_nothing_to_a_report_and_is_then_skipped(tmp_path: Path) -> None:
    out = tmp_path / "results"
    first = _dae(tmp_path, "replicate", "smoke", "--jobs", "2", "--out", str(out))
    assert first.returncode == 0, first.stderr
    assert "2 done, 0 skipped, 0 failed" in first.stdout
    assert "regenerated" in first.stderr

    rows = read_rows(out / "runs.csv", RunRow)
    assert [(row.model, row.destruction_percent) for row in rows] == [("SAA-3", 0), ("SdA-3", 25)]
    for row in rows:
        assert row.data_origin == "regenerated"
        assert row.n_test == 1000
        assert row.test_error_percent is not None and row.test_error_percent < 40  # chance: 50
        assert row.verdict == "no reference"
    for name in (
        "table.csv",
        "REPORT.md",
        "report.html",
        "error_vs_destruction.png",
        "filters/convex-25.png",
    ):
        assert (out / name).stat().st_size > 0

    second = _dae(tmp_path, "replicate", "smoke", "--out", str(out))
    assert second.returncode == 0, second.stderr
    assert "0 done, 2 skipped, 0 failed" in second.stdout

    run = out / "runs" / rows[1].run
    again = _dae(tmp_path, "evaluate", str(run), "--format", "csv")
    assert f",{rows[1].n_wrong}," in again.stdout


def _dae(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder of its own, with an empty cache."""
    environment = {k: v for k, v in os.environ.items() if k != "DAE_DATA_DIR"} | {
        "DAE_CACHE_DIR": str(folder / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-m", "dae_cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
