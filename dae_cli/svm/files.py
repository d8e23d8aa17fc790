"""The files of an SVM's run: trials.csv, every machine that was tried, and the chosen machine.

Nothing in them executes. A run that was stopped goes on from its trials, and either file may come
from a stranger: both are read as strictly as they were written, and what does not fit the settings
and the data of the run is refused. Support vectors are kept as numbers of rows, so that the file is
small and says nothing that the data do not: whoever reads it has the data.
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
from dae_cli.errors import RunFolderError
from dae_cli.svm.selection import GREATEST_DEGREE, Point, Trial, training_images
from dae_cli.svm.svm import Kernel, Svm
from dae_cli.tensors import REMEDY, Spec, open_tensors, save_tensors

MAX_BYTES = 10_000_000
"""Of trials.csv. A line has about a hundred; no search makes so many trials."""


def trials_csv(trials: Sequence[Trial]) -> str:
    return rows_to_csv(trials, Trial)


def read_trials(path: Path, kernel: SvmKernel, n_train: int, n_valid: int) -> tuple[Trial, ...]:
    """Read the trials of a run with this kernel, on so many training and validation rows.

    Raises:
        RunFolderError: it is missing, damaged, or not of such a run.
    """
    if not path.exists():
        raise RunFolderError(f"{path}: no such file")
    trials: dict[Point, Trial] = {}
    for line, row in enumerate(read_rows(path, Trial, MAX_BYTES, REMEDY), start=2):
        percent = 100 * row.n_wrong / n_valid
        trial = replace(row, valid_error_percent=percent)  # with all its digits
        try:
            _check(row, kernel, n_train, n_valid, f"{percent:.4f}")
            if trial.point in trials:
                raise ValueError("a trial stands in it twice")
        except ValueError as error:
            raise RunFolderError(f"{path}:{line}: {error}; {REMEDY}") from None
        trials[trial.point] = trial
    return tuple(trials.values())


def _check(trial: Trial, kernel: SvmKernel, n_train: int, n_valid: int, percent: str) -> None:
    fits, degrees = trial.degree is None, "nothing"
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
    """The JSON in the header of the machine's file. Plain values, checked one by one."""

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
    """Write a machine whole or not at all; raises OutputError."""
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
    """Read the machine of an experiment back; its support vectors are rows of train + valid.

    Raises:
        RunFolderError: the file is missing, damaged, or not a checkpoint of this run.
    """
    with open_tensors(path, _Header) as file:
        header, classes = file.header, file.header.classes
        if (header.experiment, header.data_sha256) != (experiment, data_sha256):
            raise ValueError("it was made with other settings or on other data")
        if header.kernel != experiment.svm.kernel:
            raise ValueError(f"its kernel is {header.kernel}")
        if classes != sorted(set(classes)) or classes[-1] >= dataset.n_classes:
            raise ValueError(f"its classes are {classes}")
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
            raise ValueError(f"its support vectors are not different rows from 0 to {n_rows - 1}")
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
