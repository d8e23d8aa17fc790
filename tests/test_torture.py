"""The short form of `make torture`: a few kills at random moments, by the real command."""

from __future__ import annotations

from pathlib import Path

import pytest

from dae_cli.study.rows import RunRow, write_rows
from tests.torture.command import Command
from tests.torture.compare import differences, temporary_files
from tests.torture.kills import Torture
from tests.torture.looking import Looking

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.process
@pytest.mark.timeout(400)
def test_a_study_killed_at_random_moments_ends_as_if_nobody_had_killed_it(tmp_path: Path) -> None:
    tally = Torture(tmp_path, seed=2, tell=lambda _: None, cold=0.0).run(kills=2)
    assert tally.failures() == []
    assert tally.killed >= 2
    assert tally.studies >= 1
    assert tally.reads > 100


def test_who_looks_on_notices_half_a_file(tmp_path: Path) -> None:
    header = "cell,run"
    looking = Looking(tmp_path)
    looking.look()
    assert (looking.reads, looking.broken) == (0, [])
    (tmp_path / "runs.csv").write_text(header)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "status.json").write_text('{"state": "do')
    (tmp_path / "runs" / "one" / "metrics.csv").write_text("phase,layer\npretrain,1\n")
    looking.look()
    assert {text.partition(":")[0] for text in looking.broken} == {
        "runs.csv",
        "runs/one/metrics.csv",
        "runs/one/status.json",
    }


def test_who_looks_on_notices_a_row_that_goes_again(tmp_path: Path) -> None:
    looking = Looking(tmp_path)
    row = RunRow("convex-0", "convex-1", "convex", "original", "d" * 64, "SAA-3", 0.0, 0)
    for rows in ([row], []):
        write_rows(tmp_path / "runs.csv", rows, RunRow)
        looking.look()
    assert (looking.broken, looking.lost) == ([], ["convex-1"])


def test_what_differs_and_what_is_left_is_found(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = tmp_path / name / "runs" / "convex"
        run.mkdir(parents=True)
        (run / "checkpoint.safetensors").write_bytes(name.encode())
        for file in ("metrics.csv", "config.yaml", "filters.png"):
            (run / file).write_text("same")
        (tmp_path / name / "runs.csv").write_text(f"cell,minutes\nconvex,{len(name)}\n")
        (tmp_path / name / "table.csv").write_text(f"cell,n_wrong\nconvex,{name}\n")
        (run / "wrong_rows.npy").write_bytes(b"same")
        (tmp_path / name / "mcnemar.csv").write_text("dataset,p_value\nconvex,0.5\n")
        (tmp_path / name / "wrong_rows.csv").write_text("run,bits\nconvex,mEA=\n")
        (tmp_path / name / "REPORT.md").write_text(
            f"Made by `dae --out {name}` at abc; one core in all.\n"
        )
        (tmp_path / name / "report.html").write_text(
            f'<meta name="dae-command" content="dae --out {name}">\n'
            f'<p class="made">Made by <code>{name}</code></p><dt>minutes</dt><dd>{name}</dd>\n'
        )
    found = differences(tmp_path / "one", tmp_path / "two")
    assert found == ["runs/convex/checkpoint.safetensors", "table.csv"]
    (tmp_path / "one" / "runs" / ".convex.lock").touch()
    (tmp_path / "one" / "runs" / "other.partial").mkdir()
    assert sorted(temporary_files(tmp_path / "one")) == ["runs/.convex.lock", "runs/other.partial"]


@needs_proc
def test_a_process_that_outlives_its_command_is_found(tmp_path: Path) -> None:
    command = Command(("--version",), {}, tmp_path)
    command.wait(60)
    assert command.survivors() == []
    assert command.others() == []
