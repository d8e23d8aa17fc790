"""The `dae` command: its subcommands, each imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

from dae_cli import __version__
from dae_cli.commands.errors import ErrorReportingGroup, show_log
from dae_cli.commands.help import Command, Section, summary_of, write_help

_GROUPS = {
    "Replicate": {
        "ls": (
            "List the studies, or the cells of one, and which runs are done.",
            "dae ls icml2008",
        ),
        "replicate": (
            "Run every cell of a study and compare it with the paper.",
            "dae replicate icml2008 --only convex-0 --only convex-10",
        ),
        "train": (
            "Train and test one model (SVM: after a parameter search).",
            "dae train icml2008/convex-25 --seed 1",
        ),
        "search": (
            "Select the settings of a study's cells on validation rows.",
            "dae search smoke --sampler tpe --trials 12",
        ),
    },
    "Explore": {
        "compare": (
            "Compare runs or cells, with paired tests.",
            "dae compare icml2008/convex-0 icml2008/convex-25",
        ),
        "filters": (
            "Draw the pretrained filters of runs side by side.",
            "dae filters icml2008/convex-0 icml2008/convex-25",
        ),
        "encode": (
            "Write the codes or reconstructions that a run computes.",
            "dae encode icml2008/convex-25 --data new.npz --out codes.npz",
        ),
        "show": (
            "Print the settings of an experiment, or of a study, as YAML.",
            "dae show icml2008/convex-25 --set seed=1",
        ),
    },
    "Data": {
        "data": ("List, download, generate and check the eight data sets.", "dae data list"),
        "new": ("Write a study of your own data.", "dae new digits --data digits.csv"),
    },
    "Maintain": {
        "evaluate": (
            "Recount the errors of finished runs from their checkpoints.",
            "dae evaluate results/icml2008/runs/* --format csv",
        ),
        "report": (
            "Regenerate a study's tables, report and pictures; no training.",
            "dae report table1-tuned",
        ),
        "verify": ("Recompute a study's results and report mismatches.", "dae verify icml2008"),
    },
}
COMMANDS = {name: about for group in _GROUPS.values() for name, about in group.items()}
"""Each command's summary, which begins its help, and an example that ends it.

`dae_cli/commands/NAME.py` has a function of this name, whose docstring is the rest of the help, or
a Typer of subcommands.
"""

MORE: list[Section] = [
    (
        "Exit codes",
        [
            ("0", "success"),
            ("1", "a run, download or check failed, even one of many; unexpected error"),
            ("2", "wrong usage, configuration or input files; folder not writable"),
            ("130", "interrupted (Ctrl-C); 143 terminated (SIGTERM), 129 hung up (SIGHUP)"),
        ],
    ),
    (
        "Start here",
        [
            ("dae ls", "the studies"),
            ("dae replicate smoke", "a tiny study, in seconds"),
            ("dae replicate icml2008", "two rows of Table 1; 10 minutes on 2 cores"),
            ("dae new mine --data FILE", "a study of your own data"),
        ],
    ),
]
"""What follows the options in `dae --help`."""


class LazyGroup(ErrorReportingGroup):
    """Imports the module of a command when the command or its help is called.

    `dae --help` and errors about unknown commands import none of the modules.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for title, group in _GROUPS.items():
            for name, (summary, _) in group.items():
                placeholder = Command(name, help=summary, short_help=summary, rich_help_panel=title)
                self.add_command(placeholder)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that is named."""
        command: Any
        name, command, rest = super().resolve_command(ctx, args)
        if name and command and not command.callback:
            loaded = load_command(name)
            loaded.rich_help_panel = command.rich_help_panel
            self.commands[name] = command = loaded
        return name, command, rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, which Typer prints."""
        write_help(self, ctx, formatter, MORE)


def load_command(name: str) -> Any:
    """Import the module of a command and build its Typer command."""
    summary, example = COMMANDS[name]
    app = getattr(import_module(f"dae_cli.commands.{name}"), name)
    if not isinstance(app, typer.Typer):
        function, app = app, typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, cls=Command)(function)
    command = get_command(app)
    command.help = "\n\n".join(filter(None, (summary, command.help)))
    command.epilog = f"Example: {example}"
    for inner in getattr(command, "commands", {}).values():
        inner.short_help = summary_of(inner)  # whole, for completion
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        typer.echo(f"dae {__version__}")
        raise typer.Exit


@app.callback()
def dae(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors; may appear anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Replicate the denoising-autoencoder experiments of ICML 2008."""
    show_log()
