"""Texts of the cells of the table ours | paper | gap | verdict, which every table uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from dae_cli.data.datasets import DATASETS
from dae_cli.study.paper import MARKS, PaperNumber, is_svm, published_number
from dae_cli.study.rows import RunRow, TableRow

NOTHING = "–"
MODEL_NAMES = {
    "SAA": "stacked autoencoder (an SdA without corruption)",
    "SdA": "stacked denoising autoencoder",
    "DBN": "deep belief network",
    "NNet": "neural network without pretraining",
    "SVM": "support vector machine",
}
REGENERATED, UNVERIFIED = "regenerated data", "unverified data"

_REBUILT = frozenset(
    spec.recipe.sha256 for spec in DATASETS.values() if spec.recipe and spec.recipe.exact
)


def data_mark(row: RunRow | TableRow) -> str:
    """Return the remark after a verdict if the data may not be the authors'; else empty.

    Data regenerated from MNIST pixel for pixel count as the authors'.
    """
    if row.data_origin == "regenerated" and row.data_sha256 not in _REBUILT:
        return REGENERATED
    return UNVERIFIED if row.trust == "unverified" else ""


def origin(row: RunRow | TableRow) -> str:
    """Return the origin of a row's data, with the trust in originals."""
    if row.data_origin == "regenerated":
        return "regenerated" if data_mark(row) else "exactly rebuilt"
    return f"{row.data_origin} ({row.trust})" if row.trust else row.data_origin


def contents(rows: Sequence[RunRow]) -> list[tuple[str, str, str]]:
    """Return data set, origin and digest of each data content in the rows."""
    by_content = {(row.dataset, row.data_sha256): row for row in rows}
    return [(name, origin(row), sha256) for (name, sha256), row in by_content.items()]


def named(cell: str, changed: Collection[str]) -> str:
    """Return a cell's name, marked if its settings differ from its file."""
    return f"{cell} (changed)" if cell in changed else cell


def names(rows: Sequence[TableRow], changed: Collection[str] = ()) -> list[str]:
    """Return the data sets of rows, or their cells if data set and destruction are not unique."""
    places = {(row.dataset, row.destruction_percent) for row in rows}
    if len(places) == len(rows):
        return [row.dataset for row in rows]
    return [named(row.cell, changed) for row in rows]


def heading(rows: Sequence[TableRow]) -> str:
    """Return the column heading for `names`."""
    return "dataset" if names(rows) == [row.dataset for row in rows] else "cell"


def interval(error: float | None, half_width: float | None, nothing: str = NOTHING) -> str:
    """Return `17.43 ± 0.33`, in percent; ``nothing`` if there is no number."""
    if error is None:
        return nothing
    return f"{error:.2f}" if half_width is None else f"{error:.2f} ± {half_width:.2f}"


def ours(row: TableRow, nothing: str = NOTHING) -> str:
    """Return our error with its interval, and the standard deviation of several seeds."""
    text = interval(row.test_error_percent, row.half_width_95, nothing)
    return text if row.sd_over_seeds is None else f"{text} (sd {row.sd_over_seeds:.2f})"


def paper(row: TableRow, nothing: str = NOTHING, *, marked: bool = False) -> str:
    """Return the paper's error with interval and model; `marked`: with a mark of `paper.MARKS`."""
    if row.paper_error_percent is None:
        return nothing
    number, source = interval(row.paper_error_percent, row.paper_half_width_95), paper_number(row)
    mark = MARKS.get(source.certainty, "") if marked and source else ""
    return f"{number}{mark} ({row.paper_model})"


def paper_number(row: TableRow) -> PaperNumber | None:
    """Return the published number that a row is compared with; None if it is not known."""
    return published_number(row.dataset, row.paper_model, row.paper_error_percent)


def spelt_out(models: Iterable[str]) -> str:
    """Return a sentence that explains the abbreviations in names of models; empty if none."""
    short = {re.split("[-_]", model)[0] for model in models}
    parts = [f"{name}: {text}" for name, text in MODEL_NAMES.items() if name in short]
    if not parts:
        return ""
    numbered = "; the number at the end is the number of hidden layers" if short - {"SVM"} else ""
    return f"{'; '.join(parts)}{numbered}."


def selected(row: RunRow) -> str:
    """Return the selected epoch or SVM of a run, and the number of candidates."""
    if is_svm(row.model):
        return f"{row.selected} of {row.trials} trials"
    best, every = (NOTHING if n is None else n for n in (row.best_epoch, row.epochs))
    return f"{best} of {every}"


def selected_heading(rows: Sequence[RunRow]) -> str:
    """Return the column heading for `selected`."""
    svms = ", or selected SVM" if any(is_svm(row.model) for row in rows) else ""
    return f"best epoch{svms}"


def gap(row: TableRow, nothing: str = NOTHING) -> str:
    """Return our error minus the paper's, with a sign."""
    if row.paper_error_percent is None or row.test_error_percent is None:
        return nothing
    return f"{row.test_error_percent - row.paper_error_percent:+.2f}"


def verdict(row: TableRow) -> str:
    """Return the verdict with the mark of the data; empty for own data."""
    if row.test_error_percent is None:
        return "failed"
    mark = data_mark(row)
    return f"{row.verdict} ({mark})" if mark and row.verdict else row.verdict
