"""Published numbers (paper_tables.csv), the paper's intervals, and verdicts.

Errors are in percent of the test rows. Numbers that were not published are never filled in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from pydantic.dataclasses import dataclass

from dae_cli.config.study_schema import Reference
from dae_cli.csvfile import Level, Percent, parse_rows

PAPER_CSV = "paper_tables.csv"
TABLE_1 = "ICML 2008"
SVM_NU = "SVM_rbf(nu)"
"""The SVM trained on destroyed inputs, from the authors' talk; it is not in the paper."""
OTHER_COLUMNS = {"NNet-1": ("ICML 2007", "NNet"), SVM_NU: ("ICML 2008 talk", SVM_NU)}
"""Published columns outside table 1, by our model; NNet has one layer, without pretraining."""
TEST_ROWS = 50_000
"""Number of test rows of every published number."""

Verdict = Literal["better", "matches", "worse", "calibrated", "no reference"]
CALIBRATED: Final = "calibrated"
"""Replaces a verdict if the recipe of the data was calibrated to the published number."""
Side = Literal["lower", "higher", "undecided"]
"""Side of one error, compared with another by their intervals."""


@dataclass(frozen=True)
class PaperNumber:
    """paper_tables.csv: one cell of a published table."""

    paper: str
    table: str
    dataset: str
    model: str
    error_percent: Percent
    half_width_95: Percent | None
    """None in the file if none was printed; `paper_numbers` then computes it as in table 1."""
    destruction_percent: Level | None
    certainty: str
    """A key of `SOURCES`."""


MARKS = {"retold": "†", "recalled": "‡"}
"""Marks of numbers that are not taken from a publication of their authors."""
SOURCES = {
    "report": "Table 1 as printed in Technical Report 1316 (Université de Montréal, February 2008) "
    "and in the slides of the authors' talk at ICML 2008",
    "talk": "SVM_rbf(ν) from those slides alone, which print no ± (it follows from the error and "
    "50 000 test rows)",
    "retold": f"{MARKS['retold']} taken from another publication that quotes the paper",
    "recalled": f"{MARKS['recalled']} quoted from memory, not checked against the paper",
}
"""Sources of the numbers, by certainty."""


def is_svm(model: str) -> bool:
    """Return whether a model is an SVM, which has no layers, destruction or epochs."""
    return model.startswith("SVM_")


@cache
def paper_numbers() -> tuple[PaperNumber, ...]:
    """Return all published numbers with their intervals."""
    text = files("dae_cli.study").joinpath(PAPER_CSV).read_text(encoding="utf-8")
    return tuple(
        replace(number, half_width_95=round(_of_test_rows(number.error_percent), 2))
        if number.half_width_95 is None
        else number
        for number in parse_rows(text, PAPER_CSV, PaperNumber)
    )


def _of_test_rows(error_percent: float) -> float:
    return half_width_95(error_percent / 100 * TEST_ROWS, TEST_ROWS)


def published_number(dataset: str, model: str, error_percent: float | None) -> PaperNumber | None:
    """Return the published number with this error for a model (the paper's name), or None."""
    for number in paper_numbers():
        if (number.dataset, number.model, number.error_percent) == (dataset, model, error_percent):
            return number
    return None


def sources(numbers: Iterable[PaperNumber | None]) -> str:
    """Return the footnote on the sources of published numbers; empty if there are none."""
    known = {number.certainty for number in numbers if number}
    parts = [text for certainty, text in SOURCES.items() if certainty in known]
    return f"The paper's numbers: {'; '.join(parts)}." if parts else ""


def published_of_model(dataset: str, model: str) -> PaperNumber | None:
    """Return the published number of a model on a data set, at the paper's destruction.

    It is from ICML 2008, Table 1, or from `OTHER_COLUMNS`; None if neither has one.
    """
    paper, name = OTHER_COLUMNS.get(model, (TABLE_1, model))
    for number in paper_numbers():
        if (number.paper, number.dataset, number.model) == (paper, dataset, name):
            return number
    return None


def compared_with(
    reference: Reference, dataset: str, model: str, destruction_percent: float
) -> PaperNumber | None:
    """Return the published number that a run is compared with by the study's rule, or None.

    The paper has one SdA-3 per data set, at the destruction selected by validation.
    """
    number = published_of_model(dataset, model)
    if number is None or reference == "model":
        return number
    level = number.destruction_percent or 0.0  # DBNs and SVMs have none
    return number if number.paper == TABLE_1 and level == destruction_percent else None


def half_width_95(wrong: float, rows: int) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n) in percent, as in the paper's table 1."""
    p = wrong / rows
    return 100.0 * 1.96 * math.sqrt(p * (1.0 - p) / rows)


def half_width_with_seeds(half_width: float, sd_over_seeds: float | None) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n + sd²), which includes the variation between seeds.

    Only plots use it; verdicts use the paper's interval. It is roughly where one more run would lie
    on other test rows. With two or three seeds, the standard deviation itself is uncertain.
    """
    return math.hypot(half_width, 1.96 * (sd_over_seeds or 0.0))


def side_of(a: float, half_a: float, b: float, half_b: float) -> Side:
    """Return the side of the error a compared with b, if their intervals do not overlap.

    The comparison uses hundredths of a percent, as printed, so that it can be repeated from the
    table. Intervals whose ends touch overlap.
    """
    between = round(100 * b) - round(100 * a)
    if abs(between) <= round(100 * half_a) + round(100 * half_b):
        return "undecided"
    return "lower" if between > 0 else "higher"


def verdict(
    error: float, half_width: float, paper_error: float | None, paper_half_width: float | None
) -> Verdict:
    """Return the verdict on our interval compared with the paper's.

    better: ours lies below; worse: ours lies above; matches: they overlap.
    """
    if paper_error is None or paper_half_width is None:
        return "no reference"
    side = side_of(error, half_width, paper_error, paper_half_width)
    verdicts: dict[Side, Verdict] = {"lower": "better", "higher": "worse", "undecided": "matches"}
    return verdicts[side]
