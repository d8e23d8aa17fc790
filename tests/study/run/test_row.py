"""A done run is taken over only if its folder tells of the run that is asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.data.obtain import Prepared
from dae_cli.errors import RunFolderError
from dae_cli.study.run.folder import CHECKPOINT, CONFIG, ENVIRONMENT, STATUS, Job
from dae_cli.study.run.provenance import environment
from dae_cli.study.run.row import failed_row, row_of


@pytest.fixture
def job(in_process: Any, tmp_path: Path) -> Job:
    """The job of a done run, in a copy that a test may damage."""
    planned: Job = next(p.job for p in in_process.plan.runs if p.job.cell == "convex-25")
    return replace(planned, folder=Path(shutil.copytree(planned.folder, tmp_path / planned.name)))


def _change(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def _refused(job: Job) -> str:
    with pytest.raises(RunFolderError) as caught:
        row_of(job)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert message.startswith(f"{job.folder}: ")
    assert message.endswith("; remove this folder to have the run made anew")
    return message


def test_the_row_of_a_done_run_is_that_of_the_study(job: Job, in_process: Any) -> None:
    assert row_of(job) == in_process.outcome.rows[2]


def test_other_settings_in_the_folder_are_refused(job: Job) -> None:
    config = job.folder / CONFIG
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    assert "config.yaml holds other settings than convex-25 has" in _refused(job)


def test_the_digest_of_other_data_is_refused(job: Job) -> None:
    _change(job.folder / STATUS, lambda status: status["data"].update(sha256="0" * 64))
    assert "status.json tells of data with SHA-256 000000000000…, not " in _refused(job)


def test_the_status_of_another_run_is_refused(job: Job, in_process: Any) -> None:
    other = in_process.folder("convex-0")
    shutil.copy(other / STATUS, job.folder / STATUS)
    assert f"status.json is that of the run '{other.name}'" in _refused(job)


def test_a_cell_that_was_given_another_name_keeps_its_run(job: Job) -> None:
    row = row_of(replace(job, cell="convex-a-quarter"))
    assert (row.cell, row.run) == ("convex-a-quarter", job.name)


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_folder_whose_status_is_not_done_is_refused(job: Job, state: str) -> None:
    _change(job.folder / STATUS, lambda status: status.update(state=state))
    assert f"status.json says that the run is {state}, not done" in _refused(job)


@pytest.mark.parametrize("name", [STATUS, ENVIRONMENT, CONFIG])
@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"[" * 50_000, b"\xff", b"{}" + b" " * 2_000_000]
)
def test_a_damaged_file_is_refused_with_its_name(job: Job, name: str, content: bytes) -> None:
    (job.folder / name).write_bytes(content)
    message = _refused(job)
    assert "damaged (" in message
    assert name in message


@pytest.mark.parametrize("name", [STATUS, ENVIRONMENT, CONFIG])
def test_a_missing_file_is_refused_with_its_name(job: Job, name: str) -> None:
    (job.folder / name).unlink()
    assert name in _refused(job)


@pytest.mark.parametrize("wrong", ["7", -7, 7.5, None, 10**6])
def test_an_impossible_count_is_refused(job: Job, wrong: object) -> None:
    _change(job.folder / STATUS, lambda status: status["result"].update(n_wrong=wrong))
    assert "n_wrong is" in _refused(job)


def test_the_same_content_from_elsewhere_keeps_the_origin_of_the_run(
    job: Job, data: Prepared
) -> None:
    assert data.origin == "original"
    now = replace(job, data=replace(data, origin="regenerated"))
    assert row_of(now).data_origin == "original"
    assert (job.folder / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("hidden", "model", "error", "half_width"),
    [
        ((30,), "DBN-1", 19.92, 0.35),
        ((30, 20, 10), "DBN-3", 18.63, 0.34),
        ((30, 20), "DBN-2", None, None),
    ],
)
def test_the_row_of_a_stack_of_rbms_has_the_papers_number_of_the_dbn(
    make_job: Callable[..., Job],
    hidden: tuple[int, ...],
    model: str,
    error: float | None,
    half_width: float | None,
) -> None:
    settings: dict[str, Any] = {"model": {"hidden": hidden}, "corruption": {"destruction": 0.0}}
    job = make_job(subset=None, pretrain={"kind": "rbm"}, **settings)
    row = failed_row(job, environment("cpu", "torch", 1, "dae"), 0.0, "not run here")
    assert (row.model, row.paper_model) == (model, model if error else "")
    assert (row.paper_error_percent, row.paper_half_width_95) == (error, half_width)
