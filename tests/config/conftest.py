"""Experiment files in a folder of their own, which is also the current folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

WHOLE = """\
dataset: convex
model: {hidden: [30, 20]}
corruption: {destruction: 0.25}
pretrain: {learning_rate: 0.1, epochs: 2}
finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2}
"""
STUDY = """\
title: a study
shared:
  model: {hidden: [30, 20]}
  pretrain: {learning_rate: 0.1, epochs: 2}
  finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2}
"""
CELLS = {
    "convex-0": "dataset: convex\n",
    "convex-25": "dataset: convex\ncorruption: {destruction: 0.25}\n",
}

Write = Callable[[str], Path]
WriteStudy = Callable[..., Path]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(here: Path) -> Write:
    """Write a free-standing experiment.yaml; returns its path."""

    def write_file(text: str) -> Path:
        path = here / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def write_study(here: Path) -> WriteStudy:
    """Write experiments/NAME with a study.yaml and cells; returns the folder."""

    def write_files(
        study: str = STUDY, cells: Mapping[str, str] = CELLS, name: str = "mine"
    ) -> Path:
        folder = here / "experiments" / name
        folder.mkdir(parents=True)
        (folder / "study.yaml").write_text(study, encoding="utf-8")
        for cell, text in cells.items():
            (folder / f"{cell}.yaml").write_text(text, encoding="utf-8")
        return folder

    return write_files


@pytest.fixture
def whole() -> str:
    """A complete experiment, five lines; line 3 is the corruption."""
    return WHOLE


@pytest.fixture
def shared_study() -> str:
    """A study.yaml that shares everything but dataset and corruption."""
    return STUDY
