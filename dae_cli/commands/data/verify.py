"""`dae data verify`: read copies to the last byte."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.data.names import ALL, DataFormat, Format, as_json, chosen, told
from dae_cli.commands.options import AcceptUnverified, DataDir
from dae_cli.commands.tables import columns
from dae_cli.config.names import label
from dae_cli.errors import DataError

if TYPE_CHECKING:
    from dae_cli.data.dataset import Prepared
    from dae_cli.data.sources import Offer


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
    from dae_cli.data.datasets import DATASETS
    from dae_cli.data.sources import DataOptions, check, offers

    options = DataOptions(data_dir, accept_unverified=accept_unverified)
    checks: list[dict[str, Any]] = []
    code = 0
    for name in chosen(names or [ALL]):
        spec = DATASETS[name]
        try:
            copies = [offer for offer in offers(spec, options) if offer.paths]
        except DataError as error:  # half a pair of files, say: the other sets are checked
            told(f"{name}: {error}")
            code = error.exit_code
            continue
        for offer in copies:
            sound, found = check(spec, offer)
            facts = _facts(name, sound or offer, offer)
            checks.append(facts | {"sound": bool(sound), "found": found})
            if not sound:
                code = max(code, 2 if offer.place == "yours" else 1)
    if form is DataFormat.json:
        typer.echo(as_json(checks))
    elif not checks and not code:
        told("no copy of these sets is here; dae data fetch gets them")
    elif checks:
        rows = [("set", "copy", "origin", "trust", "SHA-256", "found")]
        for one in checks:
            digest, trust = (one["sha256"] or "-")[:12], one["trust"] or "-"
            path = label(Path(one["paths"][0]))
            rows.append((one["name"], path, one["origin"], trust, digest, one["found"]))
        typer.echo("\n".join(columns(rows)))
    if code:
        raise typer.Exit(code)


def _facts(name: str, known: Prepared | Offer, offer: Offer) -> dict[str, Any]:
    return {
        "name": name,
        "place": offer.place,
        "paths": [str(path) for path in offer.paths],
        "origin": offer.origin,
        "trust": known.trust,
        "sha256": known.sha256,
    }
