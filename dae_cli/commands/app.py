"""The `dae` command: its subcommands, and how every failure is told."""

from __future__ import annotations

from typing import Annotated

import typer

from dae_cli import __version__
from dae_cli.commands.data.app import data
from dae_cli.commands.evaluate import evaluate
from dae_cli.commands.filters import filters
from dae_cli.commands.ls import ls
from dae_cli.commands.replicate import replicate
from dae_cli.commands.report import report
from dae_cli.commands.search import search
from dae_cli.commands.show import show
from dae_cli.commands.telling import TellingGroup
from dae_cli.commands.train import train
from dae_cli.commands.verify import verify

EPILOG = """\
\b
Exit codes:
  0    all good
  1    a run, download or check failed, even one of many; or the unforeseen
  2    wrong usage, configuration or input files; an unwritable folder
  130  interrupted (Ctrl-C); 143 terminated (SIGTERM), 129 hung up (SIGHUP)

\b
Start here:
  dae ls                     what there is
  dae replicate smoke        the whole path in seconds
  dae replicate icml2008     the published table
"""

app = typer.Typer(
    cls=TellingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"dae {__version__}")
        raise typer.Exit


@app.callback()
def dae(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors; may stand anywhere.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Replicate the denoising-autoencoder experiments of ICML 2008."""


app.command(epilog="Example: dae train icml2008/convex-25 --seed 1")(train)
app.command(epilog="Example: dae evaluate results/icml2008/runs/* --format csv")(evaluate)
app.command(epilog="Example: dae filters icml2008/convex-0 icml2008/convex-25")(filters)
app.command(epilog="Example: dae replicate icml2008 --only convex-0 --only convex-10")(replicate)
app.command(epilog="Example: dae search smoke --sampler tpe --trials 12")(search)
app.command(epilog="Example: dae report table1-tuned")(report)
app.command(epilog="Example: dae verify icml2008")(verify)
app.add_typer(data, name="data")
app.command(epilog="Example: dae ls --format json")(ls)
app.command(epilog="Example: dae show icml2008/convex-25 --set seed=1")(show)
