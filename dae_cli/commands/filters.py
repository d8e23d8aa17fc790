"""`dae filters`: draw the filters of a layer on one grey scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from dae_cli.commands import completion
from dae_cli.commands.options import DataDir, Photos, file, grid_of_tiles, list_of_units
from dae_cli.commands.progress import progress_display
from dae_cli.commands.sources import run_folder
from dae_cli.config.dump import differing_settings
from dae_cli.config.experiments import load_resolved, resolve_experiment
from dae_cli.config.names import label
from dae_cli.config.schema import PretrainedExperiment, SvmExperiment, as_pretrained
from dae_cli.data.datasets import PHOTOGRAPHS
from dae_cli.data.sources import DataOptions
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.figures.filters import Filters, filter_sheet, zoom_sheet
from dae_cli.figures.greys import Scale, common_limit, finite
from dae_cli.figures.saving import ANIMATIONS, SUFFIXES, check_suffix, write_animation
from dae_cli.figures.sheets import Theme
from dae_cli.files import with_home
from dae_cli.filters import measures
from dae_cli.study.run.filters import TILES, as_shown, describe_corruption, run_filters
from dae_cli.study.run.job import CONFIG
from dae_cli.study.run.record import read_status

FRAMES = 24
"""Maximum number of pictures in an animation."""
MOST_PIXELS = 10_000
"""Greatest width of a picture."""
UNITS, PICTURE = "Units", "Picture"
"""Panels of options."""

Order = Literal["unit", "strength", "gabor", "extent", "locality", "orientation"]
Values = NDArray[np.floating[Any]]
Image = tuple[int, int] | None

_MEASURES: dict[Order, tuple[str, Callable[[Values, Image], Values]]] = {
    "strength": (
        "the norm of the weights",
        lambda weights, _: np.linalg.norm(weights.astype(np.float64), axis=1),
    ),
    "gabor": (
        "the variance that a Gabor explains",
        lambda weights, image: np.array(
            [unit.explained_variance for unit in measures.measure(weights, image)]
        ),
    ),
    "extent": ("the extent of the strongest spot", measures.extent),
    "locality": ("locality", measures.locality),
    "orientation": (
        "orientation selectivity",
        lambda weights, image: measures.orientation_selectivity(weights, image)[0],
    ),
}
"""Name in the caption and measure of each `--sort`.

