"""`dae filters`: what the units of a layer look for, as pictures on one grey scale."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dae_cli.commands.options import tiles_of
from dae_cli.commands.sources import run_folder
from dae_cli.config.names import label

if TYPE_CHECKING:
    from dae_cli.config.schema import Experiment
    from dae_cli.pictures.filters import Panel


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
        str, typer.Option(metavar="ROWSxCOLUMNS", help="The first units, row by row.")
    ] = "10x10",
    scale: Annotated[
        GreyScale,
        typer.Option(help="One grey scale for all tiles, or each tile by its largest weight."),
    ] = GreyScale.shared,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            dir_okay=False,
            help="The picture.  [default: filters-RUN.png or filters-side-by-side.png, here]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw the pretrained filters of runs side by side.

    Tile i is unit i in every sheet; mid grey is a weight of 0. Prints the picture's path.
    """
    grid = tiles_of(tiles)
    from dae_cli.pictures.saving import check_suffix

    if out is not None:
        check_suffix(out, (".png",))
    folders = [run_folder(source) for source in sources]

    from dae_cli.pictures.filters import common_limit, save_png, side_by_side

    panels = [_panel(folder, layer) for folder in folders]
    shown = [panel.weights[: grid[0] * grid[1]] for panel in panels]
    image = side_by_side(
        panels,
        limit=common_limit(shown),
        tiles=grid,
        caption=f"layer {layer}, pretrained" + _through(layer),
        scale=scale.value,
    )
    path = out or _default_name(folders, layer)
    about = {"Title": f"filters of layer {layer}", "Runs": ", ".join(f.name for f in folders)}
    save_png(image, path, about)
    typer.echo(label(path))


def _through(layer: int) -> str:
    return "" if layer == 1 else f": W{layer}" + "".join(f" W{k}" for k in range(layer - 1, 0, -1))


def _default_name(folders: Sequence[Path], layer: int) -> Path:
    stem = folders[0].resolve().name if len(folders) == 1 else "side-by-side"
    return Path(f"filters-{stem}" + ("" if layer == 1 else f"-layer{layer}") + ".png")


def _panel(folder: Path, layer: int) -> Panel:
    from dae_cli.config.experiments import load_resolved
    from dae_cli.config.kinds import as_network
    from dae_cli.data.registry import REGISTRY
    from dae_cli.pictures.filters import Panel, upright
    from dae_cli.study.filters import run_filters

    weights = run_filters(folder, layer)
    experiment = as_network(load_resolved(folder / "config.yaml"))
    if REGISTRY[experiment.dataset].stored_transposed:
        weights = upright(weights)
    return Panel(weights, f"{experiment.dataset}, {_corrupted(experiment)}")


def _corrupted(experiment: Experiment) -> str:
    corruption = experiment.corruption
    if experiment.pretrain.epochs == 0:
        return "not pretrained"
    if corruption.kind == "gaussian":
        return f"gaussian noise {corruption.sigma:g}"
    kind = "" if corruption.kind == "masking" else f" ({corruption.kind})"
    return f"{100 * corruption.destruction:g} %{kind}"
