"""`dae data`: list, get, check and draw data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dae_cli.commands import completion
from dae_cli.commands.help import Command, Group
from dae_cli.commands.options import (
    AcceptUnverified,
    DataDir,
    DataOrigin,
    Format,
    SplitName,
    file,
    grid_of_tiles,
)
from dae_cli.commands.tables import DASH, as_json, columns, cut
from dae_cli.config.names import label
from dae_cli.config.own_data import SUFFIXES, declared
from dae_cli.data.cache import load
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import DATASETS, spec_of
from dae_cli.data.sources import DataOptions, Offer, check, offers, prepare, published_addresses
from dae_cli.errors import DaeError, did_you_mean
from dae_cli.figures.filters import filter_sheet
from dae_cli.figures.saving import check_suffix
from dae_cli.study.run.filters import as_shown

ALL = "all"
T = TypeVar("T")

Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="Data sets, or all.", autocompletion=completion.datasets),
]
NamesOrAll = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME", help="Data sets.  [default: all]", autocompletion=completion.datasets
    ),
]

data = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="""A data set comes from your files, the cache, a download of the original archive or the
    published recipe, in this order. Its origin is always shown.

    For your own data set, pass its declaration: dae data show digits.yaml.""",
)


@data.command("list", cls=Command, epilog="Example: dae data list --format json")
def list_(names: NamesOrAll = None, data_dir: DataDir = None, form: Format = "table") -> None:
    """List the data sets, their local copies and where they come from.

    Downloads, generates and checks nothing; `dae data verify` checks the copies.
    """
    found, code = _offers_of(names, DataOptions(data_dir))
    if form == "json":
        typer.echo(as_json([_facts(name, offers) for name, offers in found.items()]))
    else:
        rows = [("set", "rows", "here", "size", "SHA-256", "would come from")]
        for name, copies in found.items():
            first = (name, " + ".join(map(str, spec_of(name).rows.values())))
            source = _comes_from(copies)
            here = [_copy_cells(copy) for copy in copies if copy.paths] or [(DASH, DASH, DASH)]
            rows.append((*first, *here[0], source))
            rows += [("", "", *cells, "") for cells in here[1:]]
        typer.echo("\n".join(cut(columns(rows))))
    raise typer.Exit(code)


@data.command(cls=Command, epilog="Example: dae data fetch convex rect --origin original")
def fetch(
    names: Names,
    origin: DataOrigin = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
    form: Format = "table",
) -> None:
    """Get data sets: from your files, the cache, a download or a recipe.

    mnist is MNIST, from which five data sets are made. A data set that is not available is reported
    on stderr and does not stop the others.
    """
    _prepare(_chosen(names), DataOptions(data_dir, origin, accept_unverified), form)


@data.command(cls=Command, epilog="Example: dae data make rect-img")
def make(names: Names, data_dir: DataDir = None, form: Format = "table") -> None:
    """Generate data sets by the published recipes.

    Originals are not used, even if they exist. The bytes are the same on every machine. Sets of
    digits are made from MNIST: your files or a download.
    """
    _prepare(_chosen(names, generated=True), DataOptions(data_dir, "regenerated"), form)


@data.command(cls=Command, epilog="Example: dae data verify convex")
def verify(
    names: NamesOrAll = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
    form: Format = "table",
) -> None:
    """Check the local copies of data sets.

    Exit code 1 if a cached copy is damaged, 2 if one of your files is.
    """
    found, code = _offers_of(names, DataOptions(data_dir, accept_unverified=accept_unverified))
    checks: list[dict[str, Any]] = []
    for name, copies in found.items():
        for offer in copies:
            if offer.paths:
                sound, words = check(spec_of(name), offer)
                facts = {"name": name} | _copy_facts(offer, sound or offer)
                checks.append(facts | {"sound": bool(sound), "found": words})
                if not sound:
                    code = max(code, 2 if offer.place == "yours" else 1)
    if form == "json":
        typer.echo(as_json(checks))
    elif checks:
        rows = [("set", "copy", "origin", "trust", "SHA-256", "found")]
        for one in checks:
            digest, trust = (one["sha256"] or DASH)[:12], one["trust"] or DASH
            path = label(one["paths"][0])
            rows.append((one["name"], path, one["origin"], trust, digest, one["found"]))
        typer.echo("\n".join(columns(rows)))
    elif not code:
        _note("no local copies of these data sets; dae data fetch gets them")
    raise typer.Exit(code)


@data.command(cls=Command, epilog="Example: dae data show bg-img --out bg-img.png")
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A data set.", autocompletion=completion.datasets),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", parser=file, help="The picture.  [default: ./NAME-ORIGIN.png]"
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="The split to show.")] = "train",
    tiles: Annotated[
        Any,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            parser=grid_of_tiles,
            help="Rows and columns of the sheet.",
        ),
    ] = "10x20",
    origin: DataOrigin = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
) -> None:
    """Draw images of a data set on one sheet.

    Prints the picture's path.
    """
    if name == ALL:
        raise typer.BadParameter("expected one data set, not all", param_hint="NAME")
    (name,) = _chosen([name], several=False)
    if out is not None:
        check_suffix(out, (".png",))
    prepared = prepare(name, DataOptions(data_dir, origin, accept_unverified), _note)
    dataset = load(prepared)
    rows = dataset.splits[split]
    shown = rows.take(min(tiles[0] * tiles[1], len(rows)))
    turned = "; stored transposed, shown upright" if spec_of(name).stored_transposed else ""
    sheet = filter_sheet(
        [as_shown(2 * shown.as_float() - 1, name)],  # black is 0 and white is 1
        tiles,
        limit=1.0,
        scale_ends=("0", "1"),
        title=f"{name} ({prepared.standing})",
        caption=f"{len(shown)} of {len(rows)} rows of {split}, evenly spaced; the numbers "
        f"count the tiles{turned}",
    )
    path = out or Path(f"{name}-{prepared.origin}.png")
    about = {"Title": f"{name}, {split}", "Source": prepared.source, "SHA256": dataset.sha256}
    sheet.save(path, about)
    typer.echo(label(path))


def _chosen(names: Sequence[str], *, generated: bool = False, several: bool = True) -> list[str]:
    """Return the named data sets without duplicates; raise BadParameter for an unknown name.

    `all` means all data sets, or all with a recipe if `generated`. The path of a declaration means
    the user's own data set.
    """
    known = [name for name, spec in DATASETS.items() if spec.recipe or not generated]
    paths = [] if generated else [name for name in names if name.endswith(SUFFIXES)]
    own = {path: declared(Path(path)) for path in paths}
    for name in names:
        if name in (*known, *own, ALL):
            continue
        *others, last = [*known, ALL] if several else known
        hint = did_you_mean(name, known) or f"; expected {', '.join(others)} or {last}"
        what = f"{name!r} with a recipe" if generated else repr(name)
        raise typer.BadParameter(f"unknown data set {what}{hint}", param_hint="NAME")
    return known if ALL in names else list(dict.fromkeys(own.get(name, name) for name in names))


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _prepare(names: Sequence[str], options: DataOptions, form: Format) -> None:
    found, code = _of_each(names, lambda name: prepare(name, options, _note))
    if form == "json":
        keys = ("name", "origin", "trust", "sha256", "source", "path")
        typer.echo(as_json([{key: getattr(one, key) for key in keys} for one in found.values()]))
    elif found:
        rows = [("set", "origin", "trust", "SHA-256", "source")]
        for one in found.values():
            rows.append((one.name, one.origin, one.trust or DASH, one.sha256[:12], one.source))
        typer.echo("\n".join(columns(rows)))
    raise typer.Exit(code)


def _offers_of(
    names: Sequence[str] | None, options: DataOptions
) -> tuple[dict[str, list[Offer]], int]:
    """Return copies and sources of each data set, and the exit code."""
    return _of_each(_chosen(names or [ALL]), lambda name: list(offers(name, options)))


def _of_each(names: Sequence[str], do: Callable[[str], T]) -> tuple[dict[str, T], int]:
    """Return the result of `do` for each data set without an error, and the exit code."""
    found: dict[str, T] = {}
    code = 0
    for name in names:
        try:
            found[name] = do(name)
        except DaeError as error:  # such as one of two files missing
            _note(f"{name}: {error}")
            code = max(code, error.exit_code)
    return found, code


def _facts(name: str, offers: Sequence[Offer]) -> dict[str, Any]:
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
        "comes_from": _comes_from(offers),
    }


def _copy_facts(offer: Offer, known: Prepared | Offer) -> dict[str, Any]:
    return {
        "place": offer.place,
        "paths": offer.paths,
        "origin": offer.origin,
        "trust": known.trust,
        "sha256": known.sha256,
    }


def _comes_from(offers: Sequence[Offer]) -> str:
    """Return where a data set would come from now."""
    usable = [offer for offer in offers if offer.usable]
    if not usable:
        return "only your files"
    first = usable[0]
    if first.paths:
        return "your files" if first.place == "yours" else f"the cache ({first.origin})"
    return ", else ".join(offer.source for offer in usable)


def _copy_cells(copy: Offer) -> tuple[str, str, str]:
    where = "yours" if copy.place == "yours" else "cached"
    unused = "" if copy.usable else ", not used"
    n = copy.n_bytes
    size = f"{n / 1e6:.1f} MB" if n >= 50_000 else f"{n / 1e3:.1f} kB"
    return f"{copy.origin}, {where}{unused}", size, (copy.sha256 or DASH)[:12]
