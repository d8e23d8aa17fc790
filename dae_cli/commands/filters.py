"""`dae filters`: what the units of a layer look for, as pictures on one grey scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.animating import animate_learning
from dae_cli.commands.options import DataDir, Photos, tiles_of, units_of
from dae_cli.commands.paths import file
from dae_cli.commands.sorting import SortBy, order_of, words_for
from dae_cli.commands.sources import run_folder
from dae_cli.config.names import label
from dae_cli.errors import ConfigError

if TYPE_CHECKING:
    from dae_cli.figures.filters import Filters
    from dae_cli.figures.sheets import Sheet


class GreyScale(StrEnum):
    """Which weights are black and white."""

    shared = "shared"
    tile = "tile"


def filters(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|EXPERIMENT",
            help="Run folders, or experiments that have a finished run under results/; "
            "several stand side by side.",
            show_default=False,
        ),
    ],
    layer: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="1 is the lowest; units of higher layers are shown through the weights below.",
        ),
    ] = 1,
    tiles: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            help="The first units, row by row.  [default: 10x10]",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        SortBy,
        typer.Option(
            help="Which units come first; by a measure, it is the first run's, and each unit's "
            "number stands under its tiles."
        ),
    ] = SortBy.unit,
    units: Annotated[
        str | None,
        typer.Option(
            metavar="I,J,…",
            help="These units alone, large: a row for each, a column for each run.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        GreyScale,
        typer.Option(help="One grey scale for all tiles, or each tile by its largest weight."),
    ] = GreyScale.shared,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=file,
            help="The picture: .png, or for print .svg or .pdf.  [default: filters-RUN.png or "
            "filters-side-by-side.png, here; zoom-… with --units]",
            show_default=False,
        ),
    ] = None,
    animate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=file,
            help="Train the first layer of one experiment again, and draw it while it learns: "
            "a .gif.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    photos: Photos = None,
) -> None:
    """Draw the pretrained filters of runs side by side.

    Tile i is unit i in every sheet; mid grey is a weight of 0. Prints the picture's path. The data
    are read for --animate alone.
    """
    if animate is not None:
        if len(sources) > 1 or units is not None or layer != 1 or out is not None:
            raise typer.BadParameter(
                "draws one first layer; leave out --out, --units, --layer and other sources",
                param_hint="--animate",
            )
        animate_learning(
            sources[0], animate, tiles_of(tiles or "10x10"), scale.value, data_dir, photos
        )
        typer.echo(label(animate))
        return
    chosen = None if units is None else units_of(units)
    if chosen and (tiles is not None or sort is not SortBy.unit):
        raise typer.BadParameter(
            "draws the units that it names, in their order; leave out --tiles and --sort",
            param_hint="--units",
        )
    grid = tiles_of("10x10" if tiles is None else tiles)
    from dae_cli.figures.saving import SUFFIXES, check_suffix

    if out is not None:
        check_suffix(out, SUFFIXES)
    folders = [run_folder(source) for source in sources]
    layers = layers_of(folders, layer)
    about = {
        "Title": f"filters of layer {layer}",
        "Runs": ", ".join(folder.name for folder in folders),
        "Grey scale": scale.value,
    }
    if chosen:
        sheet = _zoom(layers, chosen, layer, scale)
        about["Units"] = ", ".join(map(str, chosen))
    else:
        sheet = _sheet(layers, grid, sort, layer, scale)
        about |= {"Tiles": f"{grid[0]}x{grid[1]}", "Sorted by": sort.value}
    path = out or _default_name("zoom" if chosen else "filters", folders, layer)
    sheet.save(path, about)
    typer.echo(label(path))


def _sheet(
    layers: Sequence[Filters], grid: tuple[int, int], sort: SortBy, layer: int, scale: GreyScale
) -> Sheet:
    from dae_cli.figures.filters import filter_sheet

    if sort is not SortBy.unit and len({len(one.weights) for one in layers}) > 1:
        counts = ", ".join(str(len(one.weights)) for one in layers)
        raise ConfigError(
            f"--sort {sort}: runs of {counts} units have no common order; draw one picture of each"
        )
    # Of the first run, so that a tile is the same unit in every sheet.
    order = order_of(layers[0].weights, sort, layers[0].image)
    first = " in the first sheet" if order and len(layers) > 1 else ""
    return filter_sheet(
        [replace(one, order=order) for one in layers],
        grid,
        caption="; ".join(filter(None, [_which(layer), words_for(sort) + first])),
        scale=scale.value,
    )


def _zoom(layers: Sequence[Filters], units: list[int], layer: int, scale: GreyScale) -> Sheet:
    from dae_cli.figures.filters import zoom_sheet

    return zoom_sheet(layers, units, caption=_which(layer), scale=scale.value)


def _which(layer: int) -> str:
    """`layer 2, pretrained: W2 W1`."""
    through = "" if layer == 1 else ": " + " ".join(f"W{k}" for k in range(layer, 0, -1))
    return f"layer {layer}, pretrained{through}"


def _default_name(kind: str, folders: Sequence[Path], layer: int) -> Path:
    stem = folders[0].resolve().name if len(folders) == 1 else "side-by-side"
    return Path(f"{kind}-{stem}" + ("" if layer == 1 else f"-layer{layer}") + ".png")


def layers_of(folders: Sequence[Path], layer: int) -> list[Filters]:
    """A layer of each run, named by data and corruption, or by the runs where these are alike."""
    layers = [_layer(folder, layer) for folder in folders]
    if len({one.title for one in layers}) == len(layers):
        return layers
    names = [folder.resolve().name for folder in folders]
    return [replace(one, title=name) for one, name in zip(layers, names, strict=True)]


def _layer(folder: Path, layer: int) -> Filters:
    from dae_cli.config.experiments import load_resolved
    from dae_cli.config.schema import as_pretrained
    from dae_cli.study.run.filters import as_shown, describe_corruption, run_filters

    weights = run_filters(folder, layer)
    experiment = as_pretrained(load_resolved(folder / "config.yaml"))
    title = f"{experiment.dataset}, {describe_corruption(experiment)}"
    return as_shown(weights, experiment.dataset, title)
