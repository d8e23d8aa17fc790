"""A study on filters of small patches, which takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dae_cli.config.experiments import ResolvedStudy, resolve_study
from dae_cli.study.plan import Plan, plan_study
from dae_cli.study.progress import Silent

STUDY = """\
title: "Small patches"
paper: "Nobody, 1900."
shared:
  dataset: photographs
  patches: {side: 6, count: 200, deviation: 0.5}
  model: {hidden: [8]}
  pretrain: {loss: squared-error, learning_rate: 0.02, epochs: 3}
figures:
  - name: both
    title: "Both"
    cells: [plain, noisy]
    paper: "Fig. 1"
    claim: "They differ."
    expect: {measure: gabor_percent, at_most: 100}
  - {name: seen, title: "Patches", kind: patches, cells: [plain], scale: tile}
  - {name: parts, title: "Components", kind: components, cells: [plain], scale: tile}
  - {name: near, title: "Two units", kind: zoom, cells: [plain, noisy], units: [1, 5]}
"""
CELLS = {
    "plain": "corruption: {destruction: 0.0}\n",
    "noisy": "corruption: {kind: gaussian, sigma: 0.5}\n",
}

PlanFilters = Callable[..., Plan]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two photographs with some structure."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(3)
    for name in ("a.png", "b.png"):
        rough = random.random((50, 70)).cumsum(0).cumsum(1)
        grey = 255 * (rough - rough.min()) / np.ptp(rough)
        Image.fromarray(grey.astype(np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> ResolvedStudy:
    """The study, resolved from its files."""
    folder = tmp_path_factory.mktemp("experiments") / "small"
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    for cell, text in CELLS.items():
        (folder / f"{cell}.yaml").write_text(text, encoding="utf-8")
    return resolve_study(f"{folder}/")


@pytest.fixture(scope="session")
def plan_filters(study: ResolvedStudy, photos: Path) -> PlanFilters:
    """Plan the study, or another one, into a folder."""

    def planned(out: Path, seeds: int | None = None, of: ResolvedStudy = study) -> Plan:
        return plan_study(
            of,
            seeds=seeds,
            out=out,
            data_dir=None,
            photos=photos,
            engine="torch",
            watcher=Silent(),
        )

    return planned
