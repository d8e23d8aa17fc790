"""Where the data of a row are from, as far as a comparison with the paper's number goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dae_cli.data.datasets import DATASETS

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow, TableRow

REGENERATED, UNVERIFIED = "regenerated data", "unverified data"

_REBUILT = frozenset(
    spec.recipe.sha256 for spec in DATASETS.values() if spec.recipe and spec.recipe.exact
)


def data_mark(row: RunRow | TableRow) -> str:
    """What stands beside a verdict where the data are not known to be the authors'; else empty.

    Data that were rebuilt from MNIST pixel for pixel are theirs.
    """
    if row.data_origin == "regenerated" and row.data_sha256 not in _REBUILT:
        return REGENERATED
    return UNVERIFIED if row.trust == "unverified" else ""


def origin_told(row: RunRow | TableRow) -> str:
    """Return where a row's data are from, and how far originals are to be trusted."""
    if row.data_origin == "regenerated":
        return "regenerated" if data_mark(row) else "exactly rebuilt"
    return f"{row.data_origin} ({row.trust})" if row.trust else row.data_origin
