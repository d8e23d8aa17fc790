"""From the rows of a study to what its page shows: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.figures.filters import tiles_of
from dae_cli.figures.page import DataSetView, Page, PageSheet, RunView, Stop
from dae_cli.study.report.labels import (
    differ_in_destruction,
    is_autoencoder,
    labels_of,
    same_start,
)
from dae_cli.study.report.page_cells import bold_cells, cell_view
from dae_cli.study.report.page_grid import claims_told, comparison_lines, grid_of
from dae_cli.study.report.saved_runs import SavedRuns
from dae_cli.study.report.selection import trials_of
from dae_cli.study.report.series import error_series, learning_series
from dae_cli.study.report.shown_filters import shown_filters
from dae_cli.study.rows import RunComparison, RunRow, TableRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import origin
from dae_cli.study.tables.claims import paper_claims
from dae_cli.study.tables.paper_table import has_other_models, paper_table
from dae_cli.study.tables.provenance import (
    changes,
    commits_of,
    differences_sentence,
    provenance,
    provenance_verb,
)


def page_of(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    command: str,
    saved: SavedRuns,
    tests: Sequence[RunComparison] = (),
    *,
    here: bool = True,
) -> Page:
    """Return the page of a study.

    Args:
        out: the folder of the results, where run folders may be.
        saved: what is kept of runs whose folders are elsewhere.
        tests: McNemar's tests, which the claims rest on.
        here: whether run folders are looked into, if they are here.

    Raises:
        RunFolderError: what a run's folder holds is damaged.
    """
    places = {row.run: k for k, row in enumerate(rows)}
    names = dict.fromkeys(row.dataset for row in table)
    runs = out if here else out / "none"
    sets = tuple(
        _dataset(
            study,
            runs,
            [row for row in rows if row.dataset == name],
            [row for row in table if row.dataset == name],
            saved,
            places,
        )
        for name in names
    )
    levels = {row.destruction_percent for row in table if is_autoencoder(row)}
    printed = None
    if has_other_models(study):
        printed = paper_table(study, rows, table, trials_of(out).selecting)
    judged = paper_claims(printed, tests) if printed and study.claims else []
    warnings = (changes(study, {row.cell for row in rows}), differences_sentence(rows))
    return Page(
        title=study.title or study.name,
        paper=study.paper,
        command=command,
        made_verb=provenance_verb(rows),
        made=provenance(rows).replace("**", ""),
        warning=" ".join(part.replace("**", "") for part in warnings if part),
        datasets=sets,
        grid=grid_of(printed, places) if printed else None,
        claims=claims_told(judged),
        comparisons=comparison_lines(judged),
        levels=tuple(sorted({0.0, *levels})),
        runs=tuple(_run(row) for row in rows),
        selected_heading=cells.selected_heading(rows),
        data=tuple(cells.contents(rows)),
        provenance=_provenance(rows, command),
    )


def _dataset(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    saved: SavedRuns,
    places: Mapping[str, int],
) -> DataSetView:
    labels = labels_of(table, study.changed)
    done = [row for row in rows if not row.error]
    bold = bold_cells(table)
    views = tuple(
        cell_view(
            row,
            labels[row.cell],
            row.cell in bold,
            [r for r in rows if r.cell == row.cell],
            places,
            study.changed.get(row.cell, ""),
        )
        for row in table
    )
    shown, limit = shown_filters(study, out, done, saved)
    shown_rows = [one.row for one in shown]
    stops = []
    for one in shown:
        tiles = tiles_of(one.filters.weights, one.filters.image, limit)
        sheet = PageSheet(one.row.run, tiles, limit)
        stops.append(Stop(labels[one.row.cell], _error_text(table, one.row.cell), sheet))
    return DataSetView(
        name=rows[0].dataset,
        origin=origin(rows[0]),
        cells=views,
        errors=error_series(study, table),
        learning=learning_series(study, out, rows, table, saved),
        stops=tuple(stops),
        stops_by="destruction" if differ_in_destruction(shown_rows) else "model",
        same_start=same_start(study, shown_rows),
    )


def _error_text(table: Sequence[TableRow], cell: str) -> str:
    row = next(row for row in table if row.cell == cell)
    valid = row.valid_error_percent
    told = f"test error {cells.interval(row.test_error_percent, row.half_width_95)} %"
    if row.sd_over_seeds is not None:
        told += f" (sd over seeds {row.sd_over_seeds:.2f})"
    return told if valid is None else f"{told}; validation {valid:.2f} %"


def _run(row: RunRow) -> RunView:
    failed = bool(row.error)
    return RunView(
        run=row.run,
        test_error="" if failed else cells.interval(row.test_error_percent, row.half_width_95),
        wrong="" if failed else f"{row.n_wrong} of {row.n_test}",
        valid_error="" if row.valid_error_percent is None else f"{row.valid_error_percent:.2f}",
        selected="" if failed else cells.selected(row),
        minutes="" if row.minutes is None else f"{row.minutes:.1f}",
        commit=row.commit,
        error=row.error,
    )


def _provenance(rows: Sequence[RunRow], command: str) -> tuple[tuple[str, str], ...]:
    def each(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(value for value in values if value))

    told = (
        ("command", command),
        ("commits", ", ".join(commits_of(rows)) or "an installed package"),
        ("versions", each([row.versions for row in rows])),
        ("engines", each([row.engine for row in rows])),
        ("numerics", each([str(row.numerics) for row in rows])),
        ("devices", each([row.device for row in rows])),
    )
    return tuple((what, value) for what, value in told if value)
