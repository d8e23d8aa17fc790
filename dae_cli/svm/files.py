"""The files of an SVM's run: trials.csv with every trial, and the checkpoint of the selected SVM.

A stopped run is resumed from its trials, and either file may come from an untrusted source. Reading
them executes no code, checks every value, and rejects what does not fit the run's settings and
data. Support vectors are stored as row numbers, for a small file; reading it needs the data anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dae_cli.config.schema import SvmExperiment, SvmKernel
from dae_cli.csvfile import read_rows, rows_to_csv
from dae_cli.data.dataset import Dataset
from dae_cli.errors import RUN_REMEDY, RunFolderError
from dae_cli.svm.selection import GREATEST_DEGREE, Point, Trial, training_images
from dae_cli.svm.svm import Kernel, Svm
from dae_cli.tensors import Spec, open_tensors, save_tensors

MAX_BYTES = 10_000_000
"""Largest size of trials.csv: far above any search, at about a hundred bytes per line."""


def trials_csv(trials: Sequence[Trial]) -> str:
    return rows_to_csv(trials, Trial)


def read_trials(path: Path, kernel: SvmKernel, n_train: int, n_valid: int) -> tuple[Trial, ...]:
    """Read the trials of a run with this kernel and these numbers of training and validation rows.

    Raises:
        RunFolderError: the file is missing, damaged, or from another kind of run.
    """
    if not path.exists():
        raise RunFolderError(f"{path}: no such file")
    trials: dict[Point, Trial] = {}
    for line, row in enumerate(read_rows(path, Trial, MAX_BYTES, RUN_REMEDY), start=2):
        percent = 100 * row.n_wrong / n_valid
        trial = replace(row, valid_error_percent=percent)  # the file has only four decimals
        try:
            _check(row, kernel, n_train, n_valid, f"{percent:.4f}")
            if trial.point in trials:
                raise ValueError("duplicate trial; expected each trial once")
        except ValueError as error:
            raise RunFolderError(f"{path}:{line}: {error}; {RUN_REMEDY}") from None
        trials[trial.point] = trial
    return tuple(trials.values())


def _check(trial: Trial, kernel: SvmKernel, n_train: int, n_valid: int, percent: str) -> None:
    fits, degrees = trial.degree is None, "an empty cell"
    if kernel == "poly":
        fits, degrees = 1 <= (trial.degree or 0) <= GREATEST_DEGREE, f"from 1 to {GREATEST_DEGREE}"
    of_rows = f"{percent} for {trial.n_wrong} of {n_valid}"
    for name, is_possible, expected in (
        ("kernel", trial.kernel == kernel, repr(kernel)),
        ("degree", fits, degrees),
        ("n_wrong", 0 <= trial.n_wrong <= n_valid, f"from 0 to {n_valid}"),
        ("valid_error_percent", trial.valid_error_percent == float(percent), of_rows),
        ("n_support", 1 <= trial.n_support <= n_train, f"from 1 to {n_train}"),
    ):
        if not is_possible:
            raise ValueError(f"{name} is '{getattr(trial, name)}', expected {expected}")


_Positive = Annotated[float, Field(gt=0)]


class _Header(BaseModel):
    """JSON header of the checkpoint, whose values are checked one by one."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1]
    experiment: SvmExperiment
    data_sha256: str
    kernel: SvmKernel
    gamma: _Positive
    degree: Annotated[int, Field(ge=1, le=GREATEST_DEGREE)]
    coef0: Annotated[float, Field(ge=0)]
    destruction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    penalty: _Positive
    classes: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2)]
    converged: bool


def save_svm(path: Path, svm: Svm, experiment: SvmExperiment, data_sha256: str) -> None:
    """Write the checkpoint of an SVM atomically; raises OutputError."""
    kernel = svm.kernel
    header = _Header(
        format=1,
        experiment=experiment,
        data_sha256=data_sha256,
        kernel=kernel.kind,
        gamma=kernel.gamma,
        degree=kernel.degree,
        coef0=kernel.coef0,
        destruction=kernel.destruction,
        penalty=svm.C,
        classes=[int(label) for label in svm.classes],
        converged=svm.converged,
    )
    tensors = {"support": svm.support, "weights": svm.weights, "biases": svm.biases}
    save_tensors(path, header, tensors)


def load_svm(path: Path, experiment: SvmExperiment, data_sha256: str, dataset: Dataset) -> Svm:
    """Read the SVM of an experiment; its support vectors are rows of train, then valid.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    with open_tensors(path, _Header) as file:
        header, classes = file.header, file.header.classes
        if (header.experiment, header.data_sha256) != (experiment, data_sha256):
            raise ValueError("it is from a run with other settings or data")
        if header.kernel != experiment.svm.kernel:
            raise ValueError(f"its kernel is {header.kernel}, expected {experiment.svm.kernel}")
        if classes != sorted(set(classes)) or classes[-1] >= dataset.n_classes:
            expected = f"ascending numbers below {dataset.n_classes}"
            raise ValueError(f"its classes are {classes}, expected {expected}")
        pairs = len(classes) * (len(classes) - 1) // 2
        n_support = next(iter(file.specs.get("support", ("", ()))[1]), 0)
        shapes: dict[str, Spec] = {
            "support": ("I64", (max(1, n_support),)),
            "weights": ("F64", (n_support, pairs)),
            "biases": ("F64", (pairs,)),
        }
        tensors = dict(file.read(shapes))
        support, n_rows = tensors["support"], len(dataset.train) + len(dataset.valid)
        if support.min() < 0 or support.max() >= n_rows or len(np.unique(support)) < len(support):
            raise ValueError(f"its support vectors are not distinct rows from 0 to {n_rows - 1}")
    kernel = Kernel(header.kernel, header.gamma, header.degree, header.coef0, header.destruction)
    images = training_images(dataset, kernel.destruction, experiment.seed)
    return Svm(
        kernel=kernel,
        C=header.penalty,
        classes=np.array(classes, dtype=dataset.train.labels.dtype),
        support=support,
        vectors=images[support],
        weights=tensors["weights"],
        biases=tensors["biases"],
        converged=header.converged,
    )
