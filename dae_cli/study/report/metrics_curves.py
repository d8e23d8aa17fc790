"""How a run went by epoch, from its metrics.csv."""

from __future__ import annotations

import csv
from math import isfinite
from pathlib import Path

from dae_cli.errors import RunFolderError
from dae_cli.figures.series import Curves
from dae_cli.study.run.job import METRICS


def metrics_curves(run: Path) -> Curves | None:
    """Return the curves of a run's folder, a point an epoch; None where it has no metrics.csv.

    Raises:
        RunFolderError: metrics.csv is damaged.
    """
    path = run / METRICS
    if not path.is_file():
        return None
    valid: list[tuple[int, float]] = []
    cost: dict[int, list[tuple[int, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for record in csv.DictReader(file, strict=True):
                epoch = int(record["epoch"])
                if record["phase"] == "finetune":
                    valid.append((epoch, _rounded(record["valid_error_percent"])))
                else:
                    layer = cost.setdefault(int(record["layer"]), [])
                    layer.append((epoch, _rounded(record["cost"])))
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunFolderError(f"{path}: cannot be read ({error}); move the run away") from error
    return Curves(tuple(valid), tuple(tuple(cost[k]) for k in sorted(cost)))


def _rounded(text: str) -> float:
    """A number of metrics.csv, to what can be seen."""
    value = float(f"{float(text):.4g}")
    if not isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value
