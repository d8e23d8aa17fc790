"""`dae data list`: what there is of each set, and where it would come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.data.names import ALL, MNIST, DataFormat, Format, as_json, chosen, size
from dae_cli.commands.options import DataDir
from dae_cli.commands.tables import columns
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.data.inventory import Copy

DIGITS = 12
"""Letters of a digest that are shown to people."""


def list_(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Sets; default: all.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    form: Format = DataFormat.table,
) -> None:
    """List the sets: what is here, its origin, size and digest, and what would be used.

    Nothing is fetched, made or checked; `dae data verify` checks.
    """
    from dae_cli.data.sources.user_files import chosen_folder

    folder = chosen_folder(data_dir)
    sets: list[dict[str, Any]] = []
    problems: list[DaeError] = []
    for name in chosen(names or [ALL], mnist=True):
        try:
            sets.append(_facts(name, folder))
        except DaeError as error:  # half a pair of files, say: the other sets are listed
            problems.append(error)
            typer.echo(f"{name}: {error}", err=True)
    if form is DataFormat.json:
        typer.echo(as_json(sets))
    else:
        _print(_table(sets))
    if problems:
        raise typer.Exit(max(problem.exit_code for problem in problems))


def _table(sets: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("set", "rows", "here", "size", "SHA-256", "would come from")]
    for facts in sets:
        copies: list[Any] = facts["copies"] or [None]
        for i, copy in enumerate(copies):
            head = (facts["name"], _rows(facts)) if i == 0 else ("", "")
            rows.append((*head, *_cells(copy), facts["comes_from"] if i == 0 else ""))
    return rows


def _facts(name: str, folder: Path | None) -> dict[str, Any]:
    if name == MNIST:
        return _mnist(folder)
    from dae_cli.data.inventory import comes_from, copies
    from dae_cli.data.provide import spec_of
    from dae_cli.data.sources.download import archive_of
    from dae_cli.data.trust import known_contents

    spec = spec_of(name)
    found = copies(spec, folder)
    return {
        "name": name,
        "classes": spec.n_classes,
        "rows": spec.rows,
        "archive": spec.archive and spec.archive.name,
        "archive_sha1": spec.archive and spec.archive.sha1,
        "known_sha256": sorted(known_contents(spec)),
        "addresses": list(archive_of(spec).addresses),
        "copies": [_copy(copy) for copy in found],
        "comes_from": comes_from(spec, found),
    }


def _mnist(folder: Path | None) -> dict[str, Any]:
    from dae_cli.data.datasets import MNIST as SPEC
    from dae_cli.data.inventory import at_hand, mnist_copies
    from dae_cli.data.sources.download import addresses_of
    from dae_cli.data.sources.mnist import ADDRESSES, CONTENT_SHA256

    found = mnist_copies(folder)
    return {
        "name": MNIST,
        "classes": SPEC.n_classes,
        "rows": SPEC.rows,
        "known_sha256": [CONTENT_SHA256],
        "addresses": list(addresses_of("", ADDRESSES)),
        "copies": [_copy(copy) for copy in found],
        "comes_from": at_hand(found) or "the download",
    }


def _copy(copy: Copy) -> dict[str, Any]:
    return {
        "place": copy.place,
        "paths": [str(path) for path in copy.paths],
        "origin": copy.origin,
        "trust": copy.trust,
        "sha256": copy.sha256,
        "bytes": copy.n_bytes,
        "source": copy.source,
        "usable": copy.usable,
    }


def _rows(facts: dict[str, Any]) -> str:
    return " + ".join(str(n) for n in facts["rows"].values())


def _cells(copy: dict[str, Any] | None) -> tuple[str, str, str]:
    if copy is None:
        return "-", "-", "-"
    where = "yours" if copy["place"] == "yours" else "cached"
    digest = (copy["sha256"] or "-")[:DIGITS]
    unused = "" if copy["usable"] else ", not used"
    return f"{copy['origin']}, {where}{unused}", size(copy["bytes"]), digest


def _print(rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        typer.echo("\n".join(columns(rows)))
        return
    shown = _columns_that_fit(rows, console.width)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for k in shown:
        table.add_column(rows[0][k], overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(row[k]) for k in shown))
    console.print(table)


def _columns_that_fit(rows: list[tuple[str, ...]], width: int) -> list[int]:
    """All columns, without those that can best be spared where the terminal is narrow."""
    shown = list(range(len(rows[0])))
    for spared in ("rows", "SHA-256", "size"):
        if sum(max(len(row[k]) for row in rows) + 2 for k in shown) <= width:
            break
        shown.remove(rows[0].index(spared))
    return shown
