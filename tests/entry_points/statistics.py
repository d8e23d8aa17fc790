"""Intervals, verdicts, tests of two models, published numbers, and names of runs."""

from __future__ import annotations

from typing import Literal

from dae_cli.config.experiments import resolve_study
from dae_cli.study.paper import compared_with, half_width_95, paper_numbers, verdict
from dae_cli.study.run.job import config_sha256, run_name
from dae_cli.study.tables.comparisons import holm
from dae_cli.study.tables.comparisons import p_value as mcnemar_p_value
from dae_cli.training.version import NUMERICS_VERSION

__all__ = [
    "NUMERICS_VERSION",
    "Runs",
    "half_width_95",
    "holm",
    "mcnemar_p_value",
    "number_compared_with",
    "published_numbers",
    "verdict",
]

PublishedNumber = tuple[str, str, str, float, float | None, float | None, str]
"""Paper, data set, model, error, half width of its interval, destruction, certainty."""


def published_numbers() -> list[PublishedNumber]:
    """Return all numbers of papers."""
    return [
        (n.paper, n.dataset, n.model, n.error_percent, n.half_width_95, n.destruction_percent,
         n.certainty)
        for n in paper_numbers()
    ]  # fmt: skip


def number_compared_with(
    reference: Literal["destruction", "model"], dataset: str, model: str, destruction: float
) -> tuple[str, str, float, float | None] | None:
    """Return paper, model, error and half width that the study's rule compares a cell with;
    None if there is no such number."""
    number = compared_with(reference, dataset, model, destruction)
    if number is None:
        return None
    return number.paper, number.model, number.error_percent, number.half_width_95


class Runs:
    """Names and digests of a study's runs, for invented results."""

    def __init__(self, study: str) -> None:
        self._cells = {cell.cell: cell.experiment for cell in resolve_study(study).all_cells}

    def identity(self, cell: str, seed: int, data_sha256: str, numerics: int) -> tuple[str, str]:
        """Return the name of a run's folder, and the digest of its settings."""
        experiment = self._cells[cell].model_copy(update={"seed": seed})
        digest = config_sha256(experiment, numerics)
        return run_name(experiment, data_sha256, numerics), digest
