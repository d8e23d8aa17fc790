"""`dae show`: print the resolved settings of an experiment or of every cell of a study."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dae_cli.commands import completion
from dae_cli.commands.options import Overrides
from dae_cli.commands.tables import as_json
from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import resolve_cells


def show(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Name or path of an experiment or a study.",
            autocompletion=completion.studies_and_experiments,
        ),
    ],
    overrides: Overrides = None,
    form: Annotated[
        Literal["yaml", "json"], typer.Option("--format", help="YAML, or JSON keyed by name.")
    ] = "yaml",
) -> None:
    """Includes the settings of its file, its study and --set, and all defaults."""
    cells = resolve_cells(experiment, overrides or ())
    if form == "json":
        typer.echo(as_json({cell.name: cell.experiment.model_dump(mode="json") for cell in cells}))
        return
    for cell in cells:
        head = f"--- # {cell.name}\n" if len(cells) > 1 else ""
        typer.echo(head + dump_yaml(cell.experiment), nl=False)
