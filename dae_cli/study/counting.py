"""Counting the errors of a finished run from its checkpoint, on any split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import (
    AnyExperiment,
    Experiment,
    FilterExperiment,
    PretrainedExperiment,
    SvmExperiment,
)
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Origin, Prepared, Split
from dae_cli.data.datasets import OwnDataset
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.engines.engine import Engine
from dae_cli.errors import DownloadError, RunFolderError
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.job import CHECKPOINT, CONFIG, FILTERS_CSV, PARTIAL
from dae_cli.study.run.record import Status, read_status
from dae_cli.study.run.run import use_one_thread
from dae_cli.study.verdict import half_width_95
from dae_cli.svm.files import load_svm
from dae_cli.svm.svm import Svm
from dae_cli.training import evaluation
from dae_cli.training.inputs import dataset_for
from dae_cli.training.state import TrainingState, expected_of, load_checkpoint


@dataclass(frozen=True)
class Evaluation:
    """The errors of one run on one split."""

    run: str
    cell: str
    dataset: str
    data_origin: str
    trust: str
    split: str
    n_rows: int
    n_wrong: int
    error_percent: float
    half_width_95: float


def evaluate_run(
    folder: Path,
    split: Literal["test", "valid", "train"],
    data_dir: Path | None,
    note: Callable[[str], None],
) -> Evaluation:
    """Count the wrong rows of a split with the run's best parameters.

    An SVM is trained on training and validation rows together, so that on those its errors say
    nothing of rows that it has not seen.

    Raises:
        RunFolderError: not a finished run, damaged, or trained on other data than there is now.
    """
    folder, status, experiment = finished_run(folder)
    if isinstance(experiment, FilterExperiment):
        raise RunFolderError(
            f"{folder}: was trained for its filters, without labels: there are no errors to count; "
            f"what the filters look like is in its {FILTERS_CSV}"
        )
    sha256, origin = status.data_sha256, status.data_origin
    data = recorded_data(folder, experiment.dataset, sha256, origin, data_dir, note)
    use_one_thread()
    dataset = dataset_for(experiment, load(data))
    model = load_model(folder, experiment, data.sha256, dataset)
    rows = dataset.splits[split]
    wrong = int(wrong_rows(model, rows, engine_for_counting(folder)).sum())
    return Evaluation(
        run=folder.absolute().name,
        cell=status.cell,
        dataset=experiment.dataset,
        data_origin=data.origin,
        trust=status.trust,
        split=split,
        n_rows=len(rows),
        n_wrong=wrong,
        error_percent=100.0 * wrong / len(rows),
        half_width_95=half_width_95(wrong, len(rows)),
    )


def finished_run(folder: Path) -> tuple[Path, Status, AnyExperiment]:
    """Return the folder of a finished run, also where its rename is lacking, and what it records.

    Raises:
        RunFolderError: not a finished run, or damaged.
    """
    if not folder.exists() and (partial := folder.with_name(folder.name + PARTIAL)).exists():
        folder = partial
    status = read_status(folder)
    if status.state != "done":
        raise RunFolderError(
            f"{folder}: the run is not finished; go on with dae train or dae replicate"
        )
    return folder, status, load_resolved(folder / CONFIG)


def load_model(
    folder: Path, experiment: Experiment | SvmExperiment, data_sha256: str, dataset: Dataset
) -> TrainingState | Svm:
    """Read the checkpoint of a run of these settings and data.

    Raises:
        RunFolderError: it is missing, damaged, of another run, or has no fine-tuned network.
    """
    if isinstance(experiment, SvmExperiment):
        return load_svm(folder / CHECKPOINT, experiment, data_sha256, dataset)
    return load_network(folder, experiment, data_sha256)


def load_network(folder: Path, experiment: PretrainedExperiment, data_sha256: str) -> TrainingState:
    """Read the checkpoint of a finished run of these settings and data.

    Raises:
        RunFolderError: it is missing, damaged, of another run, or has no fine-tuned network.
    """
    path = folder / CHECKPOINT
    state = load_checkpoint(path, expected_of(experiment, data_sha256))
    if state.best is None and not isinstance(experiment, FilterExperiment):
        raise RunFolderError(f"{path}: has no fine-tuned network")
    return state


def wrong_rows(model: TrainingState | Svm, split: Split, engine: Engine) -> NDArray[np.bool_]:
    """Return which rows of a split are classified wrongly; an SVM needs no engine."""
    if isinstance(model, Svm):
        return model.wrong_rows(split)
    assert model.best is not None
    return evaluation.wrong_rows(model.best, split, engine)


def recorded_data(
    folder: Path,
    name: str,
    sha256: str,
    origin: Origin,
    data_dir: Path | None,
    note: Callable[[str], None],
) -> Prepared:
    """Return the data set that a run was trained on.

    Raises:
        RunFolderError: what there is now has another digest.
    """
    # Whatever was accepted then: the digest says whether this is the same.
    try:
        data = prepare(name, DataOptions(data_dir, origin, accept_unverified=True), note)
    except DownloadError as error:
        raise DownloadError(
            f"{folder}: was trained on {name} with SHA-256 {sha256[:12]}…, which is not here; give "
            f"its data with --data-dir\n  {error}"
        ) from error
    if data.sha256 != sha256:
        raise RunFolderError(
            f"{folder}: was trained on {name} with SHA-256 {sha256[:12]}…, "
            f"but here is {data.sha256[:12]}… ({data.source}); {_remedy(name)}"
        )
    return data


def _remedy(name: str) -> str:
    if isinstance(name, OwnDataset):
        return f"put back the files that {name.path} declared then"
    return "give its data with --data-dir"
