"""What filters look like in numbers: from a matrix of weights, one row a unit."""

from __future__ import annotations

from dae_cli.errors import DaeError
from dae_cli.features.gabor import GaborFit, fit_gabors
from dae_cli.features.intervals import median_interval, wilson
from dae_cli.features.measures import UnitMeasures, measure
from dae_cli.features.summary import summarise

__all__ = [
    "DaeError",
    "GaborFit",
    "UnitMeasures",
    "fit_gabors",
    "measure",
    "median_interval",
    "summarise",
    "wilson",
]
