"""`dae data fetch` and `dae data make`: bring sets into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dae_cli.commands.data.names import MNIST, DataFormat, Format, as_json, chosen
from dae_cli.commands.options import AcceptUnverified, DataDir, DataOrigin
from dae_cli.commands.tables import columns
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.data.dataset import Origin

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
    sets = chosen(names, mnist=True)
    _bring(sets, origin.value if origin else None, data_dir, accept_unverified, form)


def make(names: Names, data_dir: DataDir = None, form: Format = DataFormat.table) -> None:
    """Regenerate sets by the published recipes, whatever originals there are.

    The same bytes on any machine. Sets of digits are made of MNIST: from your files, or fetched.
    """
    _bring(chosen(names), "regenerated", data_dir, False, form)


def _bring(
    names: list[str],
    origin: Literal["original", "regenerated"] | None,
    data_dir: Path | None,
    accept_unverified: bool,
    form: DataFormat,
) -> None:
    ready: list[dict[str, Any]] = []
    problems: list[DaeError] = []
    for name in names:
        try:
            if name == MNIST:
                ready.append(_mnist(data_dir))
            else:
                ready.append(_set(name, origin, data_dir, accept_unverified))
        except DaeError as error:
            problems.append(error)
            typer.echo(str(error), err=True)
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


def _set(
    name: str, origin: Origin | None, data_dir: Path | None, accept_unverified: bool
) -> dict[str, Any]:
    from dae_cli.data.provide import prepare

    prepared = prepare(
        name,
        data_dir=data_dir,
        origin=origin,
        accept_unverified=accept_unverified,
        note=_note,
    )
    return {
        "name": name,
        "origin": prepared.origin,
        "trust": prepared.trust,
        "sha256": prepared.sha256,
        "source": prepared.source,
        "path": str(prepared.path),
    }


def _mnist(data_dir: Path | None) -> dict[str, Any]:
    from dae_cli.data.sources.mnist import CONTENT_SHA256, mnist_digits, mnist_here
    from dae_cli.data.sources.user_files import chosen_folder
    from dae_cli.files import cache_folder

    folder, cache = chosen_folder(data_dir), cache_folder()
    mnist_digits(folder, cache, _note)
    return {
        "name": MNIST,
        "origin": "original",
        "trust": "verified",
        "sha256": CONTENT_SHA256,
        "source": f"{mnist_here(folder, cache)} (verified: the known content)",
    }


def _note(text: str) -> None:
    typer.echo(text, err=True)
