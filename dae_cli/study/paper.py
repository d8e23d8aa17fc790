"""The published numbers, from paper_tables.csv beside this file; none is ever made up."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dae_cli.config.study_files import Reference

TABLE_1 = "ICML 2008"
NNET = "NNet"
"""The column of ICML 2007 that is not in ICML 2008: a network of one layer, not pretrained."""


@dataclass(frozen=True)
class PaperNumber:
    """One cell of a published table, in percent of the test rows."""

    paper: str
    table: str
    dataset: str
    model: str
    error_percent: float
    half_width_95: float
    destruction_percent: float | None
    certainty: str
    """slides: printed in the lecture; retold, recalled: second hand."""


MARKS = {"retold": "†", "recalled": "‡"}
"""What stands behind a number that is not printed in the lecture, by its certainty."""
MARKED = {"retold": "read in a second-hand account", "recalled": "recalled, not read again"}
UNMARKED = (
    "The paper's numbers without a mark are printed in the lecture (Larochelle 2012) that this "
    "project starts from."
)


def is_svm(model: str) -> bool:
    """Tell whether a model of the tables is an SVM: no layers, no destruction, no epochs."""
    return model.startswith("SVM_")


@cache
def paper_numbers() -> tuple[PaperNumber, ...]:
    """Return every published number that is known."""
    text = files("dae_cli.study").joinpath("paper_tables.csv").read_text(encoding="utf-8")
    return tuple(
        PaperNumber(
            paper=row["paper"],
            table=row["table"],
            dataset=row["dataset"],
            model=row["model"],
            error_percent=float(row["error_percent"]),
            half_width_95=float(row["half_width_95"]),
            destruction_percent=float(p) if (p := row["destruction_percent"]) else None,
            certainty=row["certainty"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def certainty_of(dataset: str, model: str, error_percent: float) -> str:
    """Return how certain a number of the tables is; empty where they have no such number."""
    for number in paper_numbers():
        if (number.dataset, number.model, number.error_percent) == (dataset, model, error_percent):
            return number.certainty
    return ""


def published(dataset: str, model: str, destruction_percent: float) -> PaperNumber | None:
    """Return the ICML 2008 number of a data set and model at a destruction, or None.

    The paper prints one SdA-3 a data set, at the destruction chosen on validation: at any other
    destruction there is no reference. Its DBNs and SVMs have no destruction at all.
    """
    without = (is_svm(model) or model.startswith("DBN-")) and not destruction_percent
    level = None if without else destruction_percent
    for number in paper_numbers():
        if (number.paper, number.dataset, number.model, number.destruction_percent) == (
            TABLE_1,
            dataset,
            model,
            level,
        ):
            return number
    return None


def published_of_model(dataset: str, model: str) -> PaperNumber | None:
    """Return the number of a model on a data set, at the destruction that the paper selected.

    Those of ICML 2008's table 1; for NNet-1, ICML 2007's NNet. None: neither has one.
    """
    paper, name = ("ICML 2007", NNET) if model == "NNet-1" else (TABLE_1, model)
    for number in paper_numbers():
        if (number.paper, number.dataset, number.model) == (paper, dataset, name):
            return number
    return None


def compared_with(
    reference: Reference, dataset: str, model: str, destruction_percent: float
) -> PaperNumber | None:
    """Return the published number that a run is compared with, or None, by the study's rule."""
    if reference == "model":
        return published_of_model(dataset, model)
    return published(dataset, model, destruction_percent)
