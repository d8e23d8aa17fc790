"""The group `dae data` and its commands."""

from __future__ import annotations

import typer

from dae_cli.commands.data.copies import list_, verify
from dae_cli.commands.data.fetch import fetch, make
from dae_cli.commands.data.show import show

data = typer.Typer(
    no_args_is_help=True,
    epilog="Example: dae data list",
    rich_markup_mode=None,
    help="""The eight data sets: what there is, getting them, proof of what they are.

    Wherever a set is needed it is taken from your files, the cache, the original archive's
    download, or the published recipe, in this order; its origin is always told.""",
)
data.command("list", epilog="Example: dae data list --format json")(list_)
data.command(epilog="Example: dae data fetch convex rect --origin original")(fetch)
data.command(epilog="Example: dae data make rect-img")(make)
data.command(epilog="Example: dae data verify convex")(verify)
data.command(epilog="Example: dae data show bg-img --out bg-img.png")(show)
