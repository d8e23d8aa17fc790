"""The cells of a study's page: labels, bold and details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dae_cli.figures.page import CellView
from dae_cli.study.report.series import ours_of, paper_of
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import data_mark, origin
from dae_cli.study.tables.paper_table import NO_NUMBER, best_and_overlapping
from dae_cli.study.verdict import CALIBRATED


def bold_cells(table: Sequence[TableRow]) -> set[str]:
    """Return the cells of one data set that the paper would print bold.

    Those are the best one and all whose interval overlaps that of the best; a calibrated cell takes
    no part.
    """
    bold = best_and_overlapping(
        [
            NO_NUMBER if row.verdict == CALIBRATED else (row.test_error_percent, row.half_width_95)
            for row in table
        ]
    )
    return {row.cell for row, is_bold in zip(table, bold, strict=True) if is_bold}


def cell_view(
    row: TableRow,
    label: str,
    bold: bool,
    runs: Sequence[RunRow],
    places: Mapping[str, int],
    changed: str,
) -> CellView:
    """Return a cell as the page shows it.

    Args:
        bold: as `bold_cells` tells of its data set.
        runs: those of the cell. places: by run, its place in the page's list.
        changed: the settings in which it is not what its file says.
    """
    return CellView(
        name=row.cell,
        label=label,
        ours=ours_of(row),
        sd="" if row.sd_over_seeds is None else f"{row.sd_over_seeds:.2f}",
        bold=bold,
        paper=paper_of(row),
        paper_model=row.paper_model,
        gap=cells.gap(row, ""),
        verdict=_verdict(row),
        data_mark="" if row.paper_error_percent is None else data_mark(row),
        details=_details(row, changed),
        runs=tuple(places[run.run] for run in runs),
    )


def _verdict(row: TableRow) -> str:
    return "failed" if row.test_error_percent is None else row.verdict


def _details(row: TableRow, changed: str) -> tuple[tuple[str, str], ...]:
    valid = row.valid_error_percent
    told = (
        ("cell", row.cell),
        ("changed by --set", changed),
        ("seeds", row.seeds.replace(" ", ", ")),
        (
            "wrong",
            f"{row.n_wrong.replace(' ', ', ')} of {row.n_test} test rows" if row.n_test else "",
        ),
        ("validation error", "" if valid is None else f"{valid:.2f} %"),
        ("minutes", "" if row.minutes is None else f"{row.minutes:.1f} of one core, all seeds"),
        ("data", origin(row)),
        ("engine", ", ".join(part for part in (row.engine, row.device) if part)),
        ("numerics", row.numerics),
        ("commit", row.commit or "from an installed package"),
        ("failed", row.error),
    )
    return tuple((what, value) for what, value in told if value)
