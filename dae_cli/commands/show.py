"""`dae show`: the resolved settings of an experiment, or of every cell of a study."""

from __future__ import annotations

from typing import Annotated

import typer


def show(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="Name or path of an experiment or a study.",
            show_default=False,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting, such as pretrain.epochs=10; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print the resolved settings of an experiment, or of a whole study, as YAML."""
    from dae_cli.config.dump import dump_yaml
    from dae_cli.config.experiments import resolve_cells

    cells = resolve_cells(experiment, overrides or ())
    if len(cells) == 1:
        typer.echo(dump_yaml(cells[0].experiment), nl=False)
        return
    for cell in cells:
        typer.echo(f"--- # {cell.name}\n{dump_yaml(cell.experiment)}", nl=False)
