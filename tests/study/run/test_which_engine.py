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
from dae_cli.study.run import which_engine
from dae_cli.study.run.folder import CHECKPOINT, ENVIRONMENT, STATUS, Job, PlannedRun
from dae_cli.study.run.which_engine import (
    check_choice,
    engine_for_counting,
    recorded_engine,
    refuse_other_engine,
    settled,
)

MakeJob = Callable[..., Job]
DAMAGED = [
    *("", "{", "[]", "null", "{}", "[" * 100_000),
    '{"engine": "abacus", "device": "cpu"}',
    '{"engine": ["torch"], "device": "cpu"}',
    '{"engine": "torch"}',
]


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
    return _stopped(job, _told(engine))


def _told(engine: str, device: str = "cpu") -> str:
    """The part of environment.json that tells how a run is computed."""
    return json.dumps({"engine": engine, "device": device, "cpu": "abacus"})


def _done(engine: str, job: Job, device: str = "cpu") -> Job:
    """Leave a done run, as far as its state and its engine are concerned."""
    job.folder.mkdir(parents=True)
    (job.folder / STATUS).write_text("{}")
    (job.folder / ENVIRONMENT).write_text(_told(engine, device))
    return job


def _refused(job: Job, engine: EngineChoice, device: str, watcher: Any) -> str:
    with pytest.raises(RunFolderError) as caught:
        _settled(job, engine, device, watcher)
    assert caught.value.exit_code == 2
    assert watcher.events == []
    return str(caught.value)


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


def test_another_engine_by_name_is_refused_with_the_ways_out(
    make_job: MakeJob, recorder: Any
) -> None:
    job = _begun_with("torch", make_job(seed=3))
    assert _refused(job, "blas", "cpu", recorder) == (
        "convex-25, seed 3: was begun with the engine torch on cpu, not the engine blas\n"
        "  leave --engine out to go on as it was begun, or give --force to start over"
    )
    # Each way out is one.
    assert _settled(job, "auto", "cpu", recorder)[0] == "torch"
    job.discard()
    assert _settled(job, "blas", "cpu", recorder)[0] == "blas"


