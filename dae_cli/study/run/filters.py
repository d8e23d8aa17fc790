"""The filters of runs: reading, measuring and drawing them, and the title of a run's sheet."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from dae_cli.config.schema import CORRUPTIONS, PretrainedExperiment
from dae_cli.data.datasets import is_drawn, known_spec
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.figures.filters import Filters, filter_sheet
from dae_cli.figures.greys import square_image, upright
from dae_cli.filters.measures import UnitMeasures, measure, without_shape
from dae_cli.filters.tiles import SMALLEST_SIDE
from dae_cli.study.run.job import CHECKPOINT, PARTIAL, RUN_FILTERS

TILES = (10, 10)
"""Rows and columns of a sheet, which shows the first filters of a layer."""


def run_filters(folder: Path, layer: int = 1) -> NDArray[np.float32]:
    """Return the pretrained filters, (units, inputs), of a finished run or one with a checkpoint.

    Layer 1 gives the rows of W after pretraining, before fine-tuning (ICML 2008, Fig. 3). A higher
    layer is not connected to pixels; its filters are the product of the weights down to the pixels.

    Raises:
        RunFolderError: the run is of an SVM, or its checkpoint is missing or unreadable.
        ConfigError: there is no such layer.
    """
    if not folder.exists():
        folder = folder.with_name(folder.name + PARTIAL)
    path = folder / CHECKPOINT
    if not path.exists():
        raise RunFolderError(f"{path.parent}: no {CHECKPOINT} here; pass the folder of a run")
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            depth = sum(n.startswith("pretrained.") and n.endswith(".weight") for n in names)
            if depth == 0 and "support" in names:
                raise RunFolderError(f"{folder}: an SVM has no filters; pass a network")
            if not 1 <= layer <= depth:
                raise ConfigError(f"--layer {layer}: this run has layers 1 to {depth}")
            filters = file.get_tensor("pretrained.1.weight")
            for k in range(2, layer + 1):
                filters = file.get_tensor(f"pretrained.{k}.weight") @ filters
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from error
    return np.ascontiguousarray(filters, dtype=np.float32)


def as_shown(weights: NDArray[np.float32], dataset: str, title: str = "") -> Filters:
    """Return filters of a data set's images, or of patches, turned upright like the images.

    Raises:
        ConfigError: the number of inputs does not match the images, or the patches are not square.
    """
    spec, inputs = known_spec(dataset), weights.shape[1]
    if spec is None:
        return Filters(weights, square_image(inputs), title)
    if inputs != spec.n_pixels:
        pixels = " x ".join(map(str, spec.image))
        raise ConfigError(f"the filters have {inputs} inputs, but {dataset} has {pixels} pixels")
    if not spec.is_image:
        raise ConfigError(
            f"{dataset}: the rows are not declared as images, so filters cannot be drawn; if they "
            "are images, declare image: [height, width]"
        )
    turned = upright(weights, spec.image) if spec.stored_transposed else weights
    return Filters(turned, spec.tile, title)


def measures_of(weights: NDArray[np.float32], dataset: str) -> list[UnitMeasures]:
    """Measure filters, (units, inputs), averaged over colours; tiny images have no shape fits."""
    if (spec := known_spec(dataset)) is None:
        return measure(weights)
    if min(spec.image) < SMALLEST_SIDE:
        return [without_shape(unit, row) for unit, row in enumerate(weights)]
    greys = weights.reshape(len(weights), -1, spec.channels).mean(axis=2)
    return measure(greys if spec.channels > 1 else weights, spec.image)


def first_filters(folder: Path, dataset: str) -> Filters:
    filters = as_shown(run_filters(folder), dataset)
    return replace(filters, weights=filters.weights[: TILES[0] * TILES[1]])


def save_run_filters(folder: Path, dataset: str, title: str) -> None:
    """Save filters.png of one run, with its own grey scale, if its data are images."""
    if not is_drawn(dataset):
        return
    filters = first_filters(folder, dataset)
    shape = tiles_for(len(filters.weights))
    sheet = filter_sheet(
        [filters], shape, title=title, caption="First-layer weights after pretraining."
    )
    sheet.save(folder / RUN_FILTERS, {"Title": title})


def tiles_for(units: int) -> tuple[int, int]:
    """Return the (rows, columns) of a sheet of this many units, at most TILES."""
    return min(TILES[0], math.ceil(units / TILES[1])), TILES[1]


def describe_corruption(experiment: PretrainedExperiment) -> str:
    """Return `25 % destroyed`, `Gaussian noise, σ 0.5`, `weight decay 0.001`, `no corruption`.

    `not pretrained` if there are no epochs of pretraining.
    """
    pretrain, corruption = experiment.pretrain, experiment.corruption
    if pretrain.epochs == 0:
        return "not pretrained"
    penalties = []
    if pretrain.weight_decay:
        penalties.append(f"weight decay {pretrain.weight_decay:g}")
    if pretrain.contraction:
        penalties.append(f"contraction {pretrain.contraction:g}")
    kind = CORRUPTIONS[corruption.kind]
    level = corruption.sigma if kind.level == "sigma" else 100 * corruption.destruction
    noise = [kind.words.format(level)] if level else []
    return ", ".join([*noise, *penalties]) or "no corruption"
