"""The files of an SVM's run: trials.csv, every machine that was tried, and the chosen machine.

Nothing in them executes. A run that was stopped goes on from its trials, and either file may come
from a stranger: both are read as strictly as they were written, and what does not fit the settings
and the data of the run is refused. Support vectors are kept as numbers of rows, so that the file is
small and says nothing that the data do not: whoever reads it has the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pydantic.dataclasses
from pydantic import BaseModel, ConfigDict, Field

from dae_cli.config.schema import SvmExperiment, SvmKernel
from dae_cli.csvfile import Exact, column_texts, from_0, number, read_rows, rows_to_csv, written
from dae_cli.data.dataset import Dataset
from dae_cli.errors import RunFolderError
from dae_cli.svm.selection import GREATEST_DEGREE, Point, Trial, training_images
from dae_cli.svm.svm import Kernel, Svm
from dae_cli.tensors import REMEDY, Spec, open_tensors, save_tensors

MAX_BYTES = 10_000_000
"""Of trials.csv. A line has about a hundred; no search makes so many trials."""

_above_0 = number("a number above 0", lambda value: 0 < value < inf)
_below_1 = number("a number from 0 to below 1", lambda value: 0 <= value < 1)


@pydantic.dataclasses.dataclass(frozen=True)
class SvmTrialRow:
    """trials.csv: one machine that was tried, its parameters with all their digits."""

    SPARSE: ClassVar = {"nu": "0.0", "offset": "1.0"}

    kernel: str
    nu: Annotated[Exact, _below_1]
    gamma: Annotated[Exact, _above_0]
    degree: int | None
    """None for the kernel rbf."""
    offset: Annotated[Exact, from_0]
    penalty: Annotated[Exact, _above_0]
    n_wrong: int
    valid_error_percent: str
    n_support: int
    converged: Literal["true", "false"]
    seconds: Annotated[float, from_0, written("{:.2f}".format)]


def trials_csv(trials: Sequence[Trial]) -> str:
    """Return trials.csv."""
    rows = [
        SvmTrialRow(
            kernel=trial.kernel.kind,
            nu=trial.kernel.destruction,
            gamma=trial.kernel.gamma,
            degree=trial.kernel.degree if trial.kernel.kind == "poly" else None,
            offset=trial.kernel.coef0,
            penalty=trial.C,
            n_wrong=trial.n_wrong,
            valid_error_percent=f"{trial.valid_error_percent:.4f}",
            n_support=trial.n_support,
            converged="true" if trial.converged else "false",
            seconds=trial.seconds,
        )
        for trial in trials
    ]
    return rows_to_csv(rows, SvmTrialRow)


def read_trials(path: Path, kernel: SvmKernel, n_train: int, n_valid: int) -> tuple[Trial, ...]:
    """Read the trials of a run with this kernel, on so many training and validation rows.

    Raises:
        RunFolderError: it is missing, damaged, or not of such a run.
    """
    if not path.exists():
        raise RunFolderError(f"{path}: no such file")
    trials: dict[Point, Trial] = {}
    for line, row in enumerate(read_rows(path, SvmTrialRow, MAX_BYTES, REMEDY), start=2):
        try:
            trial = _trial(row, kernel, n_train, n_valid)
            if trial.point in trials:
                raise ValueError("a trial stands in it twice")
        except ValueError as error:
            raise RunFolderError(f"{path}:{line}: {error}; {REMEDY}") from None
        trials[trial.point] = trial
    return tuple(trials.values())


def _trial(row: SvmTrialRow, kernel: SvmKernel, n_train: int, n_valid: int) -> Trial:
    percent = f"{100 * row.n_wrong / n_valid:.4f}"
    if kernel == "poly":
        fits, degrees = 1 <= (row.degree or 0) <= GREATEST_DEGREE, f"from 1 to {GREATEST_DEGREE}"
    else:
        fits, degrees = row.degree is None, "nothing"
    for name, is_possible, expected in (
        ("kernel", row.kernel == kernel, repr(kernel)),
        ("degree", fits, degrees),
        ("n_wrong", 0 <= row.n_wrong <= n_valid, f"from 0 to {n_valid}"),
        (
            "valid_error_percent",
            row.valid_error_percent == percent,
            f"{percent} for {row.n_wrong} of {n_valid}",
        ),
        ("n_support", 1 <= row.n_support <= n_train, f"from 1 to {n_train}"),
    ):
        if not is_possible:
            raise ValueError(f"{name} is {column_texts(row)[name][:40]!r}, expected {expected}")
    degree = row.degree or Kernel.degree
    return Trial(
        kernel=Kernel(kernel, row.gamma, degree, row.offset, destruction=row.nu),
        C=row.penalty,
        n_wrong=row.n_wrong,
        n_valid=n_valid,
        n_support=row.n_support,
        converged=row.converged == "true",
        seconds=row.seconds,
    )


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
