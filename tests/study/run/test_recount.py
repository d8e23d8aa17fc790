"""Wrong test rows that a run has not kept are counted again from its checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.study.run.folder import CHECKPOINT, WRONG_ROWS, Job
from dae_cli.study.run.recount import keep_what_is_missing


@pytest.fixture
def copied(in_process: Any, tmp_path: Path) -> tuple[Path, list[Job]]:
    """A copy of the results, which a test may damage, and the jobs of its done runs."""
    out = Path(shutil.copytree(in_process.out, tmp_path / "copy"))
    jobs = [
        replace(p.job, folder=out / "runs" / p.job.name)
        for p in in_process.plan.runs
        if p.job.state() == "done"
    ]
    return out, jobs


def test_runs_made_before_are_counted_again_from_their_checkpoint(
    copied: tuple[Path, list[Job]], in_process: Any, recorder: Any
) -> None:
    _, jobs = copied
    before = {job.name: (job.folder / WRONG_ROWS).read_bytes() for job in jobs}
    (jobs[0].folder / WRONG_ROWS).unlink()
    (jobs[1].folder / WRONG_ROWS).write_bytes(b"damaged")
    keep_what_is_missing(jobs, in_process.outcome.rows, recorder)
    assert {job.name: (job.folder / WRONG_ROWS).read_bytes() for job in jobs} == before
    told = [text for what, _, text in recorder.events if what == "note"]
    assert "was not kept when it was made; counted again" in told[0]
    assert "was damaged; counted again" in told[1]
    assert len(told) == 2


def test_a_count_that_comes_out_otherwise_is_left_and_told(
    copied: tuple[Path, list[Job]], in_process: Any, recorder: Any
) -> None:
    _, jobs = copied
    rows = [replace(r, n_wrong=(r.n_wrong or 0) + 1) for r in in_process.outcome.rows[:1]]
    (jobs[0].folder / WRONG_ROWS).unlink()
    keep_what_is_missing(jobs[:1], rows, recorder)
    assert not (jobs[0].folder / WRONG_ROWS).exists()
    (told,) = [text for what, _, text in recorder.events if what == "note"]
    assert f"the run had {rows[0].n_wrong} of 200" in told


def test_without_a_checkpoint_it_is_left_and_told(
    copied: tuple[Path, list[Job]], in_process: Any, recorder: Any
) -> None:
    _, jobs = copied
    for name in (WRONG_ROWS, CHECKPOINT):
        (jobs[0].folder / name).unlink()
    keep_what_is_missing(jobs, in_process.outcome.rows, recorder)
    assert "has no checkpoint.safetensors" in recorder.events[0][2]
