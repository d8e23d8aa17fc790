"""runs.csv and table.csv: fixed columns, two decimals, read back as they were written."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dae_cli import csv_rows
from dae_cli.errors import RunFolderError
from dae_cli.study.rows import RunRow, TableRow, read_rows, rows_to_csv, write_rows

MakeRow = Callable[..., RunRow]

# One line without control characters: an error of several lines becomes one (see run/row.py).
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
PERCENT = st.integers(0, 10_000).map(lambda n: n / 100)
OF_A_FIELD = {
    "destruction_percent": st.integers(0, 999).map(lambda n: n / 10),
    "minutes": st.integers(0, 99_999).map(lambda n: n / 10),
}
OF_A_TYPE = {str: TEXT, int: st.integers(0, 2**32), float: PERCENT}


def _values(kind: type) -> st.SearchStrategy[Any]:
    columns = {}
    for name, hint in get_type_hints(kind).items():
        plain = next((t for t in get_args(hint) if t is not type(None)), hint)
        values = OF_A_FIELD.get(name, OF_A_TYPE[plain])
        columns[name] = st.none() | values if get_args(hint) else values
    return st.builds(kind, **columns)


@pytest.mark.parametrize("kind", [RunRow, TableRow])
def test_rows_are_read_back_as_they_were_written(
    kind: type[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("csv")

    @settings(max_examples=60)
    @given(st.lists(_values(kind), max_size=4))
    def holds(rows: list[Any]) -> None:
        write_rows(folder / "rows.csv", rows, kind)
        assert read_rows(folder / "rows.csv", kind) == rows

    holds()


DOCUMENTED = (
    *("dataset", "data_origin", "data_sha256", "model", "destruction_percent", "seed"),
    *("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent"),
    *("paper_error_percent", "paper_half_width_95", "verdict"),
    *("minutes", "device", "engine", "threads", "versions", "commit", "error"),
)


def test_the_columns_are_those_of_the_documentation() -> None:
    header = rows_to_csv([], RunRow).strip().split(",")
    assert tuple(name for name in header if name in DOCUMENTED) == DOCUMENTED
    table = rows_to_csv([], TableRow).strip().replace(",seeds,", ",seed,").split(",")
    assert tuple(name for name in table if name in DOCUMENTED) == DOCUMENTED


def test_percentages_have_two_decimals_and_unknown_ones_are_empty(make_row: MakeRow) -> None:
    row = make_row(
        test_error_percent=18.0,
        half_width_95=0.336749,
        valid_error_percent=7 / 3,
        paper_error_percent=None,
        destruction_percent=12.5,
        minutes=61.26,
    )
    (record,) = csv.DictReader(rows_to_csv([row], RunRow).splitlines())
    percents = {name: value for name, value in record.items() if name.endswith(("percent", "_95"))}
    assert percents == {
        "destruction_percent": "12.5",
        "test_error_percent": "18.00",
        "half_width_95": "0.34",
        "valid_error_percent": "2.33",
        "paper_error_percent": "",
        "paper_half_width_95": "0.34",
    }
    assert record["minutes"] == "61.3"


def test_a_row_is_one_line(make_row: MakeRow) -> None:
    assert rows_to_csv([make_row(), make_row(error='a, "b"')], RunRow).count("\n") == 3


@pytest.fixture
def written(tmp_path: Path, make_row: MakeRow) -> Path:
    """A file of two rows."""
    path = tmp_path / "runs.csv"
    write_rows(path, [make_row(), make_row(seed=1)], RunRow)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(RunFolderError) as caught:
        read_rows(path, RunRow)
    assert str(path) in str(caught.value)
    assert "move" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "header",
    ["", "a,b,c", ",".join(f.name for f in fields(TableRow)), ",".join(["x"] * 27)],
    ids=["empty", "other", "table", "as many"],
)
def test_foreign_columns_are_refused(written: Path, header: str) -> None:
    lines = written.read_text().splitlines()
    written.write_text("\n".join([header, *lines[1:]]) if header else "")
    assert "its columns are not those that dae writes" in _refused(written)


def test_a_column_that_is_missing_or_twice_is_refused(written: Path) -> None:
    text = written.read_text()
    written.write_text(text.replace(",seed,", ",", 1))
    _refused(written)
    written.write_text(text.replace(",seed,", ",seed,seed,", 1))
    _refused(written)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("50000", "many", "n_test is 'many', expected a number"),
        ("18.00", "18,00", "28 values found, 27 expected"),
        ("18.00", "18.00 %", "test_error_percent is '18.00 %'"),
        ("9000", "9000.5", "n_wrong is '9000.5'"),
        ("9000", "-9000", "n_wrong is -9000, expected a number of 0 or more"),
        ("18.00", "180.0", "test_error_percent is 180.0, expected a number from 0 to 100"),
        ("18.00", "nan", "test_error_percent is nan"),
        ("18.00", "inf", "test_error_percent is inf"),
    ],
)
def test_a_wrong_value_is_told_with_file_and_line(
    written: Path, old: str, new: str, told: str
) -> None:
    lines = written.read_text().splitlines()
    lines[2] = lines[2].replace(old, new, 1)
    written.write_text("\n".join(lines) + "\n")
    message = _refused(written)
    assert f"{written}:3: " in message
    assert told in message


def test_a_row_that_was_cut_off_is_refused(written: Path) -> None:
    # Its last column, the error, would else be taken for empty, or for text.
    written.write_text(written.read_text().rstrip("\n").rstrip(","))
    assert f"{written}:3: " in _refused(written)


def test_bytes_that_are_no_text_are_refused(written: Path) -> None:
    written.write_bytes(written.read_bytes().replace(b"matches", b"\xff\xfe", 1))
    _refused(written)


def test_more_bytes_than_dae_would_write_are_refused(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "MAX_BYTES", 100)
    assert f"{written}: has more than 100 bytes" in _refused(written)


def test_an_open_quote_is_refused(written: Path) -> None:
    written.write_text(written.read_text().replace("matches", '"matches', 1))
    _refused(written)
