"""The published numbers, from paper_tables.csv beside this file; none is ever made up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from importlib.resources import files

from pydantic.dataclasses import dataclass

from dae_cli.config.study_schema import Reference
from dae_cli.csvfile import Level, Percent, parse_rows
from dae_cli.study.verdict import half_width_95

PAPER_CSV = "paper_tables.csv"
TABLE_1 = "ICML 2008"
SVM_NU = "SVM_rbf(nu)"
"""The SVM trained on destroyed inputs, which is in the authors' talk but not in the paper."""
OTHER_COLUMNS = {"NNet-1": ("ICML 2007", "NNet"), SVM_NU: ("ICML 2008 talk", SVM_NU)}
"""Published columns beside those of table 1, by our model; NNet is of one layer, not pretrained."""
TEST_ROWS = 50_000
"""Of every published number."""


@dataclass(frozen=True)
class PrintedNumber:
    """paper_tables.csv: one cell of a published table, in percent of the test rows."""

    paper: str
    table: str
    dataset: str
    model: str
    error_percent: Percent
    half_width_95: Percent | None
    destruction_percent: Level | None
    certainty: str
    """A key of `SOURCES`."""


@dataclass(frozen=True)
class PaperNumber(PrintedNumber):
    """A published number with its ±: where none was printed, as table 1 has it."""

    half_width_95: Percent


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
    """Return every published number that is known."""
    text = files("dae_cli.study").joinpath(PAPER_CSV).read_text(encoding="utf-8")
    return tuple(_with_half_width(row) for row in parse_rows(text, PAPER_CSV, PrintedNumber))


def _with_half_width(row: PrintedNumber) -> PaperNumber:
    half_width = row.half_width_95
    if half_width is None:
        half_width = round(half_width_95(row.error_percent / 100 * TEST_ROWS, TEST_ROWS), 2)
    return PaperNumber(**{**asdict(row), "half_width_95": half_width})


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