A measure maps weights (units, inputs) and the shape of a unit's image to one number per unit. A new
one needs a line here and in `Order`.
"""


def filters(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|EXPERIMENT",
            help="Run folders, or experiments with a finished run (also as FOLDER/CELL); several "
            "are drawn side by side.",
            autocompletion=completion.experiments,
        ),
    ],
    layer: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="Layer; 1 is the lowest. Weights of a higher layer are multiplied by those below.",
            rich_help_panel=UNITS,
        ),
    ] = 1,
    tiles: Annotated[
        Any,
        typer.Option(
            metavar="ROWSxCOLUMNS",
            parser=grid_of_tiles,
            help="Rows and columns of the sheet.  [default: 10x10]",
            rich_help_panel=UNITS,
        ),
    ] = None,
    sort: Annotated[
        Order,
        typer.Option(
            help="Order of the units; a measure is that of the first run.", rich_help_panel=UNITS
        ),
    ] = "unit",
    units: Annotated[
        Any,
        typer.Option(
            metavar="I,J,…",
            parser=list_of_units,
            help="Draw only these units, large: one row per unit, one column per run.",
            rich_help_panel=UNITS,
        ),
    ] = None,
    scale: Annotated[
        Scale,
        typer.Option(
            help="One grey scale for all tiles, or one per tile, set by its largest weight.",
            rich_help_panel=PICTURE,
        ),
    ] = "shared",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=file,
            help="The picture: .png, .svg or .pdf.  [default: ./filters-RUN.png, or "
            "./filters-side-by-side.png of several runs]",
            rich_help_panel=PICTURE,
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_PIXELS,
            metavar="PIXELS",
            help="Width of the picture, such as 1920 for a slide; the tiles fill it.  "
            "[default: as wide as its tiles]",
            rich_help_panel=PICTURE,
        ),
    ] = None,
    theme: Annotated[
        Theme,
        typer.Option(
            help="Background of the page; the greys of the tiles do not change.",
            rich_help_panel=PICTURE,
        ),
    ] = "light",
    animate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=file,
            help="Retrain the first layer of one experiment and draw an animation (.gif).",
            rich_help_panel=PICTURE,
        ),
    ] = None,
    data_dir: DataDir = None,
    photos: Photos = None,
) -> None:
    """Tile i shows unit i in every sheet; mid grey is a weight of 0. Prints the picture's path.
    Only --animate reads data.
    """
    look: dict[str, Any] = {"scale": scale, "width": width, "theme": theme}
    if animate is not None:
        if len(sources) > 1 or units or layer != 1 or out is not None:
            raise typer.BadParameter(
                "needs exactly one source, and cannot be combined with --out, --units or --layer",
                param_hint="--animate",
            )
        check_suffix(animate, ANIMATIONS)
        _animate(sources[0], animate, tiles or TILES, DataOptions(data_dir, photos=photos), look)
        typer.echo(label(animate))
        return
    if units and (tiles or sort != "unit"):
        raise typer.BadParameter(
            "cannot be combined with --tiles or --sort",
            param_hint="--units",
        )
    rows, columns = tiles or TILES
    if out is not None:
        check_suffix(out, SUFFIXES)
    folders = [run_folder(source) for source in sources]
    layers = _layers(folders, layer)
    about = {
        "Title": f"filters of layer {layer}",
        "Runs": ", ".join(folder.name for folder in folders),
        "Grey scale": scale,
    }
    through = "" if layer == 1 else ": " + " ".join(f"W{k}" for k in range(layer, 0, -1))
    caption = f"layer {layer}, pretrained{through}"
    if units:
        sheet = zoom_sheet(layers, units, caption=caption, **look)
        about["Units"] = ", ".join(map(str, units))
    else:
        if sort != "unit":
            layers = _in_order(layers, sort)
            caption += f"; sorted by {_MEASURES[sort][0]}, largest first"
            caption += " in the first sheet" if len(layers) > 1 else ""
        sheet = filter_sheet(layers, (rows, columns), caption=caption, **look)
        about |= {"Tiles": f"{rows}x{columns}", "Sorted by": sort}
    stem = folders[0].resolve().name if len(folders) == 1 else "side-by-side"
    end = "" if layer == 1 else f"-layer{layer}"
    path = out or Path(f"{'zoom' if units else 'filters'}-{stem}{end}.png")
    sheet.save(path, about)
    typer.echo(label(path))


def _layers(folders: Sequence[Path], layer: int) -> list[Filters]:
    """Return a layer of each run, with distinct titles if the runs differ."""
    weights = [run_filters(folder, layer) for folder in folders]
    experiments = [as_pretrained(load_resolved(folder / CONFIG)) for folder in folders]
    titles = _titles(experiments)
    if len(set(titles)) < len(titles):
        titles = [folder.resolve().name for folder in folders]
    shown = zip(weights, experiments, titles, strict=True)
    return [as_shown(values, one.dataset, title) for values, one, title in shown]


def _titles(experiments: Sequence[PretrainedExperiment]) -> list[str]:
    """Return data and corruption of each run, and in what it differs from those with the same."""
    titles = [f"{one.dataset}, {describe_corruption(one)}" for one in experiments]
    distinct = list(titles)
    for title in set(titles):
        alike = [number for number, other in enumerate(titles) if other == title]
        settings = differing_settings([experiments[number] for number in alike], but=["dataset"])
        for number, own in zip(alike, settings, strict=True):
            values = (f"{key.rpartition('.')[2]} {value}" for key, value in own.items() if value)
            distinct[number] = ", ".join([title, *values])
    return distinct


def _in_order(layers: Sequence[Filters], sort: Order) -> list[Filters]:
    """Return the layers with units in the order of the first, so that tiles show the same unit."""
    if len({len(one.weights) for one in layers}) > 1:
        counts = ", ".join(str(len(one.weights)) for one in layers)
        raise ConfigError(
            f"--sort {sort}: the runs have different numbers of units ({counts}); draw each alone"
        )
    weights, (height, width, *colours) = finite(layers[0].weights), layers[0].image
    if colours and sort != "strength":  # shapes are those of the mean colour
        weights = weights.reshape(len(weights), -1, *colours).mean(axis=2)
    values = _MEASURES[sort][1](weights, (height, width))
    order = [int(unit) for unit in np.argsort(-values, kind="stable")]
    return [replace(one, order=order) for one in layers]


def _animate(
    source: str, path: Path, grid: tuple[int, int], options: DataOptions, look: Mapping[str, Any]
) -> None:
    """Retrain the first layer of an experiment or a run, and draw it at intervals.

    Args:
        look: further options of `filter_sheet`.

    Raises:
        ConfigError: the model is an SVM, or nothing is pretrained.
        DataError: the data are not available.
        RunFolderError: the run was trained on other data.
    """
    recorded = None
    # No error is counted, so unverified data do no harm.
    options = replace(options, accept_unverified=True)
    if ((folder := with_home(source)) / CONFIG).is_file():
        experiment = load_resolved(folder / CONFIG)
        recorded = read_status(folder)
        options = replace(options, origin=recorded.data_origin)
    else:
        experiment = resolve_experiment(source).experiment
    if isinstance(experiment, SvmExperiment):
        raise ConfigError(f"{source}: an SVM has no filters; pass a network")

    import torch

    from dae_cli.engines.engine import default_engine, engine_for
    from dae_cli.study.plan import prepare_any
    from dae_cli.study.run.pretraining import watch_learning
    from dae_cli.study.run.run import use_one_thread

    with progress_display() as display:
        use_one_thread()
        data = prepare_any(experiment.dataset, options, display)
        if recorded and recorded.data_sha256 != data.sha256:
            raise RunFolderError(
                f"{source}: trained on {experiment.dataset} with SHA-256 "
                f"{recorded.data_sha256[:12]}… ({recorded.data_source}), but the data here have "
                f"{data.sha256[:12]}… ({data.source}); pass the data of the run with "
                f"{'--photos' if experiment.dataset == PHOTOGRAPHS else '--data-dir'}"
            )
        cpu = torch.device("cpu")
        engine = engine_for(default_engine(cpu, display.note), cpu)
        display.note(f"retraining the first layer for up to {FRAMES} pictures")
        snapshots = watch_learning(experiment, data, engine, FRAMES)
    title = describe_corruption(experiment)
    layers = [as_shown(shot.weights, experiment.dataset, title) for shot in snapshots]
    # One limit for all frames, so that equal greys are equal weights.
    limit = common_limit([layer.weights[: grid[0] * grid[1]] for layer in layers])
    frames = [
        filter_sheet(
            [layer],
            grid,
            limit=limit,
            title=experiment.dataset,
            caption=f"{shot.presentations:,} examples presented",
            **look,
        ).image()
        for layer, shot in zip(layers, snapshots, strict=True)
    ]
    write_animation(frames, path, {"Experiment": source, "Engine": engine.name})
