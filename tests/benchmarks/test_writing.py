from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.figures import Table, read, rounded
from benchmarks.growth import ROWS
from benchmarks.plan import NORMAL
from benchmarks.plots import draw
from benchmarks.tables import epoch_table, growth_table, headroom, profile_table, short
from benchmarks.writing import performance_page, results_page

ROOT = Path(__file__).resolve().parents[2]
PAGE = "\n".join(
    f"# {mark}\n<!-- {mark}: by a test -->\nold\n<!-- end -->"
    for mark in ("measured", "compared", "profile", "growth")
)


def test_every_bar_stands_on_the_page_with_its_verdict(table: Table) -> None:
    page = results_page(table)
    assert page.count("**missed**") == 5
    assert page.count("| met |") == 5
    assert page.count("| **not measured** |") == 1
    assert "| ≤ 1024 MiB |  | 1100 MiB |" in page


def test_the_page_tells_machine_libraries_threads_and_commit(table: Table) -> None:
    page = results_page(table)
    for told in ("Abacus 9", "torch 2.13.0", "`--engine auto`: blas", "0123456789ab", "2030-01-02"):
        assert told in page
    assert "not committed" not in page and "mean nothing" not in page


def test_a_quick_run_and_a_changed_tree_are_called_so(table: Table) -> None:
    about = replace(table.about, commit="0123456789ab-dirty")
    assert "not committed" in results_page(Table(about, table.figures))
    page = results_page(Table(replace(table.about, mode="quick"), ()))
    assert "figures mean nothing" in page
    assert page.count("Not measured.") == 9


def test_contenders_that_could_not_be_had_say_why(table: Table) -> None:
    rows = epoch_table(table, NORMAL.pretraining(1000, 20), 78.4e9).splitlines()
    assert "| PyTorch, torch.compile | not available: no C++ compiler |  |  |  |" in rows
    own = next(row for row in rows if row.startswith("| **dae, blas**"))
    assert own.endswith("| 1.00 | 62 % |")
    assert len({row.count("|") for row in rows}) == 1


def test_the_limit_is_what_sgemm_would_need_for_the_products(table: Table) -> None:
    measure = NORMAL.pretraining(1000, 20)
    last = epoch_table(table, measure, 78.4e9).splitlines()[-1]
    assert last.startswith("| *the products alone") and last.endswith("| 0.62 | 100 % |")
    assert " 6.00 times as fast as PyTorch, data in memory" in headroom(table, measure, 78.4e9)


def test_products_of_the_profile_are_told_in_percent_of_sgemm(table: Table) -> None:
    rows = {row.split(" | ")[0]: row for row in profile_table(table).splitlines()}
    # One product is 2·20·784·1000 operations: in 100 µs 313.6 GFLOP/s of 100.
    assert rows["| x̃ Wᵀ + b"].endswith("| 100 | 11.1 % | 314 | 314 % |")
    assert rows["| **the whole step**"].endswith("| 900 | 100.0 % | 174 | 174 % |")
    assert rows["| gathering the rows"].endswith("| 11.1 % |  |  |")


def test_growth_is_told_against_the_size_before(table: Table) -> None:
    assert growth_table(table, ROWS, "rows:").splitlines()[-1] == "| 200 | 2.00 | 2.00 | 2.00 |"


def test_generated_parts_alone_are_renewed(table: Table) -> None:
    page = performance_page(PAGE, table)
    assert "old" not in page
    assert [line for line in page.splitlines() if line.startswith("# ")] == [
        "# measured",
        "# compared",
        "# profile",
        "# growth",
    ]
    assert performance_page(page, table) == page


def test_a_page_without_a_mark_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="0 places marked 'growth'"):
        performance_page(PAGE.replace("growth:", "grown:"), table)


def test_pictures_are_the_same_bytes_for_the_same_figures(table: Table, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(table, tmp_path / name)
    for name in ("compared.png", "profile.png", "growth.png"):
        one, other = tmp_path / "a" / name, tmp_path / "b" / name
        assert one.read_bytes() == other.read_bytes()
        with Image.open(one) as picture:
            assert picture.width > 500


@pytest.mark.parametrize(
    ("number", "text"),
    [(1234.6, "1235"), (123.4, "123"), (12.34, "12.3"), (1.0, "1.00"), (0.012, "0.0120")],
)
def test_numbers_have_three_digits(number: float, text: str) -> None:
    assert short(number) == text


def test_the_committed_pages_are_of_the_committed_figures() -> None:
    table = read(ROOT / "benchmarks" / "results.csv")
    assert rounded(table.about, table.figures) == table
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert results_page(table) == page, "run `python -m benchmarks.engine --render`"
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert performance_page(text, table) == text, "run `python -m benchmarks.engine --render`"