def test_all_runs_that_cannot_go_on_are_told_at_once(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = ("torch", "blas", "compiled")
    jobs = [_begun_with(engine, make_job(seed=k)) for k, engine in enumerate(engines)]
    jobs.append(_stopped(make_job(seed=3), "{"))
    with pytest.raises(RunFolderError) as caught:
        settled([_planned(job, "blas") for job in (*jobs, make_job(seed=4))], recorder)
    assert str(caught.value).splitlines() == [
        "convex-25, seed 0: was begun with the engine torch on cpu, not the engine blas",
        "convex-25, seed 2: was begun with the engine compiled on cpu, not the engine blas",
        "  leave --engine out to go on as it was begun, or give --force to start over",
    ]


def test_its_own_engine_by_name_is_nothing_to_tell(make_job: MakeJob, recorder: Any) -> None:
    assert _settled(_begun_with("blas", make_job()), "blas", "cpu", recorder)[0] == "blas"
    assert recorder.events == []


def test_a_stopped_run_of_the_cpu_is_not_moved_to_the_gpu_unasked(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    job = _begun_with("torch", make_job())
    assert _settled(job, "auto", "auto", recorder) == ("torch", "cpu")
    assert _refused(job, "auto", "cuda", recorder) == (
        "convex-25, seed 0: was begun with the engine torch on cpu, not on cuda\n"
        "  give --device auto to go on as it was begun, or give --force to start over"
    )
    other = _begun_with("compiled", make_job(seed=1))
    assert "leave --engine out and give --device auto" in _refused(other, "torch", "cuda", recorder)


def test_a_stopped_run_of_the_gpu_goes_on_there_and_nowhere_else(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _stopped(make_job(), _told("torch", "NVIDIA H100"))
    assert "was begun with the engine torch on NVIDIA H100, not on cpu" in _refused(
        job, "auto", "cpu", recorder
    )
    assert _refused(job, "auto", "auto", recorder) == (
        "convex-25, seed 0: the run was begun with the engine torch on NVIDIA H100, "
        f"which cannot be had here; remove {job.partial} to have it made anew"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for device in ("auto", "cuda"):
        assert _settled(job, "auto", device, recorder) == ("torch", "cuda")


@pytest.mark.parametrize("asked", ["auto", "compiled"])
def test_an_engine_that_is_gone_is_told_with_the_remedy(
    make_job: MakeJob, recorder: Any, monkeypatch: pytest.MonkeyPatch, asked: EngineChoice
) -> None:
    _missing(monkeypatch, "compiled")
    job = _begun_with("compiled", make_job())
    assert _refused(job, asked, "cpu", recorder) == (
        "convex-25, seed 0: the run was begun with the engine compiled on cpu, "
        f"which cannot be had here; remove {job.partial} to have it made anew"
    )
    job.discard()
    assert _settled(job, "auto", "cpu", recorder)[0] == "blas"


@pytest.mark.parametrize("text", DAMAGED)
@pytest.mark.parametrize("asked", ["auto", "torch"])
def test_without_a_record_of_its_engine_a_stopped_run_is_refused(
    make_job: MakeJob, recorder: Any, measured: list[str], text: str, asked: EngineChoice
) -> None:
    job = _stopped(make_job(), text)
    message = _refused(job, asked, "cpu", recorder)
    assert f"{job.partial / ENVIRONMENT} does not tell what the run was begun with" in message
    assert message.endswith(f"remove {job.partial} to have it made anew")
    assert measured == []


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


def test_a_done_run_of_another_engine_is_not_passed_for_one_of_the_engine_asked_for(
    make_job: MakeJob,
) -> None:
    jobs = [_done("torch", make_job(seed=0)), _done("blas", make_job(seed=1)), make_job(seed=2)]
    jobs.append(_done("compiled", make_job(seed=3)))
    with pytest.raises(RunFolderError) as caught:
        refuse_other_engine([_planned(job, "blas") for job in jobs])
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines() == [
        "convex-25, seed 0: was made with the engine torch on cpu, not the engine blas",
        "convex-25, seed 3: was made with the engine compiled on cpu, not the engine blas",
        "  leave --engine out to accept what there is, give --force to make it anew, "
        "or --out DIR for a folder of its own",
    ]
    refuse_other_engine([_planned(job, "auto") for job in jobs])
    refuse_other_engine([_planned(jobs[1], "blas"), _planned(jobs[2], "torch")])
    jobs[0].discard()
    refuse_other_engine([_planned(jobs[0], "blas")])


def test_a_done_run_of_another_kind_of_device_is_not_passed_for_one_of_the_device_asked_for(
    make_job: MakeJob,
) -> None:
    gpu, cpu = _done("torch", make_job(), "NVIDIA H100"), _done("torch", make_job(seed=1))
    with pytest.raises(RunFolderError) as caught:
        refuse_other_engine([_planned(gpu, "auto", "cpu")])
    assert "was made with the engine torch on NVIDIA H100, not on cpu" in str(caught.value)
    assert "give --device auto to accept what there is" in str(caught.value)
    with pytest.raises(RunFolderError, match="on cpu, not on cuda"):
        refuse_other_engine([_planned(cpu, "torch", "cuda")])
    refuse_other_engine([_planned(gpu, "torch", "cuda"), _planned(cpu, "torch", "cpu")])
    refuse_other_engine([_planned(gpu, "auto", "auto"), _planned(cpu, "auto", "auto")])


@pytest.mark.parametrize("text", DAMAGED)
def test_a_done_run_without_a_record_is_left_to_whoever_reads_it(
    make_job: MakeJob, text: str
) -> None:
    job = _done("torch", make_job())
    (job.folder / ENVIRONMENT).write_text(text)
    refuse_other_engine([_planned(job, "blas")])


def test_errors_are_counted_with_the_runs_own_engine_or_else_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ENVIRONMENT
    path.write_text(_told("blas"))
    assert engine_for_counting(tmp_path).name == "blas"
    _missing(monkeypatch, "blas")
    assert engine_for_counting(tmp_path).name == "torch"
    path.unlink()
    assert recorded_engine(tmp_path) is None
    assert engine_for_counting(tmp_path).name == "torch"
