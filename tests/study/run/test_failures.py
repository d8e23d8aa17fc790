"""A run that fails: a row that tells why, and nothing that hinders the next try."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from dae_cli.errors import ConfigError
from dae_cli.study.progress import Silent
from dae_cli.study.run import execute as execute_module
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, Job

MakeJob = Callable[..., Job]


def test_a_diverging_run_is_a_row_with_phase_epoch_and_remedy(in_process: Any) -> None:
    row = next(row for row in in_process.outcome.rows if row.cell == "convex-50")
    assert row.error.startswith("diverged in pretrain, layer 1, epoch ")
    assert "lower pretrain.learning_rate (now 1000)" in row.error
    assert (row.n_wrong, row.test_error_percent, row.verdict) == (None, None, "")
    folder = in_process.folder("convex-50")
    assert not folder.exists()
    status = json.loads((folder.with_name(folder.name + ".partial") / "status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", row.error)


def test_a_failed_run_of_a_subset_has_no_reference_either(in_process: Any) -> None:
    failed = [row for row in in_process.outcome.rows if row.error]
    assert failed
    assert all((row.paper_error_percent, row.paper_model) == (None, "") for row in failed)


def test_a_damaged_checkpoint_fails_with_its_path_and_a_remedy(make_job: MakeJob) -> None:
    job = make_job()
    job.partial.mkdir(parents=True)
    (job.partial / CHECKPOINT).write_bytes(b"no tensors here")
    (job.partial / "status.json").write_text('{"minutes": 1}')
    row = execute(job, Silent(), "dae")
    assert str(job.partial / CHECKPOINT) in row.error
    assert "remove the run's folder" in row.error


def test_data_that_changed_since_the_plan_fail(make_job: MakeJob) -> None:
    job = make_job()
    row = execute(replace(job, data=replace(job.data, sha256="f" * 64)), Silent(), "dae")
    assert "holds other content than was prepared" in row.error


def test_a_subset_larger_than_the_set_fails(make_job: MakeJob) -> None:
    row = execute(make_job(subset={"train": 6001}), Silent(), "dae")
    assert "a subset of 6001 rows was asked for" in row.error


def test_an_error_is_one_line(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("first\n  second\r\nthird")

    monkeypatch.setattr(execute_module, "train", fail)
    assert execute(make_job(), Silent(), "dae").error == "RuntimeError: first second third"


def test_a_checkpoint_that_cannot_be_written_fails_the_run(make_job: MakeJob) -> None:
    job = make_job()
    in_the_way = job.partial / CHECKPOINT
    in_the_way.mkdir(parents=True)
    (in_the_way / "file").touch()
    row = execute(job, Silent(), "dae")
    assert f"{in_the_way}: not a checkpoint of this run" in row.error


def test_a_full_disk_fails_the_run_and_nothing_more(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dae_cli.files.os.fsync", full)
    row = execute(make_job(), Silent(), "dae")
    assert "config.yaml: cannot be written (No space left on device); make room" in row.error


def test_a_file_in_the_way_is_told_before_anything_is_computed(
    make_job: MakeJob, recorder: Any
) -> None:
    job = make_job()
    job.folder.mkdir(parents=True)
    row = execute(job, recorder, "dae")
    assert f"{job.folder}: is in the way" in row.error
    assert recorder.events == []
    job.folder.rmdir()
    assert execute(job, recorder, "dae").error == ""


def test_cuda_where_there_is_none_is_a_wrong_argument_not_a_failed_run(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    job = replace(make_job(), device="cuda")
    with pytest.raises(ConfigError, match="sees no CUDA device"):
        execute(job, Silent(), "dae")
    assert not job.partial.exists()
