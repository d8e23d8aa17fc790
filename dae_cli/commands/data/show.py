"""`dae data show`: a contact sheet of a set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dae_cli.commands.data.names import ALL, chosen, note
from dae_cli.commands.options import AcceptUnverified, DataDir, DataOrigin, SplitName, tiles_of
from dae_cli.commands.paths import file
from dae_cli.config.names import label


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            parser=file,
            help="The picture.  [default: NAME-ORIGIN.png, here]",
            show_default=False,
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="The rows to show.")] = SplitName.train,
    tiles: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Rows of the split, evenly spread over it.")
    ] = "10x20",
    origin: DataOrigin = None,
    data_dir: DataDir = None,
    accept_unverified: AcceptUnverified = False,
) -> None:
    """Draw images of a set, upright, on a contact sheet. Prints the picture's path."""
    grid = tiles_of(tiles)
    if name == ALL:
        raise typer.BadParameter("a sheet shows one set", param_hint="NAME")
    (name,) = chosen([name])
    from dae_cli.figures.saving import check_suffix

    if out is not None:
        check_suffix(out, (".png",))

    from dae_cli.data.cache import load
    from dae_cli.data.datasets import spec_of
    from dae_cli.data.sources import DataOptions, prepare
    from dae_cli.figures.filters import filter_sheet
    from dae_cli.study.run.filters import as_shown

    options = DataOptions(data_dir, origin.value if origin else None, accept_unverified)
    prepared = prepare(name, options, note)
    dataset = load(prepared)
    rows = dataset.splits[split.value]
    some = rows.take(min(grid[0] * grid[1], len(rows)))
    sheet = filter_sheet(
        [as_shown(2 * some.as_float() - 1, name)],  # black is 0 and white is 1
        grid,
        limit=1.0,
        scale_ends=("0", "1"),
        title=f"{name} ({prepared.standing})",
        caption=f"{len(some)} of {len(rows)} rows of {split.value}, evenly spread over it; the "
        "numbers count the tiles"
        + ("; stored transposed, shown upright" if spec_of(name).stored_transposed else ""),
    )
    path = out or Path(f"{name}-{prepared.origin}.png")
    about = {"Title": f"{name}, {split.value}", "Source": prepared.source, "SHA256": dataset.sha256}
    sheet.save(path, about)
    typer.echo(label(path))
