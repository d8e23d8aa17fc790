"""The whole path with the real command: `dae replicate smoke`, from data to a report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Ended
from tests.support.tiny import read_csv, read_json

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = Path(sys.executable).with_name("dae")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_cell_of_the_smoke_study_runs_from_data_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the console script of a package that is installed within a checkout."""
    if not SCRIPT.is_file():
        pytest.skip(f"no console script: {SCRIPT}")
    installed = tmp_path / "checkout" / ".venv" / "site-packages"
    shutil.copytree(ROOT / "dae_cli", installed / "dae_cli")
    (tmp_path / "checkout" / ".git").mkdir()
    shutil.copytree(ROOT / "experiments" / "smoke", tmp_path / "experiments" / "smoke")
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(installed))
    words = ("replicate", "smoke", "--only", "convex-25", "--jobs", "1", "--engine", "torch")
    done = subprocess.run(
        [SCRIPT, *words], env=os.environ, capture_output=True, text=True, timeout=200
    )
    ended = Ended(done.returncode, done.stdout, done.stderr).succeeded()
    assert ended.lines[-1].startswith("1 done, 0 skipped, 0 failed in ")
    assert ended.lines[-1].endswith(" · results/smoke/REPORT.md")
    assert "convex (regenerated)" in ended.err
    results = Path("results/smoke")
    (row,) = read_csv(results / "runs.csv")
    assert (row["model"], row["destruction_percent"]) == ("SdA-3", "25")
    assert (row["data_origin"], row["n_test"]) == ("regenerated", "1000")
    assert float(row["test_error_percent"]) < 40  # chance: 50
    assert (row["verdict"], row["threads"], row["error"]) == ("no reference", "1", "")
    assert row["commit"] == ""  # the checkout around the package is not its own
    environment = read_json(results / "runs" / row["run"] / "environment.json")
    assert (environment["threads"], environment["command"]) == (1, " ".join(("dae", *words)))
    for name in ("REPORT.md", "report.html", "error_vs_destruction.png", "filters/convex-25.png"):
        assert (results / name).stat().st_size > 0
