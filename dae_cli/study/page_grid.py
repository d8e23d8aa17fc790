"""Table 1 and the claims as the page shows them; paper_table.py and claims.py compute them."""

from __future__ import annotations

from collections.abc import Sequence

from dae_cli.pages.content import Grid, GridCell
from dae_cli.study.cells import NOTHING, interval
from dae_cli.study.claims import claims
from dae_cli.study.comparisons import Comparison
from dae_cli.study.paper_table import PaperTable, TableCell


def grid_of(table: PaperTable) -> Grid:
    """Return the table with the columns of which the study has a cell."""
    models = [c for c in table.columns if any(_is_there(table, d, c.model) for d in table.datasets)]
    lines = tuple(
        (name, tuple(_grid_cell(table.cell(name, column.model)) for column in models))
        for name in table.datasets
    )
    return Grid(tuple(column.heading for column in models), lines)


def claims_told(table: PaperTable, tests: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the paper's claims, a sentence each, with what became of them."""
    return tuple(f"{c.says}: {c.outcome}; {c.evidence}." for c in claims(table, tests))


def _is_there(table: PaperTable, dataset: str, model: str) -> bool:
    return table.cell(dataset, model).state != "no cell"


def _grid_cell(cell: TableCell) -> GridCell:
    paper = cell.paper
    ours = interval(cell.error_percent, cell.half_width_95, "")
    has_level = cell.destruction_percent is not None
    notes = [
        *([f"ν = {cell.destruction_percent:g} %"] if has_level else []),
        *([f"sd {cell.sd_over_seeds:.2f}"] if cell.sd_over_seeds is not None else []),
    ]
    return GridCell(
        ours=ours or {"no cell": NOTHING}.get(cell.state, cell.state),
        bold=cell.bold,
        paper=interval(paper.error_percent, paper.half_width_95) if paper else NOTHING,
        paper_bold=cell.paper_bold,
        verdict=cell.verdict if cell.state == "done" else "",
        regenerated=cell.regenerated and paper is not None,
        note=", ".join(notes),
    )
