"""The cells of the table ours | paper | gap | verdict, in words; every table is made of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from dae_cli.data.datasets import DATASETS
from dae_cli.study.paper import MARKS, PaperNumber, is_svm, published_number
from dae_cli.study.rows import RunRow, TableRow

NOTHING = "–"
MODEL_NAMES = {
    "SAA": "stacked autoencoder, the SdA without corruption",
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
    """The remark beside a verdict where the data are not known to be the authors'; else empty.

    Data that were rebuilt from MNIST pixel for pixel are theirs.
    """
    if row.data_origin == "regenerated" and row.data_sha256 not in _REBUILT:
        return REGENERATED
    return UNVERIFIED if row.trust == "unverified" else ""


def origin(row: RunRow | TableRow) -> str:
    """Where a row's data are from, and how far originals are to be trusted."""
    if row.data_origin == "regenerated":
        return "regenerated" if data_mark(row) else "exactly rebuilt"
    return f"{row.data_origin} ({row.trust})" if row.trust else row.data_origin


def contents(rows: Sequence[RunRow]) -> list[tuple[str, str, str]]:
    """Data set, origin and digest of each content that rows are of."""
    by_content = {(row.dataset, row.data_sha256): row for row in rows}
    return [(name, origin(row), sha256) for (name, sha256), row in by_content.items()]


def named(cell: str, changed: Collection[str]) -> str:
    """A cell's name, with a word where it is not what its file says."""
    return f"{cell} (changed)" if cell in changed else cell


def names(rows: Sequence[TableRow], changed: Collection[str] = ()) -> list[str]:
    """The data sets; the cells where several rows share data set and destruction."""
    places = {(row.dataset, row.destruction_percent) for row in rows}
    if len(places) == len(rows):
        return [row.dataset for row in rows]
    return [named(row.cell, changed) for row in rows]


def heading(rows: Sequence[TableRow]) -> str:
    """What `names` are of."""
    return "dataset" if names(rows) == [row.dataset for row in rows] else "cell"


def interval(error: float | None, half_width: float | None, nothing: str = NOTHING) -> str:
    """`17.43 ± 0.33`, in percent; ``nothing`` where there is no number."""
    if error is None:
        return nothing
    return f"{error:.2f}" if half_width is None else f"{error:.2f} ± {half_width:.2f}"


def ours(row: TableRow, nothing: str = NOTHING) -> str:
    """Our error with its interval, and its standard deviation over seeds if there are several."""
    text = interval(row.test_error_percent, row.half_width_95, nothing)
    return text if row.sd_over_seeds is None else f"{text} (sd {row.sd_over_seeds:.2f})"


def paper(row: TableRow, nothing: str = NOTHING, *, marked: bool = False) -> str:
    """The paper's error with its interval, and its model; `marked` as `paper.MARKS` has it."""
    if row.paper_error_percent is None:
        return nothing
    number, source = interval(row.paper_error_percent, row.paper_half_width_95), paper_number(row)
    mark = MARKS.get(source.certainty, "") if marked and source else ""
    return f"{number}{mark} ({row.paper_model})"


def paper_number(row: TableRow) -> PaperNumber | None:
    """The published number of a row; None where it has none, or one that is not known."""
    return published_number(row.dataset, row.paper_model, row.paper_error_percent)


def spelt_out(models: Iterable[str]) -> str:
    """What the names of some models stand for, as far as they are abbreviations."""
    short = {re.split("[-_]", model)[0] for model in models}
    parts = [f"{name}: {text}" for name, text in MODEL_NAMES.items() if name in short]
    if not parts:
        return ""
    numbered = "; the number is that of hidden layers" if short - {"SVM"} else ""
    return f"{'; '.join(parts)}{numbered}."


def selected(row: RunRow) -> str:
    """What was selected of a run on the validation rows, and among how many."""
    if is_svm(row.model):
        return f"{row.selected} of {row.trials} trials"
    best, every = (NOTHING if n is None else n for n in (row.best_epoch, row.epochs))
    return f"{best} of {every}"


def selected_heading(rows: Sequence[RunRow]) -> str:
    """The heading of `selected`."""
    svms = ", or the SVM selected" if any(is_svm(row.model) for row in rows) else ""
    return f"best epoch{svms}"


def gap(row: TableRow, nothing: str = NOTHING) -> str:
    """Ours minus the paper's, with its sign."""
    if row.paper_error_percent is None or row.test_error_percent is None:
        return nothing
    return f"{row.test_error_percent - row.paper_error_percent:+.2f}"


def verdict(row: TableRow) -> str:
    """The verdict, with the mark of the data; of own data there is none."""
    if row.test_error_percent is None:
        return "failed"
    mark = data_mark(row)
    return f"{row.verdict} ({mark})" if mark and row.verdict else row.verdict
