from __future__ import annotations

import pytest

from benchmarks.figures import About, Figure, Table, from_csv, ratios, rounded, to_csv


def test_a_table_comes_back_from_its_file(table: Table) -> None:
    kept = rounded(table.about, table.figures)
    assert from_csv(to_csv(kept)) == kept
    assert [figure.contender for figure in kept.figures] == [f.contender for f in table.figures]


def test_what_could_not_be_had_stays_in_the_file_but_has_no_figure(about: About) -> None:
    absent = Figure("m", "c", "s", "1", (), "not available: no C++ compiler")
    table = rounded(about, [absent])
    assert table.of("m") == [absent]
    assert table.get("m", "c") is None


def test_rows_of_two_runs_are_refused(about: About, table: Table) -> None:
    first = to_csv(table)
    other = to_csv(table).replace(about.commit, "ba9876543210").partition("\n")[2]
    with pytest.raises(ValueError, match="of one run; these are of 2"):
        from_csv(first + other)


def test_an_empty_file_is_refused(about: About) -> None:
    with pytest.raises(ValueError, match="of one run; these are of 0"):
        from_csv(to_csv(Table(about, ())))


def test_ratios_are_within_a_round() -> None:
    calm, busy = Figure("m", "a", "s", "1", (1.0, 8.0)), Figure("m", "b", "s", "1", (2.0, 4.0))
    assert ratios(calm, busy) == (0.5, 2.0)


def test_ratios_of_different_rounds_are_refused() -> None:
    with pytest.raises(ValueError):
        ratios(Figure("m", "a", "s", "1", (1.0, 8.0)), Figure("m", "b", "s", "1", (2.0,)))
