"""`dae evaluate`: recount the errors of finished runs, on any split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dae_cli.commands import completion
from dae_cli.commands.options import DataDir, SplitName
from dae_cli.commands.sources import run_folders
from dae_cli.commands.tables import DASH, as_json, columns, interval, setting_values
from dae_cli.config.dump import differing_settings
from dae_cli.csvfile import csv_text
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.study.counting import Evaluation

EvaluationFormat = Literal["table", "json", "csv"]


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Run folders, cells (STUDY/CELL or FOLDER/CELL), or studies and results folders, "
            "for all of their runs.",
            autocompletion=completion.studies_and_experiments,
            show_default=False,
        ),
    ],
    split: Annotated[SplitName, typer.Option(help="Rows on which errors are counted.")] = "test",
    form: Annotated[
        EvaluationFormat, typer.Option("--format", help="A table to read, JSON or CSV.")
    ] = "table",
    data_dir: DataDir = None,
) -> None:
    """The weights are those in the run's checkpoint, which had the lowest validation error.
    Settings in which the runs differ are shown as columns. A run that cannot be evaluated is
    reported on stderr and does not stop the others.
    """
    folders: list[Path] = []
    problems: list[DaeError] = []
    for source in runs:
        try:
            folders += run_folders(source, problems)
        except DaeError as error:
            problems.append(error)
    evaluations = _evaluate(folders, split, data_dir, problems) if folders else []
    if evaluations:
        typer.echo(_printed(evaluations, form))
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(max(problem.exit_code for problem in problems))


def _evaluate(
    folders: Sequence[Path], split: SplitName, data_dir: Path | None, problems: list[DaeError]
) -> list[Evaluation]:
    from dae_cli.study.counting import RecordedData, evaluate_run

    data = RecordedData(data_dir, partial(typer.echo, err=True))
    evaluations = []
    for folder in folders:
        try:
            evaluations.append(evaluate_run(folder, split, data))
        except DaeError as error:
            problems.append(error)
    return evaluations


def _printed(evaluations: Sequence[Evaluation], form: EvaluationFormat) -> str:
    settings = differing_settings([e.experiment for e in evaluations], but=["dataset"])
    if form != "table":
        as_values = setting_values if form == "json" else dict
        facts = [_facts(e, as_values(own)) for e, own in zip(evaluations, settings, strict=True)]
        if form == "json":
            return as_json(facts)
        return csv_text([facts[0], *(line.values() for line in facts)]).rstrip("\n")
    from dae_cli.data.dataset import standing

    rows = [("run", "cell", *settings[0], "data", "split", "wrong", "error, %")]
    for e, own in zip(evaluations, settings, strict=True):
        number = interval(e.error_percent, e.half_width_95)
        data = f"{e.dataset} ({standing(e.data_origin, e.trust)})"
        values = (value or DASH for value in own.values())
        wrong = f"{e.n_wrong:,} of {e.n_rows:,}"
        rows.append((e.run, e.cell, *values, data, e.split, wrong, number))
    return "\n".join(columns(rows))


def _facts(evaluation: Evaluation, settings: Mapping[str, object]) -> dict[str, object]:
    """Return the evaluation for JSON and CSV, with the settings after the cell."""
    facts: dict[str, object] = {}
    for name, value in vars(evaluation).items():
        if name != "experiment":
            facts[name] = value
        if name == "cell":
            facts |= settings
    return facts
