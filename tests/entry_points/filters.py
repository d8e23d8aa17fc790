"""Measures of filters from a matrix of weights with one row per unit."""

from __future__ import annotations

from dae_cli.errors import DaeError
from dae_cli.filters.gabor import GaborFit, fit_gabors
from dae_cli.filters.measures import UnitMeasures, measure
from dae_cli.filters.summary import median_interval, summarise, wilson

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
