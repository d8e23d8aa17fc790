"""`dae data fetch` and `dae data make`: bring sets into the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.data.names import DataFormat, Format, as_json, chosen, note
from dae_cli.commands.options import AcceptUnverified, DataDir, DataOrigin
from dae_cli.commands.tables import columns
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.data.sources import DataOptions

Names = Annotated[
    list[str], typer.Argument(metavar="NAME", help="Sets, or all.", show_default=False)
]


def fetch(
    names: Names,
    origin: DataOrigin = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
    form: Format = DataFormat.table,
) -> None:
    """Make sets ready: from your files, the cache, the download, else the published recipe.

    mnist fetches MNIST, which five of the sets are made of. A set that cannot be had is told on
    stderr; the others are made ready all the same.
    """
    from dae_cli.data.sources import DataOptions

    options = DataOptions(data_dir, origin.value if origin else None, accept_unverified)
    _bring(chosen(names), options, form)


def make(names: Names, data_dir: DataDir = None, form: Format = DataFormat.table) -> None:
    """Regenerate sets by the published recipes, whatever originals there are.

    The same bytes on any machine. Sets of digits are made of MNIST: from your files, or fetched.
    """
    from dae_cli.data.sources import DataOptions

    _bring(chosen(names, generated=True), DataOptions(data_dir, "regenerated"), form)


def _bring(names: list[str], options: DataOptions, form: DataFormat) -> None:
    from dae_cli.data.sources import prepare

    ready: list[dict[str, Any]] = []
    problems: list[DaeError] = []
    for name in names:
        try:
            found = prepare(name, options, note)
        except DaeError as error:
            problems.append(error)
            note(str(error))
        else:
            keys = ("name", "origin", "trust", "sha256", "source")
            ready.append({key: getattr(found, key) for key in keys} | {"path": str(found.path)})
    if form is DataFormat.json:
        typer.echo(as_json(ready))
    elif ready:
        rows = [("set", "origin", "trust", "SHA-256", "source")]
        rows += [
            (r["name"], r["origin"], r["trust"] or "-", r["sha256"][:12], r["source"])
            for r in ready
        ]
        typer.echo("\n".join(columns(rows)))
    if problems:
        raise typer.Exit(max(problem.exit_code for problem in problems))
