"""`dae filters`: what the units of a layer look for, as pictures on one grey scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.animating import draw_learning
from dae_cli.commands.options import DataDir, Photos, tiles_of, units_of
from dae_cli.commands.paths import file
from dae_cli.commands.sorting import SortBy, order_of, words_for
from dae_cli.commands.sources import run_folder
from dae_cli.config.names import label
from dae_cli.errors import ConfigError

if TYPE_CHECKING:
    from dae_cli.pictures.filters import Panel
    from dae_cli.pictures.tiles import Drawing


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
            "a .gif, or a .webp, which is smaller.",
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
        draw_learning(
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
    from dae_cli.pictures.saving import SHEET_SUFFIXES, check_suffix

    if out is not None:
        check_suffix(out, SHEET_SUFFIXES)
    folders = [run_folder(source) for source in sources]
    panels = panels_of(folders, layer)

    from dae_cli.pictures.saving import save_sheet

    about = {
        "Title": f"filters of layer {layer}",
        "Runs": ", ".join(folder.name for folder in folders),
        "Grey scale": scale.value,
    }
    if chosen:
        drawing = _zoom(panels, chosen, layer, scale)
        about["Units"] = ", ".join(map(str, chosen))
    else:
        drawing = _sheet(panels, grid, sort, layer, scale)
        about |= {"Tiles": f"{grid[0]}x{grid[1]}", "Sorted by": sort.value}
    path = out or _default_name("zoom" if chosen else "filters", folders, layer)
    save_sheet(drawing, path, about)
    typer.echo(label(path))


def _sheet(
    panels: Sequence[Panel], grid: tuple[int, int], sort: SortBy, layer: int, scale: GreyScale
) -> Drawing:
    from dae_cli.pictures.filters import common_limit, lay_out_sheet

    if sort is not SortBy.unit and len({len(panel.weights) for panel in panels}) > 1:
        counts = ", ".join(str(len(panel.weights)) for panel in panels)
        raise ConfigError(
            f"--sort {sort}: runs of {counts} units have no common order; draw one picture of each"
        )
    # Of the first run, so that a tile is the same unit in every sheet.
    order = order_of(panels[0].weights, sort)
    panels = [replace(panel, order=order) for panel in panels]
    first = " in the first sheet" if order and len(panels) > 1 else ""
    return lay_out_sheet(
        panels,
        limit=common_limit([panel.shown(grid[0] * grid[1]) for panel in panels]),
        tiles=grid,
        caption="; ".join(filter(None, [_which(layer), words_for(sort) + first])),
        scale=scale.value,
    )


def _zoom(panels: Sequence[Panel], units: list[int], layer: int, scale: GreyScale) -> Drawing:
    from dae_cli.pictures.filters import common_limit
    from dae_cli.pictures.zoom import lay_out_zoom

    shown = [replace(panel, order=units).shown(len(units)) for panel in panels]
    return lay_out_zoom(
        panels,
        units,
        limit=common_limit(shown),
        caption=_which(layer),
        scale=scale.value,
    )


def _which(layer: int) -> str:
    """`layer 2, pretrained: W2 W1`."""
    through = "" if layer == 1 else ": " + " ".join(f"W{k}" for k in range(layer, 0, -1))
    return f"layer {layer}, pretrained{through}"


def _default_name(kind: str, folders: Sequence[Path], layer: int) -> Path:
    stem = folders[0].resolve().name if len(folders) == 1 else "side-by-side"
    return Path(f"{kind}-{stem}" + ("" if layer == 1 else f"-layer{layer}") + ".png")


def panels_of(folders: Sequence[Path], layer: int) -> list[Panel]:
    """A sheet a run, named by data and corruption, or by the runs where that tells none apart."""
    panels = [_panel(folder, layer) for folder in folders]
    if len({panel.title for panel in panels}) == len(panels):
        return panels
    names = [folder.resolve().name for folder in folders]
    return [replace(panel, title=name) for panel, name in zip(panels, names, strict=True)]


def _panel(folder: Path, layer: int) -> Panel:
    from dae_cli.config.experiments import load_resolved
    from dae_cli.config.kinds import as_pretrained
    from dae_cli.data.datasets import DATASETS
    from dae_cli.pictures.filters import Panel, upright
    from dae_cli.study.run.corruption import corruption_told
    from dae_cli.study.run.filters import run_filters

    weights = run_filters(folder, layer)
    experiment = as_pretrained(load_resolved(folder / "config.yaml"))
    spec = DATASETS.get(experiment.dataset)
    if spec and spec.stored_transposed:
        weights = upright(weights)
    return Panel(weights, f"{experiment.dataset}, {corruption_told(experiment)}")
