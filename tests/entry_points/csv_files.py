"""The rows of each CSV file, by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dae_cli import csvfile
from dae_cli.study import filter_study, paper, rows

__all__ = ["ROWS_OF", "written_again"]

ROWS_OF: dict[str, Any] = {
    "runs.csv": rows.RunRow,
    "table.csv": rows.TableRow,
    "mcnemar.csv": rows.RunComparison,
    "wrong_rows.csv": rows.SavedWrongRows,
    "curves.csv": rows.CurveRow,
    "search.csv": rows.TrialRow,
    "search_earlier.csv": rows.TrialRow,
    "filters.csv": filter_study.UnitRow,
    "figures.csv": filter_study.FigureRow,
    "reference.csv": rows.ReferenceRow,
    "paper_tables.csv": paper.PaperNumber,
}


def written_again(path: Path) -> str:
    """Read a file and return the text that its rows are written as."""
    kind = ROWS_OF[path.name]
    return csvfile.rows_to_csv(csvfile.read_rows(path, kind), kind)
