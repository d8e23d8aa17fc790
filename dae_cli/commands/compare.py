"""`dae compare`: compare runs or cells by paired seeds and McNemar's test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from dae_cli.commands import completion
from dae_cli.commands.conditions import conditions_on, failed_conditions
from dae_cli.commands.sources import run_folder
from dae_cli.commands.tables import DASH, as_json, columns
from dae_cli.config.experiments import resolve_study
from dae_cli.csvfile import csv_text
from dae_cli.errors import ConfigError
from dae_cli.study.named_runs import named_results

if TYPE_CHECKING:
    from dae_cli.study.tables.paired import Comparison, Contender

ComparisonFormat = Literal["table", "json", "csv"]
MOST_IN_HEADINGS = 24
"""Characters of both names, which appear in four headings."""


def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...",
            help="Studies, results folders, cells (STUDY/CELL or FOLDER/CELL) or run folders.",
            autocompletion=completion.studies_and_experiments,
        ),
    ],
    baseline: Annotated[
        str,
        typer.Option(
            metavar="A",
            help="The one that the others are compared with.  [default: the first]",
            autocompletion=completion.studies_and_experiments,
        ),
    ] = "",
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="CONDITION",
            help="Exit with code 1 if a row of --format csv meets this condition, such as "
            "outcome=worse or 'difference>1', and with code 2 if no row has a value for it; "
            "repeatable.",
        ),
    ] = None,
    form: Annotated[
        ComparisonFormat, typer.Option("--format", help="Sentences with tables, JSON or CSV.")
    ] = "table",
) -> None:
    """Runs are paired by seed, on the same test rows. With several seeds the result is that of
    Student's t interval of the mean difference; with one seed that of McNemar's test. Cells of two
    or more folders are paired by name.
    """
    from dae_cli.study.tables.paired import METHOD
    from dae_cli.study.tables.paired import compare as compared

    asked = conditions_on(_columns(), fail_if or ())
    contenders, by_cell = _contenders(sources)
    if baseline and not any(baseline in (c.name, c.cell, c.source) for c in contenders):
        contenders, by_cell = _contenders([baseline, *sources])
        ours = [one.rows for one in contenders if one.source == baseline]
        # The baseline may be given twice: as a cell and as part of its results.
        contenders = [c for c in contenders if c.source == baseline or c.rows not in ours]
    comparisons, notes = compared(contenders, baseline, by_cell=by_cell)
    if not comparisons:
        if by_cell:
            notes = [
                *notes,
                "cells of two or more folders are paired by name; pass single cells as FOLDER/CELL",
            ]
        raise ConfigError("\n  ".join(["nothing to compare:", *notes]))
    first = [c.name for c in contenders if c.source == contenders[0].source]
    if not baseline and not {name for c in comparisons for name in (c.baseline, c.name)} & {*first}:
        why = f"the baseline {contenders[0].source} has no other cell on its test rows:"
        remedy = (
            "run all cells on the same data (see --origin of dae replicate), or choose another "
            "baseline with --baseline"
        )
        raise ConfigError("\n  ".join([why, *notes, remedy]))
    for note in notes:
        typer.echo(note, err=True)
    lines = [_fields(one) | asdict(seed) for one in comparisons for seed in one.seeds]
    if form == "table":
        typer.echo("\n\n".join([*map(_paragraph, comparisons), METHOD]))
    elif form == "json":
        facts = [_fields(one) | {"seeds": list(map(asdict, one.seeds))} for one in comparisons]
        typer.echo(as_json(facts))
    else:
        typer.echo(csv_text([lines[0], *(line.values() for line in lines)]), nl=False)
    raise typer.Exit(failed_conditions(asked, [(one["name"], one) for one in lines]))


def _contenders(sources: Sequence[str]) -> tuple[list[Contender], bool]:
    """Return what the sources name, in order, and whether all are whole results folders."""
    from dae_cli.study.compare import cells_of_results, grouped_runs, with_distinct_names

    contenders: list[Contender] = []
    runs: list[tuple[Path, str]] = []
    whole = []
    for source in dict.fromkeys(sources):
        folder, cell, target = named_results(source)
        whole.append(bool(folder and not cell))
        study = resolve_study(f"{target.folder}/") if target else None
        cells = cells_of_results(folder, cell, study, source) if folder else []
        contenders += cells
        if not cells:  # or a run of `dae train`
            runs.append((run_folder(source), source))
    contenders += grouped_runs(runs)
    order = list(sources)
    contenders.sort(key=lambda one: order.index(one.source))
    return with_distinct_names(contenders), len(whole) > 1 and all(whole)


def _paragraph(one: Comparison) -> str:
    """Return the sentence and the table of seeds; long names are A and B in the headings."""
    names, legend = (one.baseline, one.name), []
    if sum(map(len, names)) > MOST_IN_HEADINGS:
        names, legend = ("A", "B"), [f"  A: {one.baseline}", f"  B: {one.name}"]
    alone = (f"only {name} wrong" for name in names)
    header = ("seed", *names, "points", *alone, "McNemar's p", "after Holm")
    rows: list[Sequence[str]] = [header]
    for seed in one.seeds:
        errors = (seed.baseline_error_percent, seed.error_percent)
        tests = (seed.only_baseline_wrong, seed.only_this_wrong, seed.p_value, seed.p_holm)
        row = [str(seed.seed), *(f"{error:.2f} %" for error in errors), f"{seed.difference:+.2f}"]
        rows.append((*row, *(DASH if value is None else f"{value:.4g}" for value in tests)))
    return "\n".join([f"{one.sentence}.", *legend, *(f"  {line}" for line in columns(rows))])


_FIELDS = (
    *("dataset", "baseline", "baseline_cell", "baseline_source", "name", "cell", "source"),
    *("difference", "half_width_95", "outcome"),
)


def _columns() -> dict[str, Any]:
    """Return the columns of `--format csv` with their types."""
    from dae_cli.study.tables.paired import Outcome, SeedComparison

    types = {"difference": float, "half_width_95": float, "outcome": Outcome}
    return dict.fromkeys(_FIELDS, str) | types | get_type_hints(SeedComparison)


def _fields(one: Comparison) -> dict[str, Any]:
    facts = {name: getattr(one, name) for name in _FIELDS}
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in facts.items()
    }
