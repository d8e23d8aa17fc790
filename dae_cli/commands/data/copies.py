"""`dae data list` and `dae data verify`: what there is of each set, and whether it is sound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.data.names import ALL, DataFormat, Format, as_json, chosen, note
from dae_cli.commands.options import AcceptUnverified, DataDir
from dae_cli.commands.tables import columns, text_width
from dae_cli.config.names import label
from dae_cli.errors import DaeError

if TYPE_CHECKING:
    from dae_cli.data.dataset import Prepared
    from dae_cli.data.sources import DataOptions, Offer

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Sets; default: all.", show_default=False)
]


def list_(names: Names = None, data_dir: DataDir = None, form: Format = DataFormat.table) -> None:
    """List the sets: what is here, its origin, size and digest, and what would be used.

    Nothing is fetched, made or checked; `dae data verify` checks.
    """
    from dae_cli.data.sources import DataOptions

    found, code = _offers_of(names, DataOptions(data_dir))
    sets = [_set_facts(name, offers) for name, offers in found.items()]
    if form is DataFormat.json:
        typer.echo(as_json(sets))
    else:
        header = ("set", "rows", "here", "size", "SHA-256", "would come from")
        rows = [row for facts in sets for row in _rows_of(facts)]
        typer.echo("\n".join(_fitting([header, *rows])))
    if code:
        raise typer.Exit(code)


def verify(
    names: Names = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
    form: Format = DataFormat.table,
) -> None:
    """Check the copies that there are.

    Exit code 1 if a cached copy is damaged, 2 if a file of yours is bad.
    """
    from dae_cli.data.datasets import spec_of
    from dae_cli.data.sources import DataOptions, check

    found, code = _offers_of(names, DataOptions(data_dir, accept_unverified=accept_unverified))
    checks: list[dict[str, Any]] = []
    for name, offers in found.items():
        for offer in offers:
            if offer.paths:
                sound, words = check(spec_of(name), offer)
                copy = {"name": name} | _copy_facts(offer, sound or offer)
                checks.append(copy | {"sound": bool(sound), "found": words})
                if not sound:
                    code = max(code, 2 if offer.place == "yours" else 1)
    if form is DataFormat.json:
        typer.echo(as_json(checks))
    elif checks:
        rows = [("set", "copy", "origin", "trust", "SHA-256", "found")]
        for one in checks:
            digest, trust = (one["sha256"] or "-")[:12], one["trust"] or "-"
            path = label(Path(one["paths"][0]))
            rows.append((one["name"], path, one["origin"], trust, digest, one["found"]))
        typer.echo("\n".join(columns(rows)))
    elif not code:
        note("no copy of these sets is here; dae data fetch gets them")
    if code:
        raise typer.Exit(code)


def _offers_of(names: list[str] | None, options: DataOptions) -> tuple[dict[str, list[Offer]], int]:
    """Copies and sources of each set, and the exit code: a set in trouble hides no other."""
    from dae_cli.data.sources import offers

    found: dict[str, list[Offer]] = {}
    code = 0
    for name in chosen(names or [ALL]):
        try:
            found[name] = list(offers(name, options))
        except DaeError as error:  # half a pair of files, say
            note(f"{name}: {error}")
            code = max(code, error.exit_code)
    return found, code


def _set_facts(name: str, offers: list[Offer]) -> dict[str, Any]:
    from dae_cli.data.datasets import spec_of
    from dae_cli.data.sources import published_addresses

    spec = spec_of(name)
    return {
        "name": name,
        "classes": spec.n_classes,
        "rows": spec.rows,
        "archive": spec.archive and spec.archive.name,
        "archive_sha1": spec.archive and spec.archive.sha1,
        "known_sha256": sorted(spec.known_sha256),
        "addresses": list(published_addresses(spec)),
        "copies": [
            _copy_facts(offer, offer)
            | {"bytes": offer.n_bytes, "source": offer.source, "usable": offer.usable}
            for offer in offers
            if offer.paths
        ],
        "comes_from": _comes_from([offer for offer in offers if offer.usable]),
    }


def _copy_facts(offer: Offer, known: Prepared | Offer) -> dict[str, Any]:
    return {
        "place": offer.place,
        "paths": [str(path) for path in offer.paths],
        "origin": offer.origin,
        "trust": known.trust,
        "sha256": known.sha256,
    }


def _comes_from(usable: list[Offer]) -> str:
    """Where a set would be taken from now."""
    if not usable:
        return "your files alone"
    first = usable[0]
    if first.paths:
        return "your files" if first.place == "yours" else f"the cache ({first.origin})"
    return ", else ".join(offer.source for offer in usable)


def _rows_of(facts: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row of the table for each copy of a set; the first has what is said of the set."""
    rows = " + ".join(str(n) for n in facts["rows"].values())
    cells = [_cells(copy) for copy in facts["copies"]] or [("-", "-", "-")]
    others = [("", "", *copy, "") for copy in cells[1:]]
    return [(facts["name"], rows, *cells[0], facts["comes_from"]), *others]


def _cells(copy: dict[str, Any]) -> tuple[str, str, str]:
    where = "yours" if copy["place"] == "yours" else "cached"
    unused = "" if copy["usable"] else ", not used"
    n = copy["bytes"]
    size = f"{n / 1e6:.1f} MB" if n >= 50_000 else f"{n / 1e3:.1f} kB"
    return f"{copy['origin']}, {where}{unused}", size, (copy["sha256"] or "-")[:12]


def _fitting(rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of the table; a narrow terminal gets none of the columns that can best be spared."""
    width = text_width() if sys.stdout.isatty() else None
    shown = list(range(len(rows[0])))
    for spared in ("rows", "SHA-256", "size"):
        lines = columns([[row[k] for k in shown] for row in rows])
        if width is None or max(map(len, lines)) <= width:
            return lines
        shown.remove(rows[0].index(spared))
    return columns([[row[k] for k in shown] for row in rows])
