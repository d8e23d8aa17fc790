"""From the rows of a study to what its page shows: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import Experiment
from dae_cli.pages.content import (
    CellView,
    DataSetView,
    Grid,
    GridCell,
    Interval,
    Page,
    Point,
    RunCurves,
    RunView,
    Stop,
)
from dae_cli.study import cells
from dae_cli.study.page_pictures import Kept, run_curves, sheets_of
from dae_cli.study.paper import TABLE_1, paper_numbers
from dae_cli.study.report import commits_of, made, mixed
from dae_cli.study.rows import RunRow, TableRow

COLUMNS = ("SVM_rbf", "SVM_poly", "DBN-1", "SAA-3", "DBN-3", "SdA-3", "NNet-1")
"""The order of the paper's table 1, and the network without pretraining after it."""
_AUTOENCODERS = ("SAA", "SdA")


def page_of(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    command: str,
    kept: Kept,
    claims: Sequence[str] = (),
) -> Page:
    """Return the page of a study.

    Args:
        out: the folder of the results, where run folders may be.
        kept: what an earlier page shows of runs whose folders are elsewhere.
        claims: which of the paper's claims hold here, a sentence each.

    Raises:
        RunFolderError: what a run's folder holds is damaged.
    """
    places = {row.run: k for k, row in enumerate(rows)}
    names = dict.fromkeys(row.dataset for row in table)
    sets = tuple(
        _dataset(
            study,
            out,
            [row for row in rows if row.dataset == name],
            [row for row in table if row.dataset == name],
            kept,
            places,
        )
        for name in names
    )
    levels = {row.destruction_percent for row in table if _is_autoencoder(row)}
    return Page(
        title=study.title or study.name,
        paper=study.paper,
        command=command,
        made=made(rows).replace("**", ""),
        warning=mixed(rows).replace("**", ""),
        datasets=sets,
        grid=grid_of(table),
        claims=tuple(claims),
        levels=tuple(sorted({0.0, *levels})),
        runs=tuple(_run(row) for row in rows),
        data=tuple(
            (row.dataset, row.data_origin, row.data_sha256)
            for row in {(row.dataset, row.data_sha256): row for row in rows}.values()
        ),
        provenance=_provenance(rows, command),
    )


def bold_cells(table: Sequence[TableRow]) -> set[str]:
    """Return the cells of one data set that the paper would print bold.

    Those are the best one and all whose interval overlaps that of the best.
    """
    known = {row.cell: interval for row in table if (interval := ours_of(row)) is not None}
    if not known:
        return set()
    best = min(known.values(), key=lambda interval: interval.error_percent)
    return {cell for cell, interval in known.items() if interval.low <= best.high}


def grid_of(table: Sequence[TableRow]) -> Grid | None:
    """Return the table as the paper prints it, where there are other models than SAA and SdA.

    Where a model has several cells of a data set, the one of the lowest validation error is shown,
    as the paper selected.
    """
    found = {row.model for row in table}
    if all(model.startswith(_AUTOENCODERS) for model in found):
        return None
    models = [m for m in COLUMNS if m in found] + sorted(found - set(COLUMNS))
    lines = []
    for name in dict.fromkeys(row.dataset for row in table):
        selected = [_selected(table, name, model) for model in models]
        bold = bold_cells([row for row in selected if row is not None])
        shown = tuple(
            None if row is None else _grid_cell(row, row.cell in bold) for row in selected
        )
        lines.append((name, shown))
    return Grid(tuple(models), tuple(lines))


def ours_of(row: TableRow) -> Interval | None:
    """Our error of a cell, if it has one."""
    if row.test_error_percent is None or row.half_width_95 is None:
        return None
    return Interval(row.test_error_percent, row.half_width_95)


def paper_of(row: TableRow) -> Interval | None:
    """The error that the paper prints for a cell, if it does."""
    if row.paper_error_percent is None or row.paper_half_width_95 is None:
        return None
    return Interval(row.paper_error_percent, row.paper_half_width_95)


def _selected(table: Sequence[TableRow], dataset: str, model: str) -> TableRow | None:
    found = [row for row in table if (row.dataset, row.model) == (dataset, model)]
    failed = float("inf")
    return min(
        found,
        key=lambda row: failed if row.valid_error_percent is None else row.valid_error_percent,
        default=None,
    )


def _grid_cell(row: TableRow, bold: bool) -> GridCell:
    paper = paper_of(row)
    return GridCell(
        ours=cells.ours(row),
        bold=bold,
        paper=cells.NOTHING if paper is None else str(paper),
        verdict=_verdict(row),
        regenerated=row.data_origin == "regenerated" and paper is not None,
        note=f"ν = {row.destruction_percent:g} %" if row.model.startswith("SdA") else "",
    )


