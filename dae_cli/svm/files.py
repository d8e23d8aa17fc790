"""The files of an SVM's run: trials.csv, every machine that was tried, and the chosen machine.

Nothing in them executes. A run that was stopped goes on from its trials, and either file may come
from a stranger: both are read as strictly as they were written, and what does not fit the settings
and the data of the run is refused. Support vectors are kept as numbers of rows, so that the file is
small and says nothing that the data do not: whoever reads it has the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dae_cli.config.schema import SvmExperiment, SvmKernel
from dae_cli.csv_rows import csv_text, parse_rows, text_of, values_of
from dae_cli.data.dataset import Dataset
from dae_cli.errors import RunFolderError
from dae_cli.svm.selection import GREATEST_DEGREE, Point, Trial
from dae_cli.svm.svm import Kernel, Svm
from dae_cli.svm.trials import training_images
from dae_cli.tensors import REMEDY, Spec, open_tensors, save_tensors

MAX_BYTES = 10_000_000
"""Of trials.csv. A line has about a hundred; no search makes so many trials."""


@dataclass(frozen=True)
class _Line:
    """A line of trials.csv."""

    kernel: str
    nu: float
    gamma: float
    degree: int | None
    offset: float
    penalty: float
    n_wrong: int
    valid_error_percent: str
    n_support: int
    converged: str
    seconds: float


_TYPES = get_type_hints(_Line)
_LATER = {"nu": "0.0", "offset": "1.0"}
"""Columns that came later, with the value of before: a file has them where a trial has another one,
so that files from before are what they were."""


def trials_csv(trials: Sequence[Trial]) -> str:
    """Return trials.csv: parameters with all their digits, an empty degree for the kernel rbf."""
    lines = [_texts(trial) for trial in trials]
    columns = [
        name
        for name in _TYPES
        if name not in _LATER or any(line[name] != _LATER[name] for line in lines)
    ]
    return csv_text([columns, *([line[name] for name in columns] for line in lines)])


def _texts(trial: Trial) -> dict[str, object]:
    kernel = trial.kernel
    return {
        "kernel": kernel.kind,
        "nu": repr(kernel.destruction),
        "gamma": repr(kernel.gamma),
        "degree": kernel.degree if kernel.kind == "poly" else "",
        "offset": repr(kernel.coef0),
        "penalty": repr(trial.C),
        "n_wrong": trial.n_wrong,
        "valid_error_percent": f"{trial.valid_error_percent:.4f}",
        "n_support": trial.n_support,
        "converged": "true" if trial.converged else "false",
        "seconds": f"{trial.seconds:.2f}",
    }


def read_trials(path: Path, kernel: SvmKernel, n_train: int, n_valid: int) -> tuple[Trial, ...]:
    """Read the trials of a run with this kernel, on so many training and validation rows.

    Raises:
        RunFolderError: it is missing, damaged, or not of such a run.
    """
    trials: dict[Point, Trial] = {}

    def columns(header: Sequence[str]) -> Sequence[str]:
        expected = [name for name in _TYPES if name in header or name not in _LATER]
        if header != expected:
            raise ValueError(f"its columns are not {', '.join(expected)}")
        return expected

    def add(texts: dict[str, str]) -> None:
        trial = _trial(_LATER | texts, kernel, n_train, n_valid)
        if trial.point in trials:
            raise ValueError("a trial stands in it twice")
        trials[trial.point] = trial

    try:
        text = text_of(path, MAX_BYTES, REMEDY)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such file") from None
    parse_rows(text, str(path), columns, add, REMEDY)
    return tuple(trials.values())


def _trial(texts: dict[str, str], kernel: SvmKernel, n_train: int, n_valid: int) -> Trial:
    line = _Line(**values_of(_TYPES, texts))
    poly = kernel == "poly"
    percent = f"{100 * line.n_wrong / n_valid:.4f}"
    for name, fits, expected in (
        ("kernel", line.kernel == kernel, repr(kernel)),
        ("nu", 0 <= line.nu < 1, "a number from 0 to below 1"),
        ("gamma", 0 < line.gamma < inf, "a number above 0"),
        ("degree", poly or line.degree is None, "nothing"),
        (
            "degree",
            not poly or 1 <= (line.degree or 0) <= GREATEST_DEGREE,
            f"a whole number from 1 to {GREATEST_DEGREE}",
        ),
        ("offset", 0 <= line.offset < inf, "a number of 0 or more"),
        ("penalty", 0 < line.penalty < inf, "a number above 0"),
        ("n_wrong", 0 <= line.n_wrong <= n_valid, f"a whole number from 0 to {n_valid}"),
        (
            "valid_error_percent",
            line.valid_error_percent == percent,
            f"{percent} for {line.n_wrong} of {n_valid} rows",
        ),
        ("n_support", 1 <= line.n_support <= n_train, f"a whole number from 1 to {n_train}"),
        ("converged", line.converged in ("true", "false"), "true or false"),
        ("seconds", 0 <= line.seconds < inf, "a number of 0 or more"),
    ):
        if not fits:
            raise ValueError(f"{name} is {texts[name][:40]!r}, expected {expected}")
    return Trial(
        kernel=Kernel(
            kernel, line.gamma, line.degree or Kernel.degree, line.offset, destruction=line.nu
        ),
        C=line.penalty,
        n_wrong=line.n_wrong,
        n_valid=n_valid,
        n_support=line.n_support,
        converged=line.converged == "true",
        seconds=line.seconds,
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
    """Write a machine whole or not at all.

    Raises:
        OutputError: it cannot be written; what was there before stays.
    """
    header = _Header(
        format=1,
        experiment=experiment,
        data_sha256=data_sha256,
        kernel=svm.kernel.kind,
        gamma=svm.kernel.gamma,
        degree=svm.kernel.degree,
        coef0=svm.kernel.coef0,
        destruction=svm.kernel.destruction,
        penalty=svm.C,
        classes=[int(label) for label in svm.classes],
        converged=svm.converged,
    )
    tensors = {"support": svm.support, "weights": svm.weights, "biases": svm.biases}
    save_tensors(path, header, tensors)


def load_svm(path: Path, experiment: SvmExperiment, data_sha256: str, dataset: Dataset) -> Svm:
    """Read a machine back; its support vectors are taken from the data.

    Args:
        path: of the file.
        experiment: the resolved config that it must have been made of.
        data_sha256: digest of the data set's content.
        dataset: the rows that the experiment uses; support vectors are rows of train + valid.

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
