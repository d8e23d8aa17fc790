"""CSV files: committed files survive reading and writing; edited values are refused.

The messages of commands about edited results folders are tested in test_result_readers.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.entry_points.csv_files import ROWS_OF, written_again
from tests.support.data_files import refused

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = sorted(
    path.relative_to(ROOT)
    for folder in ("results/*", "experiments/*", "dae_cli/study")
    for path in ROOT.glob(f"{folder}/*.csv")
)


@pytest.mark.parametrize("path", COMMITTED, ids=str)
def test_a_committed_file_is_read_and_written_again_byte_for_byte(path: Path) -> None:
    assert written_again(ROOT / path) == (ROOT / path).read_text(encoding="utf-8")


def test_every_kind_of_row_has_a_committed_file() -> None:
    assert {path.name for path in COMMITTED} == set(ROWS_OF)


def edited(path: Path, line: int, column: str, value: str) -> str:
    """Return a committed file with another value in a line, counted from 1."""
    lines = list(csv.reader(io.StringIO((ROOT / path).read_text(encoding="utf-8"))))
    lines[line - 1][lines[0].index(column)] = value
    return csv_text(lines)


@pytest.mark.parametrize(
    ("path", "column", "value", "expected"),
    [
        ("results/table1-tuned/runs.csv", "seed", "1.0", "a number"),
        ("results/table1-tuned/runs.csv", "n_wrong", "-1", "a number of 0 or more"),
        ("results/table1-tuned/runs.csv", "n_test", "nan", "a number"),
        ("results/table1-tuned/runs.csv", "test_error_percent", "100.5", "a number from 0 to 100"),
        ("results/table1-tuned/runs.csv", "minutes", "inf", "a number of 0 or more"),
        (
            "results/table1-tuned/runs.csv",
            "trust",
            "sure",
            "verified, plausible, unverified, nothing",
        ),
        ("results/table1-tuned/table.csv", "sd_over_seeds", "much", "a number"),
        ("results/table1-tuned/mcnemar.csv", "only_a_wrong", "-2", "a number of 0 or more"),
        ("results/table1-tuned/mcnemar.csv", "significant", "true", "yes or no"),
        ("results/table1-tuned/mcnemar.csv", "p_holm", "1.5", "a number from 0 to 1"),
        ("results/table1-tuned/wrong_rows.csv", "n_test", "", "a number"),
        ("results/table1-tuned/curves.csv", "points", "1:2 x:3", "points such as"),
        ("results/table1-tuned/curves.csv", "points", "1:inf", "points such as"),
        ("results/table1-tuned/search.csv", "trial", "one", "a number"),
        ("results/table1-tuned/search.csv", "state", "lost", "complete, pruned, diverged, failed"),
        ("results/filters-mnist/filters.csv", "norm", "big", "a number"),
        ("results/filters-mnist/filters.csv", "gabor_like", "1", "yes or no"),
        ("results/filters-mnist/figures.csv", "holds", "perhaps", "yes or no"),
        ("experiments/icml2008/reference.csv", "best_epoch", "-3", "a number of 0 or more"),
        ("dae_cli/study/paper_tables.csv", "error_percent", "103.03", "a number from 0 to 100"),
    ],
)
def test_an_edited_value_is_refused_with_line_column_value_and_what_was_expected(
    path: str, column: str, value: str, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / Path(path).name
    file.write_text(edited(Path(path), 3, column, value), encoding="utf-8")
    message = f"{file}:3: {column} is {value!r}, expected {expected}"
    refused((message, "move the file away"), written_again, file)


@pytest.mark.parametrize("path", COMMITTED, ids=str)
def test_other_columns_are_refused_and_the_message_names_the_right_ones(
    path: Path, tmp_path: Path
) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").split("\n")
    names, file = lines[0].split(","), tmp_path / path.name
    for other in ([*names, "more"], names[:-1], names[::-1], names[1:]):
        file.write_text("\n".join([",".join(other), *lines[1:]]), encoding="utf-8")
        refused((f"{file}:1:", f" {names[0]},", f" {names[-1]};"), written_again, file)


@pytest.mark.parametrize("name", ["icml2008/runs.csv", "icml2008/table.csv"])
def test_rows_written_before_numerics_had_a_column_are_of_version_2(
    name: str, tmp_path: Path
) -> None:
    lines = list(csv.reader(io.StringIO((ROOT / "results" / name).read_text(encoding="utf-8"))))
    at = lines[0].index("numerics")
    file = tmp_path / Path(name).name
    file.write_text(csv_text([line[:at] + line[at + 1 :] for line in lines]), encoding="utf-8")
    header, *rows = csv.reader(io.StringIO(written_again(file)))
    assert header == lines[0]
    assert {row[at] for row in rows} == {"2"}


def csv_text(lines: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
