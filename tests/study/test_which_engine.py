"""Which engine computes a run: asked for, begun with, or the fastest; and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dae_cli.engines.names import EngineChoice, EngineName
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study import which_engine
from dae_cli.study.run_folder import CHECKPOINT, ENVIRONMENT, Job, PlannedRun
from dae_cli.study.which_engine import (
    check_choice,
    engine_for_counting,
    recorded_engine,
    settled,
)

MakeJob = Callable[..., Job]
DAMAGED = ["", "{", "[]", "null", "{}", '{"engine": "abacus"}', '{"engine": ["torch"]}']


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry each time the fastest engine is asked for; here it is blas."""
    asked = []

    def fastest(note: Callable[[str], None]) -> EngineName:
        asked.append("asked")
        note("engine: blas")
        return "blas"

    monkeypatch.setattr(which_engine, "fastest_engine", fastest)
    return asked


@pytest.fixture(autouse=True)
def _no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def _missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def none() -> None:
        raise ConfigError(f"--engine {name}: not here")

    monkeypatch.setattr(f"dae_cli.engines.engine._{name}", none)


def _planned(job: Job, engine: EngineChoice, device: str = "cpu") -> PlannedRun:
    job = Job(job.cell, job.experiment, job.data, job.folder, device)
    return PlannedRun(job, job.state(), engine)


def _stopped(job: Job, recorded: str) -> Job:
    """Leave what a stopped run leaves: a checkpoint, and environment.json with this text."""
    job.partial.mkdir(parents=True)
    (job.partial / CHECKPOINT).touch()
    (job.partial / ENVIRONMENT).write_text(recorded)
    return job


def _begun_with(engine: str, job: Job) -> Job:
    return _stopped(job, json.dumps({"engine": engine}))


def _settled(job: Job, engine: EngineChoice, device: str, watcher: Any) -> tuple[str, str]:
    (settled_job,) = settled([_planned(job, engine, device)], watcher)
    return settled_job.engine, settled_job.device


# New runs


@pytest.mark.parametrize("engine", ["torch", "blas", "compiled"])
@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_the_engine_asked_for_is_taken(
    make_job: MakeJob, recorder: Any, measured: list[str], engine: EngineChoice, device: str
) -> None:
    assert _settled(make_job(), engine, device, recorder) == (engine, "cpu")
    assert (measured, recorder.events) == ([], [])


def test_auto_takes_the_fastest_and_asks_for_it_once(
    make_job: MakeJob, recorder: Any, measured: list[str]
) -> None:
    runs = [_planned(make_job(seed=seed), "auto") for seed in range(3)]
    assert [job.engine for job in settled(runs, recorder)] == ["blas"] * 3
    assert measured == ["asked"]
    assert recorder.events == [("note", "", "engine: blas")]


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_cuda_has_torch_alone(
    make_job: MakeJob,
    recorder: Any,
    measured: list[str],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _settled(make_job(), "auto", device, recorder) == ("torch", "cuda")
    assert measured == []


def test_mps_has_torch_alone(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert _settled(make_job(), "auto", "mps", recorder) == ("torch", "mps")


def test_an_engine_of_the_cpu_keeps_auto_off_the_gpu(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _settled(make_job(), "blas", "auto", recorder) == ("blas", "cpu")


# Stopped runs


@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_a_stopped_run_goes_on_with_its_own_engine(
    make_job: MakeJob, recorder: Any, measured: list[str], engine: str
) -> None:
    assert _settled(_begun_with(engine, make_job()), "auto", "cpu", recorder)[0] == engine
    assert (measured, recorder.events) == ([], [])


def test_each_run_of_a_study_has_the_engine_that_is_its_own(
    make_job: MakeJob, recorder: Any
) -> None:
    jobs = [make_job(seed=0), _begun_with("compiled", make_job(seed=1)), make_job(seed=2)]
    runs = [_planned(job, "auto") for job in jobs]
    assert [job.engine for job in settled(runs, recorder)] == ["blas", "compiled", "blas"]


def test_another_engine_by_name_is_taken_and_told(make_job: MakeJob, recorder: Any) -> None:
    job = _begun_with("torch", make_job(seed=3))
    assert _settled(job, "blas", "cpu", recorder)[0] == "blas"
    assert recorder.events == [
        (
            "note",
            "",
            "convex-25, seed 3: begun with the engine torch, goes on with blas; "
            "its last digits may differ from those of one engine throughout",
        )
    ]


def test_its_own_engine_by_name_is_nothing_to_tell(make_job: MakeJob, recorder: Any) -> None:
    assert _settled(_begun_with("blas", make_job()), "blas", "cpu", recorder)[0] == "blas"
    assert recorder.events == []


def test_a_stopped_run_of_the_cpu_is_not_moved_to_the_gpu_unasked(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    job = _begun_with("compiled", make_job())
    assert _settled(job, "auto", "auto", recorder) == ("compiled", "cpu")
    assert _settled(job, "auto", "cuda", recorder) == ("torch", "cuda")
    assert [text for _, _, text in recorder.events] == [
        "convex-25, seed 0: begun with the engine compiled, goes on with torch; "
        "its last digits may differ from those of one engine throughout"
    ]


def test_an_engine_that_is_gone_is_told_with_both_remedies(
    make_job: MakeJob, recorder: Any, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _missing(monkeypatch, "compiled")
    job = _begun_with("compiled", make_job())
    with pytest.raises(RunFolderError) as caught:
        _settled(job, "auto", "cpu", recorder)
    assert str(caught.value) == (
        "convex-25, seed 0 was begun with the engine compiled, which cannot be had here: "
        "--engine torch goes on with another, --force starts over"
    )
    assert caught.value.exit_code == 2
    # Either remedy helps.
    assert _settled(job, "torch", "cpu", recorder)[0] == "torch"
    job.discard()
    assert _settled(job, "auto", "cpu", recorder)[0] == "blas"


@pytest.mark.parametrize("text", DAMAGED)
def test_without_a_record_the_fastest_is_taken_and_told(
    make_job: MakeJob, recorder: Any, text: str
) -> None:
    assert _settled(_stopped(make_job(), text), "auto", "cpu", recorder)[0] == "blas"
    notes = [text for _, _, text in recorder.events]
    assert notes[0] == "engine: blas"
    assert "begun with the engine (not recorded), goes on with blas" in notes[1]


def test_a_run_without_a_checkpoint_was_not_begun(make_job: MakeJob, recorder: Any) -> None:
    job = _begun_with("compiled", make_job())
    (job.partial / CHECKPOINT).unlink()
    assert _settled(job, "auto", "cpu", recorder)[0] == "blas"


# Before anything takes time


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_device_that_is_not_there_is_told(device: str, engine: EngineChoice) -> None:
    with pytest.raises(ConfigError, match=rf"--device {device}: torch sees no {device.upper()}"):
        check_choice(engine, device)


def test_an_engine_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _missing(monkeypatch, "compiled")
    with pytest.raises(ConfigError, match="--engine compiled: not here"):
        check_choice("compiled", "auto")
    check_choice("auto", "auto")
    check_choice("blas", "cpu")


# Finished runs


def test_errors_are_counted_with_the_runs_own_engine_or_else_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ENVIRONMENT
    path.write_text('{"engine": "blas"}')
    assert engine_for_counting(tmp_path).name == "blas"
    _missing(monkeypatch, "blas")
    assert engine_for_counting(tmp_path).name == "torch"
    path.unlink()
    assert recorded_engine(tmp_path) is None
    assert engine_for_counting(tmp_path).name == "torch"
