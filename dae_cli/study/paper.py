"""The paper's numbers, from paper_tables.csv beside this file; its intervals, and verdicts.

No number is ever made up. All are in percent of the test rows.
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
"""The SVM trained on destroyed inputs, which is in the authors' talk but not in the paper."""
OTHER_COLUMNS = {"NNet-1": ("ICML 2007", "NNet"), SVM_NU: ("ICML 2008 talk", SVM_NU)}
"""Published columns beside those of table 1, by our model; NNet is of one layer, not pretrained."""
TEST_ROWS = 50_000
"""Of every published number."""

Verdict = Literal["better", "matches", "worse", "calibrated", "no reference"]
CALIBRATED: Final = "calibrated"
"""In place of a verdict: the data's recipe was calibrated to the very number compared with."""
Side = Literal["lower", "higher", "undecided"]
"""Where one of two errors lies, by their intervals."""


@dataclass(frozen=True)
class PaperNumber:
    """paper_tables.csv: one cell of a published table."""

    paper: str
    table: str
    dataset: str
    model: str
    error_percent: Percent
    half_width_95: Percent | None
    """None in the file where none was printed; `paper_numbers` has it as table 1 does."""
    destruction_percent: Level | None
    certainty: str
    """A key of `SOURCES`."""


MARKS = {"retold": "†", "recalled": "‡"}
"""What stands behind a number that was not read in a publication of its authors."""
SOURCES = {
    "report": "Table 1 as printed in Technical Report 1316 (Université de Montréal, February 2008) "
    "and in the slides of the authors' talk at ICML 2008",
    "talk": "SVM_rbf(ν) from those slides alone, which print no ± (it follows from the error and "
    "50 000 test rows)",
    "retold": f"{MARKS['retold']} taken from another publication that quotes the paper",
    "recalled": f"{MARKS['recalled']} quoted from memory, not checked against the paper",
}
"""Where the numbers are from, by certainty."""


def is_svm(model: str) -> bool:
    """Tell whether a model of the tables is an SVM: no layers, no destruction, no epochs."""
    return model.startswith("SVM_")


@cache
def paper_numbers() -> tuple[PaperNumber, ...]:
    """Return every published number that is known, each with its interval."""
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
    """Return the published number of a model (the paper's name) that is this error, or None."""
    for number in paper_numbers():
        if (number.dataset, number.model, number.error_percent) == (dataset, model, error_percent):
            return number
    return None


def sources(numbers: Iterable[PaperNumber | None]) -> str:
    """Return the footnote on where published numbers are from; empty if there are none."""
    known = {number.certainty for number in numbers if number}
    parts = [text for certainty, text in SOURCES.items() if certainty in known]
    return f"The paper's numbers: {'; '.join(parts)}." if parts else ""


def published_of_model(dataset: str, model: str) -> PaperNumber | None:
    """Return the number of a model on a data set, at the destruction that the paper selected.

    Those of ICML 2008's table 1, or of `OTHER_COLUMNS`. None: neither has one.
    """
    paper, name = OTHER_COLUMNS.get(model, (TABLE_1, model))
    for number in paper_numbers():
        if (number.paper, number.dataset, number.model) == (paper, dataset, name):
            return number
    return None


def compared_with(
    reference: Reference, dataset: str, model: str, destruction_percent: float
) -> PaperNumber | None:
    """Return the published number that a run is compared with, or None, by the study's rule.

    By destruction, the paper has one SdA-3 a data set, at the one that validation selected.
    """
    number = published_of_model(dataset, model)
    if number is None or reference == "model":
        return number
    level = number.destruction_percent or 0.0  # none of DBNs and SVMs
    return number if number.paper == TABLE_1 and level == destruction_percent else None


def half_width_95(wrong: float, rows: int) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n) in percent, the interval of the paper's table 1."""
    p = wrong / rows
    return 100.0 * 1.96 * math.sqrt(p * (1.0 - p) / rows)


def half_width_with_seeds(half_width: float, sd_over_seeds: float | None) -> float:
    """Return 1.96 · sqrt(p (1 − p) / n + sd²): the test rows, and the training with other seeds.

    For pictures. About where one more training would lie on other test rows; of two or three seeds
    the standard deviation itself is hardly known. Verdicts take the paper's interval.
    """
    return math.hypot(half_width, 1.96 * (sd_over_seeds or 0.0))


def side_of(a: float, half_a: float, b: float, half_b: float) -> Side:
    """Tell where the error a lies beside b, if their intervals do not overlap.

    In hundredths of a percent, as they are printed: whoever has only the table finds the same.
    Intervals whose ends touch overlap.
    """
    between = round(100 * b) - round(100 * a)
    if abs(between) <= round(100 * half_a) + round(100 * half_b):
        return "undecided"
    return "lower" if between > 0 else "higher"


def verdict(
    error: float, half_width: float, paper_error: float | None, paper_half_width: float | None
) -> Verdict:
    """Compare our interval with the paper's.

    better: ours lies below the paper's; worse: above; matches: they overlap.
    """
    if paper_error is None or paper_half_width is None:
        return "no reference"
    side = side_of(error, half_width, paper_error, paper_half_width)
    verdicts: dict[Side, Verdict] = {"lower": "better", "higher": "worse", "undecided": "matches"}
    return verdicts[side]
