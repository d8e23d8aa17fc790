"""Pretraining that a finished run has done is taken over, to the same bits as if it were not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.study.progress import Silent
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, ENVIRONMENT, METRICS, Job
from dae_cli.training.pretrain import pretrain

MakeJob = Callable[..., Job]
OTHER: dict[str, Any] = {"finetune": {"learning_rate": 0.5, "max_epochs": 6}}
"""Settings of fine-tuning that differ from those of the small experiment."""


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def pretrained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layer that each pretraining began with; what is taken over is none."""
    begun: list[int] = []

    def watched(experiment: Any, images: Any, state: Any, engine: Any, hooks: Any) -> None:
        begun.append(state.layer)
        pretrain(experiment, images, state, engine, hooks)

    monkeypatch.setattr("dae_cli.training.train.pretrain", watched)
    return begun


def _made(job: Job, command: str = "dae") -> list[str]:
    notes = Notes()
    row = execute(job, notes, command)
    assert row.error == ""
    return notes.notes


def test_runs_that_differ_in_finetuning_pretrain_once_and_end_at_the_same_bits(
    make_job: MakeJob, tmp_path: Path, pretrained: list[int]
) -> None:
    alone = make_job(tmp_path / "alone", **OTHER)
    _made(alone)
    first, second = make_job(), make_job(**OTHER)
    assert _made(first, "dae one") == []
    (told,) = _made(second, "dae two")
    assert told == f"{second.name}: goes on from the pretraining of {first.name}, which is the same"
    assert pretrained == [0, 0]
    for name in (CHECKPOINT, METRICS, "filters.png", "wrong_rows.npy"):
        assert (second.folder / name).read_bytes() == (alone.folder / name).read_bytes(), name
    env = json.loads((second.folder / ENVIRONMENT).read_text())
    assert [session["command"] for session in env["earlier"]] == ["dae one"]
    assert env["command"] == "dae two"


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"corruption": {"destruction": 0.5}},
        {"pretrain": {"learning_rate": 0.1}},
        {"pretrain": {"epochs": 3}},
        {"model": {"hidden": (8, 7)}},
        {"subset": {"train": 50}},
    ],
)
def test_another_pretraining_is_not_taken(
    make_job: MakeJob, pretrained: list[int], changes: dict[str, Any]
) -> None:
    _made(make_job())
    assert _made(make_job(**(OTHER | changes))) == []
    assert pretrained == [0, 0]


@pytest.mark.parametrize("spoilt", ["data", "engine", "processor", "checkpoint", "environment"])
def test_what_was_computed_otherwise_or_is_damaged_is_not_taken(
    make_job: MakeJob, pretrained: list[int], spoilt: str
) -> None:
    first, second = make_job(), make_job(**OTHER)
    _made(first)
    path = first.folder / ENVIRONMENT
    env = json.loads(path.read_text())
    if spoilt == "data":
        first.folder.rename(first.folder.with_name(f"{first.name[:-8]}00000000"))
    elif spoilt == "engine":
        path.write_text(json.dumps(env | {"engine": "blas"}))
    elif spoilt == "processor":
        path.write_text(json.dumps(env | {"cpu": "another"}))
    elif spoilt == "checkpoint":
        (first.folder / CHECKPOINT).write_bytes(b"\0" * 100)
    else:
        path.write_text("{")
    assert _made(second) == []
    assert pretrained == [0, 0]


def test_a_run_from_the_start_takes_nothing(make_job: MakeJob, pretrained: list[int]) -> None:
    _made(make_job())
    assert _made(replace(make_job(**OTHER), from_start=True)) == []
    assert pretrained == [0, 0]
