"""Jobs of small SVMs on data that are not too easy, and what may differ between two runs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from dae_cli.config.schema import SvmExperiment
from dae_cli.data.cache import Provenance, save_entry
from dae_cli.data.content import Content, content_digest
from dae_cli.data.obtain import Prepared
from dae_cli.data.registry import REGISTRY
from dae_cli.study.run.folder import Job, run_name


def noisy_data(cache: Path) -> Prepared:
    """Write an entry of the size of convex into a cache: a fifth of its labels are wrong."""
    spec, random = REGISTRY["convex"], np.random.default_rng(3)
    different = 1009
    truth = random.integers(0, 2, different)
    density = 0.1 + 0.25 * random.random((2, 784))
    pixels = (random.random((different, 784)) < density[truth]).astype(np.uint8)
    labels = (truth ^ (random.random(different) < 0.2)).astype(np.uint8)
    train, test = np.arange(spec.n_train_file) % different, np.arange(spec.n_test) % different
    content = Content(pixels[train], labels[train], pixels[test], labels[test])
    path = cache / "convex-original-noisy.npz"
    sha256 = content_digest(spec, content)
    source = "made for the tests"
    save_entry(path, content, Provenance("convex", "original", sha256, source, "checked"))
    return Prepared("convex", path, "original", sha256, source)


SMALL_SVM: dict[str, Any] = {
    "dataset": "convex",
    "svm": {"kernel": "rbf", "gammas": [0.001, 0.1], "penalties": [0.1, 10.0]},
    "subset": {"train": 60, "valid": 40, "test": 200},
}


def small_svm(**svm: Any) -> SvmExperiment:
    """The experiment of a small SVM; keyword arguments change its section."""
    return SvmExperiment.model_validate(SMALL_SVM | {"svm": SMALL_SVM["svm"] | svm})


def svm_job(data: Prepared, runs: Path, **svm: Any) -> Job:
    """The job of a small SVM in a folder of runs."""
    experiment = small_svm(**svm)
    return Job("convex-rbf", experiment, data, runs / run_name(experiment, data.sha256))


def without_seconds(trials: Path) -> list[list[str]]:
    """The lines of trials.csv but for their last column."""
    with trials.open(newline="", encoding="utf-8") as file:
        return [line[:-1] for line in csv.reader(file)]
