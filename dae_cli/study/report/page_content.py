"""From the rows of a study to what its page shows: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.pages.content import (
    DataSetView,
    Interval,
    Page,
    Point,
    RunCurves,
    RunView,
    Stop,
)
from dae_cli.study.report.labels import (
    differ_in_destruction,
    is_autoencoder,
    labels_of,
    same_start,
    series_of,
)
from dae_cli.study.report.metrics_curves import kept_epoch
from dae_cli.study.report.page_cells import (
    bold_cells,
    cell_view,
    ours_of,
    paper_of,
)
from dae_cli.study.report.page_grid import claims_told, duel_lines, grid_of
from dae_cli.study.report.page_pictures import sheets_of
from dae_cli.study.report.saved_runs import SavedRuns, run_curves
from dae_cli.study.report.selection import trials_of
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
from dae_cli.study.verdict import half_width_with_seeds


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
        duels=duel_lines(judged),
        levels=tuple(sorted({0.0, *levels})),
        runs=tuple(_run(row) for row in rows),
        selected_heading=cells.selected_heading(rows),
        data=tuple(
            (row.dataset, origin(row), row.data_sha256)
            for row in {(row.dataset, row.data_sha256): row for row in rows}.values()
        ),
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
    series = {row.cell: k for k, row in enumerate(table)}
    curves = tuple(
        RunCurves(
            run=row.run,
            series=series[row.cell],
            label=f"{labels[row.cell]}, seed {row.seed}",
            best=kept_epoch(row),
            curves=found,
        )
        for row in done
        if (found := run_curves(out, row.run, saved)) is not None and (found.valid or found.cost)
    )
    sheets = sheets_of(out, done, saved)
    ours = _points(study, table)
    return DataSetView(
        name=rows[0].dataset,
        origin=origin(rows[0]),
        cells=views,
        ours=ours,
        paper=_paper_points(table) if ours else (),
        curves=curves,
        legend=tuple(labels[row.cell] for row in table),
        stops=tuple(
            Stop(labels[row.cell], _error_text(table, row.cell), sheet) for row, sheet in sheets
        ),
        stops_by="destruction" if differ_in_destruction([row for row, _ in sheets]) else "model",
        same_start=same_start(study, [row for row, _ in sheets]),
    )


def _points(study: ResolvedStudy, table: Sequence[TableRow]) -> tuple[Point, ...]:
    """Our errors by destruction, of autoencoders alone; none where two of one model share one."""
    found = sorted(
        (row for row in table if is_autoencoder(row) and ours_of(row) is not None),
        key=lambda row: row.destruction_percent,
    )
    series = series_of(study, found)
    if len({(series[row.cell], row.destruction_percent) for row in found}) < len(found):
        return ()
    return tuple(_point(row, series[row.cell]) for row in found)


def _point(row: TableRow, series: str) -> Point:
    level, error = row.destruction_percent, row.test_error_percent
    assert error is not None and row.half_width_95 is not None
    interval = Interval(error, half_width_with_seeds(row.half_width_95, row.sd_over_seeds))
    whose = f"ours, {row.model}" if series else "ours"
    return Point(level, interval, _point_label(whose, level, interval), series)


def _paper_points(table: Sequence[TableRow]) -> tuple[Point, ...]:
    """The paper's errors of the models that ours are compared with, each at its destruction."""
    points = {}
    for row in table:
        interval = paper_of(row)
        if interval is None or not is_autoencoder(row):
            continue
        number = cells.paper_number(row)
        printed = number.destruction_percent if number else None
        level = row.destruction_percent if printed is None else printed
        label = _point_label(f"the paper's {row.paper_model}", level, interval)
        points[level] = Point(level, interval, label)
    return tuple(points[level] for level in sorted(points))


def _point_label(whose: str, level: float, interval: Interval) -> str:
    return f"{whose}, {level:g} % destroyed: {interval} %"


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
