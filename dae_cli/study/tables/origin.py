"""Where the data of a row are from, as far as a comparison with the paper's number goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dae_cli.data.generators.recipes import RECIPES

if TYPE_CHECKING:
    from dae_cli.study.rows import RunRow, TableRow

_REBUILT = frozenset(recipe.sha256 for recipe in RECIPES.values() if recipe.exact)


def is_made_anew(row: RunRow | TableRow) -> bool:
    """Tell whether a row's data are of the authors' kind, but not theirs.

    Data that were rebuilt from MNIST pixel for pixel are theirs.
    """
    return row.data_origin == "regenerated" and row.data_sha256 not in _REBUILT


def origin_told(row: RunRow | TableRow) -> str:
    """Return where a row's data are from: original, regenerated, or exactly rebuilt."""
    if row.data_origin == "regenerated" and not is_made_anew(row):
        return "exactly rebuilt"
    return row.data_origin
