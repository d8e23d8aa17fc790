"""REPORT.md and figures.csv of a study on filters: each figure beside what it should show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.study_schema import Figure, MeasureName
from dae_cli.csvfile import write_rows
from dae_cli.files import write_text
from dae_cli.study.of_filters.rows import FigureRow, MeasuredRun
from dae_cli.study.of_filters.summary import judge, number_of
from dae_cli.study.report.markdown import REPORT, closing
from dae_cli.study.rows import RunRow
from dae_cli.study.tables.provenance import (
    changes,
    differences_sentence,
    failures,
    provenance_sentence,
)

FIGURES_CSV = "figures.csv"
MEASURES: tuple[MeasureName, ...] = get_args(MeasureName)

READING = """\
Every tile is the weights of one unit: mid grey is 0, black and white are the ends of the scale
under the tiles. A unit is *Gabor-like* if the best two-dimensional Gabor explains .8 or more of its
squared weights and has at least one pair of lobes inside the tile. *Extent* is the area in pixels
around the strongest weight where weights are at least half of it; *locality* the share of the
squared weights in the best window of half the tile's width, .5 or more of a *local* unit;
*orientation selectivity* is 0 for a blob and 1 for a grating. Intervals are those of 95 % over the
units of one run: Wilson's of a share, by order statistics of a median. `filters.csv` has a row for
each unit."""

OWN = "Learned from **own photographs**, not from those of the study."


def write_filters_report(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    measured: Sequence[MeasuredRun],
    pictures: Mapping[str, str],
    command: str,
) -> Path:
    """Write figures.csv and REPORT.md, and return the path of the latter.

    Args:
        study: what was to be run.
        out: the folder of the results.
        rows: of runs.csv.
        measured: the filters of the runs that are done.
        pictures: the file name of each figure that there is.
        command: that made them.
    """
    write_rows(out / FIGURES_CSV, figure_rows(study, measured), FigureRow)
    parts = [
        f"# {study.title or study.name}",
        study.paper,
        provenance_sentence(command, rows),
        changes(study, {row.cell for row in rows}),
        OWN if any(row.data_origin == "own" for row in rows) else "",
        *(
            part
            for figure in study.figures
            for part in figure_parts(figure, measured, pictures, source_of(study, figure, rows))
        ),
        differences_sentence(rows),
        failures(rows),
        "## How to read the numbers",
        READING,
        "## Every run",
        runs_table(measured),
        *closing(study, rows),
    ]
    path = out / REPORT
    write_text(path, "\n\n".join(part.strip() for part in parts if part) + "\n")
    return path


def figure_parts(
    figure: Figure, measured: Sequence[MeasuredRun], pictures: Mapping[str, str], source: str
) -> list[str]:
    """Return a figure's heading, picture, claim, and what the measure says of it.

    Args:
        figure: of the study.
        measured: the filters of the runs that are done.
        pictures: the file name of each figure that there is.
        source: as `source_of` tells it.
    """
    name = pictures.get(figure.name)
    judgement = judge(figure, measured)
    printed = f" ({figure.paper})" if figure.paper else ""
    # The claim names the paper's figure.
    shown = source and not (figure.claim and source.startswith("after "))
    return [
        f"## {figure.title}",
        f"![{figure.title}]({name})" if name else "*Not drawn: its cells are not run.*",
        f"{source[:1].upper()}{source[1:]}." if shown else "",
        f"The paper{printed}: {figure.claim}" if figure.claim else "",
        judgement.sentence if judgement else "",
    ]


def source_of(study: ResolvedStudy, figure: Figure, rows: Sequence[RunRow]) -> str:
    """Say what a picture is after, which is ours, or what it is of instead.

    It is after the paper's where its cells are what their files say, learned from the study's data.
    """
    # The images that are learned from are the same whatever is done to the network.
    of_images = figure.kind in ("patches", "components")
    changed = [
        f"{cell.cell}: {', '.join(what)}"
        for cell in study.all_cells
        if cell.cell in figure.cells
        and (what := [w for w in cell.changed if w.startswith("patches.") or not of_images])
    ]
    told = [f"changed by --set ({'; '.join(changed)})"] if changed else []
    own = any(row.data_origin == "own" for row in rows if row.cell in figure.cells)
    told += ["learned from own photographs"] if own else []
    if told:
        return "; ".join(told)
    return f"after {figure.paper}" if figure.paper else ""


def runs_table(measured: Sequence[MeasuredRun]) -> str:
    """Return the measures of every run, with intervals."""
    lines = [
        "| cell | seed | units | Gabor-like, % | local, % | extent, pixels | locality "
        "| orientation selectivity | minutes | commit |",
        "|---|---:|---:|---|---|---|---|---|---:|---|",
    ]
    for run in measured:
        numbers = " | ".join(number_of(run, measure).told() for measure in MEASURES)
        row = run.row
        lines.append(
            f"| {row.cell} | {row.seed} | {len(run.units)} | {numbers} "
            f"| {row.minutes or 0.0:.1f} | {row.commit} |"
        )
    return "\n".join(lines)


def figure_rows(study: ResolvedStudy, measured: Sequence[MeasuredRun]) -> list[FigureRow]:
    """Return a row for each cell and seed of each figure."""
    found = []
    for figure in study.figures:
        judgement = judge(figure, measured)
        for run in measured:
            if run.row.cell in figure.cells:
                numbers: dict[str, float] = {}
                for measure in MEASURES:
                    number = number_of(run, measure)
                    numbers |= {measure: number.value}
                    numbers |= {f"{measure}_low": number.low, f"{measure}_high": number.high}
                row = FigureRow(
                    figure=figure.name,
                    cell=run.row.cell,
                    run=run.row.run,
                    seed=run.row.seed,
                    units=len(run.units),
                    holds=judgement.holds if judgement else None,
                    **numbers,
                )
                found.append(row)
    return found
