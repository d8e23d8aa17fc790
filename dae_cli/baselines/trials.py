"""trials.csv of a run: every machine that was tried, one line each.

A run that was stopped goes on from it, so it is read as strictly as it was written: what does not
fit the settings and the data of the run is refused.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.machines import Trial
from dae_cli.baselines.selection import GREATEST_DEGREE
from dae_cli.config.schema import SvmKernel
from dae_cli.csv_rows import csv_text
from dae_cli.errors import RunFolderError, plain

_LATER = {"nu": 0.0, "offset": 1.0}
"""Columns that came later, with the value of before: a file has them where a trial has another one,
so that files from before are what they were."""
COLUMNS = (
    *("kernel", "nu", "gamma", "degree", "offset", "penalty", "n_wrong", "valid_error_percent"),
    *("n_support", "converged", "seconds"),
)
MAX_BYTES = 10_000_000
"""A line has about a hundred; no search makes so many trials."""


def trials_csv(trials: Sequence[Trial]) -> str:
    """Return trials.csv: parameters with all their digits, an empty degree for the kernel rbf."""
    lines = [_line(trial) for trial in trials]
    columns = [
        name
        for name in COLUMNS
        if name not in _LATER or any(line[name] != repr(_LATER[name]) for line in lines)
    ]
    return csv_text([columns, *([line[name] for name in columns] for line in lines)])


def _line(trial: Trial) -> dict[str, object]:
    kernel = trial.kernel
    return {
        "kernel": kernel.kind,
        "nu": repr(kernel.destruction),
        "gamma": repr(kernel.gamma),
        "degree": kernel.degree if kernel.kind == "poly" else "",
        "offset": repr(kernel.coef0),
        "penalty": repr(trial.penalty),
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
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such file") from None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > MAX_BYTES:
        raise RunFolderError(f"{path}: cannot be read (larger than {MAX_BYTES} bytes)")
    reader = csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline=""), strict=True)
    trials: list[Trial] = []
    try:
        found = next(reader, [])
        columns = [name for name in COLUMNS if name in found or name not in _LATER]
        if found != columns:
            raise ValueError(f"its columns are not {', '.join(columns)}")
        for values in reader:
            trials.append(_trial(columns, values, kernel, n_train, n_valid))
        if len({trial.point for trial in trials}) < len(trials):
            raise ValueError("a trial stands in it twice")
    except (ValueError, csv.Error) as error:
        raise RunFolderError(
            f"{path}:{max(1, reader.line_num)}: {plain(str(error))}; remove the run's folder to "
            "have it made anew"
        ) from error
    return tuple(trials)


def _trial(
    columns: Sequence[str], values: Sequence[str], kernel: SvmKernel, n_train: int, n_valid: int
) -> Trial:
    if len(values) != len(columns):
        raise ValueError(f"{len(values)} values found, {len(columns)} expected")
    fields = dict(zip(columns, values, strict=True))
    if fields["kernel"] != kernel:
        raise ValueError(f"kernel is {fields['kernel'][:40]!r}, expected {kernel!r}")
    gamma, penalty = (_above_zero(name, fields[name]) for name in ("gamma", "penalty"))
    nu, offset = (_number(name, fields.get(name, repr(_LATER[name]))) for name in _LATER)
    if nu >= 1:
        raise ValueError(f"nu is {fields['nu'][:40]!r}, expected a number from 0 to below 1")
    degree = 3
    if kernel == "poly":
        degree = _whole("degree", fields["degree"], 1, GREATEST_DEGREE)
    elif fields["degree"]:
        raise ValueError(f"degree is {fields['degree'][:40]!r}, expected nothing")
    if fields["converged"] not in ("true", "false"):
        raise ValueError(f"converged is {fields['converged'][:40]!r}, expected true or false")
    trial = Trial(
        kernel=Kernel(kernel, gamma, degree, offset, nu),
        penalty=penalty,
        n_wrong=_whole("n_wrong", fields["n_wrong"], 0, n_valid),
        n_valid=n_valid,
        n_support=_whole("n_support", fields["n_support"], 1, n_train),
        converged=fields["converged"] == "true",
        seconds=_number("seconds", fields["seconds"]),
    )
    percent = f"{trial.valid_error_percent:.4f}"
    if fields["valid_error_percent"] != percent:
        raise ValueError(
            f"valid_error_percent is {fields['valid_error_percent'][:40]!r}, expected {percent} "
            f"for {trial.n_wrong} of {n_valid} rows"
        )
    return trial


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high):
        raise ValueError(f"{name} is {text[:40]!r}, expected a whole number from {low} to {high}")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {text[:40]!r}, expected a number of 0 or more")
    return value


def _above_zero(name: str, text: str) -> float:
    if not (value := _number(name, text)) > 0:
        raise ValueError(f"{name} is {text[:40]!r}, expected a number above 0")
    return value
