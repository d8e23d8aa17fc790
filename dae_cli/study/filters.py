"""The filters of runs: what the pictures are drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from dae_cli.config.experiments import ResolvedExperiment, load_resolved
from dae_cli.config.schema import AnyExperiment
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.records import Status, read_record
from dae_cli.study.run_folder import CHECKPOINT, CONFIG, PARTIAL, STATUS, default_runs


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


def finished_run(resolved: ResolvedExperiment, out: Path | None = None) -> Path:
    """Return the newest finished run of an experiment, whatever data it was trained on.

    Raises:
        RunFolderError: there is none.
    """
    runs = out or default_runs(resolved)
    found = [f for f in sorted(runs.glob("*/")) if _is_run_of(f, resolved.experiment)]
    if not found:
        raise RunFolderError(
            f"{resolved.name}: no finished run in {runs}; train it with dae train {resolved.name}"
        )
    return max(found, key=lambda folder: (folder / CHECKPOINT).stat().st_mtime)


def _is_run_of(folder: Path, experiment: AnyExperiment) -> bool:
    try:
        done = (
            read_record(folder / STATUS, Status).state == "done" and (folder / CHECKPOINT).exists()
        )
        return done and load_resolved(folder / CONFIG) == experiment
    except (RunFolderError, ConfigError, OSError):
        return False
