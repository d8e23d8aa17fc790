"""The short form of `make torture`: a few kills at random moments, by the real command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import Child
from tests.support.compare import differences, temporary_files
from tests.torture.kills import Torture
from tests.torture.reader import Reader

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@needs_proc
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("tiny")
def test_a_study_killed_at_random_moments_ends_with_the_same_results(
    tmp_path: Path, tiny_data: Path
) -> None:
    how = {"cold": 0.0, "alone": 1.0}
    study = ("tiny", "--set", "finetune.max_epochs=40", "--set", "finetune.patience=40")
    torture = Torture(tmp_path, seed=7, report=lambda _: None, study=study, data=tiny_data, **how)
    tally = torture.run(kills=2)
    assert tally.failures() == []
    assert tally.killed >= 2
    assert tally.studies >= 1
    assert tally.reads > 0


def test_the_reader_notices_a_half_written_file(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    reader = Reader(tmp_path)
    reader.read_all()
    assert (reader.reads, reader.broken) == (0, [])
    (tmp_path / "runs.csv").write_text("cell,run,error\nrect-0\n")
    (run / "status.json").write_text('{"state": "do')
    (run / "metrics.csv").write_text("phase,epoch,cost\npretrain,1\n")
    reader.read_all()
    named = {text.partition(":")[0] for text in reader.broken}
    assert named == {"runs.csv", "runs/one/metrics.csv", "runs/one/status.json"}


def test_the_reader_notices_a_row_that_disappears(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for rows in ("convex-0,convex-1,\n", ""):
        (tmp_path / "runs.csv").write_text(f"cell,run,error\n{rows}")
        reader.read_all()
    assert (reader.broken, reader.lost) == ([], ["convex-1"])


def test_differences_and_leftover_files_are_found(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = tmp_path / name / "runs" / "convex"
        run.mkdir(parents=True)
        (run / "checkpoint.safetensors").write_bytes(name.encode())
        for file in ("metrics.csv", "config.yaml", "filters.png", "wrong_rows.npy"):
            (run / file).write_text("same")
        (tmp_path / name / "runs.csv").write_text(f"cell,minutes\nconvex,{len(name)}\n")
        (tmp_path / name / "table.csv").write_text(f"cell,n_wrong\nconvex,{name}\n")
        (tmp_path / name / "REPORT.md").write_text(
            f"Made by `dae --out {name}` at abc; one core in all.\n"
        )
        (tmp_path / name / "report.html").write_text(
            f'<meta name="dae-command" content="dae --out {name}">\n<dt>minutes</dt><dd>{name}</dd>'
        )
    found = differences(tmp_path / "one", tmp_path / "two")
    assert found == ["runs/convex/checkpoint.safetensors", "table.csv"]
    (tmp_path / "one" / "runs" / ".convex.lock").touch()
    (tmp_path / "one" / "runs" / "other.partial").mkdir()
    assert sorted(temporary_files(tmp_path / "one")) == ["runs/.convex.lock", "runs/other.partial"]


@needs_proc
def test_a_process_that_outlives_its_command_is_found(child: Callable[..., Child]) -> None:
    command = child("--version", inside=("sh", "-c", 'sleep 60 & exec "$@"', "sh"))
    command.wait()
    assert len(command.others()) == 1
    command.kill_group()
    assert command.survivors() == []
