"""`dae data verify`: read copies to the last byte; set regenerated beside genuine rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dae_cli.commands.data.names import ALL, DataFormat, Format, as_json, chosen
from dae_cli.commands.options import AcceptUnverified, DataDir
from dae_cli.commands.paths import existing_folder, folder
from dae_cli.commands.tables import columns
from dae_cli.config.names import label
from dae_cli.errors import DaeError, DataError

if TYPE_CHECKING:
    from dae_cli.data.dataset import Prepared
    from dae_cli.data.sources import Offer
    from dae_cli.proof.compare import Comparison


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Sets; default: all.", show_default=False),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            parser=existing_folder,
            help="Compare what the recipes make with the genuine sets, or NAME.npz samples of "
            "their rows, in this folder; repeatable.",
            show_default=False,
        ),
    ] = None,
    svm: Annotated[
        bool,
        typer.Option(
            "--svm", help="With --against: compare the errors of SVMs as well (half an hour)."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=folder,
            help="With --against: write statistics.csv and a sheet of images for each set here.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
    form: Format = DataFormat.table,
) -> None:
    """Check the copies that there are; or compare regenerated sets with genuine rows.

    Exit code 1 if a cached copy is damaged or a comparison is off, 2 if a file of yours is bad or
    there is nothing to compare.
    """
    sets = chosen(names or [ALL], generated=bool(against))
    if against:
        _compare(sets, against, svm, out, data_dir, form)
    elif svm or out:
        raise typer.BadParameter("goes with --against DIR", param_hint="--svm" if svm else "--out")
    else:
        _check(sets, data_dir, accept_unverified, form)


def _check(
    names: Sequence[str], data_dir: Path | None, accept_unverified: bool, form: DataFormat
) -> None:
    from dae_cli.data.datasets import DATASETS
    from dae_cli.data.sources import DataOptions, check, offers

    options = DataOptions(data_dir, accept_unverified=accept_unverified)
    checks: list[dict[str, Any]] = []
    code = 0
    for name in names:
        spec = DATASETS[name]
        try:
            copies = [offer for offer in offers(spec, options) if offer.paths]
        except DataError as error:  # half a pair of files, say: the other sets are checked
            typer.echo(f"{name}: {error}", err=True)
            code = error.exit_code
            continue
        for offer in copies:
            sound, found = check(spec, offer)
            checks.append(
                _facts(name, sound or offer, offer) | {"sound": bool(sound), "found": found}
            )
            if not sound:
                code = max(code, 2 if offer.place == "yours" else 1)
    if form is DataFormat.json:
        typer.echo(as_json(checks))
    elif not checks and not code:
        typer.echo("no copy of these sets is here; dae data fetch gets them", err=True)
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


def _compare(
    names: Sequence[str],
    against: Sequence[Path],
    svm: bool,
    out: Path | None,
    data_dir: Path | None,
    form: DataFormat,
) -> None:
    if out is not None:
        _require_writable(out)
    from dae_cli.proof.prove import STATISTICS_CSV, prove, statistics_csv

    comparisons: list[Comparison] = []
    code = 0
    for name in names:
        try:
            found = prove(name, against, data_dir=data_dir, svm=svm, sheets=out, note=_note)
        except DaeError as error:  # MNIST is not to be had, say: the other sets are compared
            _note(f"{name}: {error}")
            code = max(code, error.exit_code)
            continue
        comparisons += found
        if out is not None and found:
            statistics_csv(out, comparisons)
        if form is DataFormat.table and found:
            typer.echo("\n".join([*_table(found), ""]))
    if form is DataFormat.json:
        typer.echo(as_json([c.as_row() for c in comparisons]))
    elif out is not None and comparisons:
        typer.echo(label(out / STATISTICS_CSV))
    if not comparisons and not code:
        where = ", ".join(str(folder) for folder in against)
        raise DataError(f"{where}: no genuine rows of {', '.join(names)}; nothing was compared")
    off = [c for c in comparisons if c.holds is False]
    judged = sum(c.holds is not None for c in comparisons)
    _note(f"{judged - len(off)} of {judged} figures are as near as they should be")
    if off or code:
        raise typer.Exit(max(code, 1))


def _require_writable(out: Path) -> None:
    """Before anything is measured, which may take half an hour."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DaeError(
            f"{out}: cannot be made ({error.strerror}); choose another folder with --out"
        ) from error
    if not os.access(out, os.W_OK):
        raise DaeError(f"{out}: cannot be written to; choose another folder with --out")


def _table(comparisons: Sequence[Comparison]) -> list[str]:
    head = ("set", "rows", "measure", "genuine", "regenerated", "may be off by", "")
    rows: list[tuple[str, ...]] = [head]
    for c in comparisons:
        verdict = {True: "holds", False: "OFF", None: ""}[c.holds]
        cells = [c.number(c.genuine), c.number(c.regenerated), c.number(c.tolerance)]
        rows.append((c.dataset, c.part, c.measure, *cells, verdict))
    return columns(rows)


def _note(text: str) -> None:
    typer.echo(text, err=True)
