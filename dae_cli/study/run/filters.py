"""The filters of runs: what the pictures are drawn from, and the sheet of one run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from dae_cli.data.datasets import DATASETS
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.pictures.filters import common_limit, filter_sheet, save_png, upright
from dae_cli.study.run.folder import CHECKPOINT, PARTIAL, RUN_FILTERS

TILES = (10, 10)
"""Rows and columns of a sheet: its first filters are shown."""


def run_filters(folder: Path, layer: int = 1) -> NDArray[np.float32]:
    """Return the pretrained filters of a run that is done or has a checkpoint.

    Layer 1 gives the rows of W, as in ICML 2008, Fig. 3: pretrained, not fine-tuned. Higher
    layers see no pixels; they are shown as what they weigh the filters below with, the product
    of the weights down to the pixels.

    Returns:
        (units, 784) float32.

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


def first_filters(folder: Path, dataset: str) -> NDArray[np.float32]:
    """Return the filters that are shown of a run, turned as the images are looked at."""
    weights = run_filters(folder)[: TILES[0] * TILES[1]]
    spec = DATASETS.get(dataset)
    return upright(weights) if spec and spec.stored_transposed else weights


def draw_run_filters(folder: Path, dataset: str, title: str) -> None:
    """Draw filters.png of one run, on a grey scale of its own."""
    weights = first_filters(folder, dataset)
    sheet = filter_sheet(
        weights,
        limit=common_limit([weights]),
        tiles=tiles_of(len(weights)),
        title=title,
        caption="Rows of W after pretraining.",
    )
    save_png(sheet, folder / RUN_FILTERS, {"Title": title})


def tiles_of(units: int) -> tuple[int, int]:
    """Return (rows, columns) for so many units, at most TILES, that show so many."""
    return min(TILES[0], math.ceil(units / TILES[1])), TILES[1]
