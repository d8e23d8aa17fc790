"""The rows of each CSV file, by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dae_cli.csvfile import read_rows, rows_to_csv
from dae_cli.study.of_filters.rows import FigureRow, UnitRow
from dae_cli.study.paper import PrintedNumber
from dae_cli.study.rows import (
    CurveRow,
    ReferenceRow,
    RunComparison,
    RunRow,
    SavedWrongRows,
    TableRow,
    TrialRow,
)

__all__ = ["ROWS_OF", "written_again"]

ROWS_OF: dict[str, Any] = {
    "runs.csv": RunRow,
    "table.csv": TableRow,
    "mcnemar.csv": RunComparison,
    "wrong_rows.csv": SavedWrongRows,
    "curves.csv": CurveRow,
    "search.csv": TrialRow,
    "search_earlier.csv": TrialRow,
    "filters.csv": UnitRow,
    "figures.csv": FigureRow,
    "reference.csv": ReferenceRow,
    "paper_tables.csv": PrintedNumber,
}


def written_again(path: Path) -> str:
    """Read a file and return it as it is written."""
    kind = ROWS_OF[path.name]
    return rows_to_csv(read_rows(path, kind), kind)
