"""The filters of runs: what the pictures are drawn from, and the sheet of one run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from dae_cli.data.datasets import known_spec
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.figures.filters import Filters, filter_sheet
from dae_cli.figures.greys import square_image, upright
from dae_cli.study.run.folder import CHECKPOINT, PARTIAL, RUN_FILTERS

TILES = (10, 10)
"""Rows and columns of a sheet: its first filters are shown."""


def run_filters(folder: Path, layer: int = 1) -> NDArray[np.float32]:
    """Return the pretrained filters of a run that is done or has a checkpoint.

    Layer 1 gives the rows of W, as in ICML 2008, Fig. 3: pretrained, not fine-tuned. Higher
    layers see no pixels; they are shown as what they weigh the filters below with, the product
    of the weights down to the pixels.

    Returns:
        (units, inputs) float32.

    Raises:
        RunFolderError: an SVM, or no readable checkpoint. ConfigError: there is no such layer.
    """
    if not folder.exists():
        folder = folder.with_name(folder.name + PARTIAL)
    path = folder / CHECKPOINT
    if not path.exists():
        raise RunFolderError(f"{path.parent}: no checkpoint here; give the folder of a run")
    try:
        with safe_open(path, framework="numpy") as file:
            depth = sum(n.startswith("pretrained.") and n.endswith(".weight") for n in file.keys())  # noqa: SIM118
            if depth == 0 and "support" in file.keys():  # noqa: SIM118
                raise RunFolderError(f"{folder}: an SVM has no filters; give the runs of networks")
            if not 1 <= layer <= depth:
                raise ConfigError(f"--layer {layer}: the run has layers 1 to {depth}")
            filters = file.get_tensor("pretrained.1.weight")
            for k in range(2, layer + 1):
                filters = file.get_tensor(f"pretrained.{k}.weight") @ filters
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"{path}: not a readable checkpoint ({error})") from error
    return np.ascontiguousarray(filters, dtype=np.float32)


def as_shown(weights: NDArray[np.float32], dataset: str, title: str = "") -> Filters:
    """Return filters of a data set's images, or of patches, turned as the images are looked at.

    Raises:
        ConfigError: they are of other images, or of patches that are not square.
    """
    spec, inputs = known_spec(dataset), weights.shape[1]
    if spec is None:
        return Filters(weights, square_image(inputs), title)
    if inputs != spec.n_pixels:
        pixels = " x ".join(map(str, spec.image))
        raise ConfigError(f"filters of {inputs} inputs: {dataset} has {pixels} pixels")
    turned = upright(weights, spec.image) if spec.stored_transposed else weights
    if spec.channels > 1:
        pixels = turned.reshape(-1, *spec.image, spec.channels)
        turned = np.ascontiguousarray(pixels.transpose(0, 1, 3, 2)).reshape(weights.shape)
    return Filters(turned, spec.tile, title)


def first_filters(folder: Path, dataset: str) -> Filters:
    """Return the filters that are shown of a run."""
    filters = as_shown(run_filters(folder), dataset)
    return replace(filters, weights=filters.weights[: TILES[0] * TILES[1]])


def save_run_filters(folder: Path, dataset: str, title: str) -> None:
    """Save filters.png of one run, on a grey scale of its own."""
    filters = first_filters(folder, dataset)
    shape = tiles_for(len(filters.weights))
    sheet = filter_sheet([filters], shape, title=title, caption="Rows of W after pretraining.")
    sheet.save(folder / RUN_FILTERS, {"Title": title})


def tiles_for(units: int) -> tuple[int, int]:
    """Return (rows, columns) for so many units, at most TILES, that show so many."""
    return min(TILES[0], math.ceil(units / TILES[1])), TILES[1]
