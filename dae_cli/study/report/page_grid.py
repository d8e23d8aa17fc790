"""Table 1 and the claims as the page shows them; study/tables computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dae_cli.figures.page import Grid, GridCell
from dae_cli.study.paper import MARKS, PaperNumber, sources
from dae_cli.study.tables.cells import NOTHING, interval
from dae_cli.study.tables.claims import COLUMNS, PaperClaim, comparison_rows
from dae_cli.study.tables.paper_table import PaperTable, TableCell


def grid_of(table: PaperTable, places: Mapping[str, int]) -> Grid:
    """Return the table with the columns of which the study has a cell.

    Args:
        places: by run, its place in the page's list.
    """
    models = [c for c in table.columns if any(_is_there(table, d, c.model) for d in table.datasets)]
    lines = tuple(
        (name, tuple(_grid_cell(table.cell(name, column.model), places) for column in models))
        for name in table.datasets
    )
    return Grid(
        tuple(column.heading for column in models),
        lines,
        sources(
            table.cell(name, column.model).paper for name in table.datasets for column in models
        ),
    )


def claims_told(found: Sequence[PaperClaim]) -> tuple[str, ...]:
    """Return the paper's claims, a sentence each, with what became of them."""
    return tuple(f"{c.says}: {c.outcome}; {c.evidence}." for c in found)


def comparison_lines(found: Sequence[PaperClaim]) -> tuple[tuple[str, ...], ...]:
    """Return what the claims rest on, below a line with the names of the columns; none of none."""
    lines = comparison_rows(found)
    return (COLUMNS, *lines) if lines else ()


def _is_there(table: PaperTable, dataset: str, model: str) -> bool:
    return table.cell(dataset, model).state != "no cell"


def _grid_cell(cell: TableCell, places: Mapping[str, int]) -> GridCell:
    paper = cell.paper
    ours = interval(cell.error_percent, cell.half_width_95, "")
    has_level = cell.destruction_percent is not None
    notes = [
        *([f"ν = {cell.destruction_percent:g} %"] if has_level else []),
        *([f"sd {cell.sd_over_seeds:.2f}"] if cell.sd_over_seeds is not None else []),
        *([cell.search_summary] if cell.search_summary else []),
    ]
    return GridCell(
        ours=ours or {"no cell": NOTHING}.get(cell.state, cell.state),
        bold=cell.bold,
        paper=_paper(paper) if paper else NOTHING,
        paper_bold=cell.paper_bold,
        verdict=cell.verdict if cell.state == "done" else "",
        data_mark=cell.data_mark if paper else "",
        run=places.get(cell.run, 0),
        note=", ".join(notes),
    )


def _paper(number: PaperNumber) -> str:
    return interval(number.error_percent, number.half_width_95) + MARKS.get(number.certainty, "")
