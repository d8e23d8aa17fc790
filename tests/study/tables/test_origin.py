"""Where a row's data are from: what was rebuilt exactly counts as the authors' own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dae_cli.data.generators.recipes import RECIPES
from dae_cli.study.rows import RunRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.origin import is_made_anew, origin_told
from dae_cli.study.tables.table import table_of


@pytest.mark.parametrize(
    ("origin", "sha256", "anew", "told"),
    [
        ("original", "d" * 64, False, "original"),
        ("regenerated", "d" * 64, True, "regenerated"),
        ("regenerated", RECIPES["basic"].sha256, False, "exactly rebuilt"),
        ("original", RECIPES["basic"].sha256, False, "original"),
    ],
)
def test_only_data_that_differ_from_the_authors_are_made_anew(
    make_row: Callable[..., RunRow], origin: str, sha256: str, anew: bool, told: str
) -> None:
    row = make_row(data_origin=origin, data_sha256=sha256)
    assert (is_made_anew(row), origin_told(row)) == (anew, told)
    (cell,) = table_of([row])
    assert ("(regenerated data)" in cells.verdict(cell)) == anew


def test_basic_is_the_one_set_that_is_rebuilt_exactly() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.exact] == ["basic"]