def _dataset(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    kept: Kept,
    places: Mapping[str, int],
) -> DataSetView:
    labels = _labels(table)
    done = [row for row in rows if not row.error]
    bold = bold_cells(table)
    views = tuple(
        _cell(
            row, labels[row.cell], row.cell in bold, [r for r in rows if r.cell == row.cell], places
        )
        for row in table
    )
    series = {row.cell: k for k, row in enumerate(table)}
    curves = tuple(
        RunCurves(
            run=row.run,
            series=series[row.cell],
            label=f"{labels[row.cell]}, seed {row.seed}",
            best=_best(row),
            curves=found,
        )
        for row in done
        if (found := run_curves(out, row, kept)) is not None and (found.valid or found.cost)
    )
    sheets = sheets_of(out, done, kept)
    ours = _points(table)
    return DataSetView(
        name=rows[0].dataset,
        origin=rows[0].data_origin,
        cells=views,
        ours=ours,
        paper=_paper_points(table) if ours else (),
        curves=curves,
        legend=tuple(labels[row.cell] for row in table),
        stops=tuple(
            Stop(labels[row.cell], _error_text(table, row.cell), sheet) for row, sheet in sheets
        ),
        same_start=_same_start(study, [row for row, _ in sheets]),
    )


def _labels(table: Sequence[TableRow]) -> dict[str, str]:
    """By cell: model and destruction; the cell's name where that does not tell them apart."""
    texts = {}
    for row in table:
        level = f", {row.destruction_percent:g} %" if _is_autoencoder(row) else ""
        texts[row.cell] = f"{row.model}{level}"
    several = len(set(texts.values())) < len(texts)
    return {cell: f"{text} ({cell})" if several else text for cell, text in texts.items()}


def _is_autoencoder(row: RunRow | TableRow) -> bool:
    return row.model.startswith(_AUTOENCODERS)


def _cell(
    row: TableRow, label: str, bold: bool, runs: Sequence[RunRow], places: Mapping[str, int]
) -> CellView:
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
        regenerated=row.data_origin == "regenerated" and row.paper_error_percent is not None,
        details=_details(row),
        runs=tuple(places[run.run] for run in runs),
    )


def _verdict(row: TableRow) -> str:
    return "failed" if row.test_error_percent is None else row.verdict


def _details(row: TableRow) -> tuple[tuple[str, str], ...]:
    valid = row.valid_error_percent
    told = (
        ("cell", row.cell),
        ("seeds", row.seeds.replace(" ", ", ")),
        (
            "wrong",
            f"{row.n_wrong.replace(' ', ', ')} of {row.n_test} test rows" if row.n_test else "",
        ),
        ("validation error", "" if valid is None else f"{valid:.2f} %"),
        ("minutes", "" if row.minutes is None else f"{row.minutes:.1f} of one core, all seeds"),
        ("data", row.data_origin),
        ("engine", ", ".join(part for part in (row.engine, row.device) if part)),
        ("commit", row.commit or "from an installed package"),
        ("failed", row.error),
    )
    return tuple((what, value) for what, value in told if value)


def _best(row: RunRow) -> tuple[int, float] | None:
    if row.best_epoch is None or row.valid_error_percent is None:
        return None
    return row.best_epoch, row.valid_error_percent


def _points(table: Sequence[TableRow]) -> tuple[Point, ...]:
    """Our errors by destruction, of autoencoders alone; none where two share a place."""
    found = sorted(
        (row for row in table if _is_autoencoder(row) and ours_of(row) is not None),
        key=lambda row: row.destruction_percent,
    )
    if len({row.destruction_percent for row in found}) < len(found):
        return ()
    return tuple(
        Point(
            row.destruction_percent,
            interval,
            _point_label("ours", row.destruction_percent, interval),
        )
        for row in found
        if (interval := ours_of(row)) is not None
    )


def _paper_points(table: Sequence[TableRow]) -> tuple[Point, ...]:
    """The paper's errors of the models that ours are compared with, each at its destruction."""
    points = {}
    for row in table:
        interval = paper_of(row)
        if interval is None or not _is_autoencoder(row):
            continue
        printed = [
            number.destruction_percent
            for number in paper_numbers()
            if (number.paper, number.dataset, number.model)
            == (TABLE_1, row.dataset, row.paper_model)
        ]
        level = printed[0] if printed and printed[0] is not None else row.destruction_percent
        label = _point_label(f"the paper's {row.paper_model}", level, interval)
        points[level] = Point(level, interval, label)
    return tuple(points[level] for level in sorted(points))


def _point_label(whose: str, level: float, interval: Interval) -> str:
    return f"{whose}, {level:g} % destroyed: {interval} %"


def _error_text(table: Sequence[TableRow], cell: str) -> str:
    row = next(row for row in table if row.cell == cell)
    valid = row.valid_error_percent
    told = f"test error {cells.ours(row)} %"
    return told if valid is None else f"{told}; validation {valid:.2f} %"


def _same_start(study: ResolvedStudy, rows: Sequence[RunRow]) -> bool:
    """Tell whether the first layers of these runs began with the same weights."""
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    starts = set()
    for row in rows:
        experiment = experiments.get(row.cell)
        if not _is_autoencoder(row) or not isinstance(experiment, Experiment):
            return False
        starts.add((row.seed, experiment.model.hidden[0], experiment.model.init))
    return len(starts) == 1


def _run(row: RunRow) -> RunView:
    failed = bool(row.error)
    return RunView(
        run=row.run,
        test_error="" if failed else cells.interval(row.test_error_percent, row.half_width_95),
        wrong="" if failed else f"{row.n_wrong} of {row.n_test}",
        valid_error="" if row.valid_error_percent is None else f"{row.valid_error_percent:.2f}",
        best_epoch="" if row.best_epoch is None else f"{row.best_epoch} of {row.epochs}",
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
        ("devices", each([row.device for row in rows])),
    )
    return tuple((what, value) for what, value in told if value)
