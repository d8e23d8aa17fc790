"""`dae data verify`: read copies to the last byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.data.names import ALL, MNIST, DataFormat, Format, as_json, chosen
from dae_cli.commands.options import AcceptUnverified, DataDir
from dae_cli.commands.tables import columns
from dae_cli.config.names import label
from dae_cli.errors import DataError

if TYPE_CHECKING:
    from dae_cli.data.inventory import Check


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Sets; default: all.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
    form: Format = DataFormat.table,
) -> None:
    """Check the copies that there are.

    Exit code 1 if a cached copy is damaged, 2 if a file of yours is bad.
    """
    sets = chosen(names or [ALL], mnist=True)
    from dae_cli.data.inventory import check, check_mnist, copies, mnist_copies
    from dae_cli.data.provide import spec_of
    from dae_cli.data.sources.user_files import chosen_folder

    folder = chosen_folder(data_dir)
    checks: list[tuple[str, Check]] = []
    code = 0
    for name in sets:
        try:
            if name == MNIST:
                checks += [(name, check_mnist(copy)) for copy in mnist_copies(folder)]
            else:
                spec = spec_of(name)
                checks += [
                    (name, check(spec, copy, folder, accept_unverified))
                    for copy in copies(spec, folder)
                ]
        except DataError as error:  # half a pair of files, say: the other sets are checked
            typer.echo(f"{name}: {error}", err=True)
            code = error.exit_code
    if form is DataFormat.json:
        typer.echo(as_json([_check_json(name, found) for name, found in checks]))
    elif not checks and not code:
        typer.echo("no copy of these sets is here; dae data fetch gets them", err=True)
    elif checks:
        rows = [("set", "copy", "origin", "trust", "SHA-256", "found")]
        for name, found in checks:
            copy = found.copy
            digest = (copy.sha256 or "-")[:12]
            path, trust = label(copy.paths[0]), copy.trust or "-"
            rows.append((name, path, copy.origin, trust, digest, found.found))
        typer.echo("\n".join(columns(rows)))
    for _, found in checks:
        if not found.sound:
            code = max(code, 2 if found.copy.place == "yours" else 1)
    if code:
        raise typer.Exit(code)


def _check_json(name: str, found: Check) -> dict[str, object]:
    return {
        "name": name,
        "place": found.copy.place,
        "paths": [str(path) for path in found.copy.paths],
        "origin": found.copy.origin,
        "trust": found.copy.trust,
        "sha256": found.copy.sha256,
        "sound": found.sound,
        "found": found.found,
    }
