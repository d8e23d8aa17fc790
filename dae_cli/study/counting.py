"""Count the errors of a finished run from its checkpoint, on any split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import (
    AnyExperiment,
    Experiment,
    FilterExperiment,
    PretrainedExperiment,
    SvmExperiment,
)
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Prepared
from dae_cli.data.datasets import OwnDataset
from dae_cli.data.sources import DataOptions, prepare
from dae_cli.errors import DaeError, DownloadError, RunFolderError
from dae_cli.study.paper import half_width_95
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.job import CHECKPOINT, CONFIG, FILTERS_CSV, PARTIAL
from dae_cli.study.run.record import Status, read_status
from dae_cli.study.run.run import use_one_thread
from dae_cli.svm.files import load_svm
from dae_cli.training.evaluation import count_wrong
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
    experiment: AnyExperiment


def evaluate_run(
    folder: Path, split: Literal["test", "valid", "train"], data: RecordedData
) -> Evaluation:
    """Count the wrong rows of a split with the run's best parameters.

    An SVM is trained on the training and validation rows, so only its test errors show how it
    does on unseen rows.

    Raises RunFolderError: the run is unfinished or damaged, or was trained on other data.
    """
    folder, status, experiment = finished_run(folder)
    if isinstance(experiment, FilterExperiment):
        raise RunFolderError(
            f"{folder}: was trained for its filters, without labels, so it has no errors "
            f"to count; see the measures of its filters in its {FILTERS_CSV}"
        )
    use_one_thread()
    dataset = data.dataset_for(folder, experiment, status)
    rows = dataset.splits[split]
    if isinstance(experiment, SvmExperiment):
        path = folder / CHECKPOINT
        wrong = load_svm(path, experiment, status.data_sha256, dataset).wrong_rows(rows).sum()
    else:
        network = load_network(folder, experiment, status.data_sha256).best
        assert network is not None
        wrong = count_wrong(network, rows, engine_for_counting(folder))
    n_wrong, n_rows = int(wrong), len(rows)
    return Evaluation(
        run=folder.absolute().name,
        cell=status.cell,
        dataset=experiment.dataset,
        data_origin=status.data_origin,
        trust=status.trust,
        split=split,
        n_rows=n_rows,
        n_wrong=n_wrong,
        error_percent=round(100.0 * n_wrong / n_rows, 2),
        half_width_95=round(half_width_95(n_wrong, n_rows), 2),
        experiment=experiment,
    )


def finished_run(folder: Path) -> tuple[Path, Status, AnyExperiment]:
    """Return the folder of a finished run and what it records.

    A run that was killed just before its folder was renamed counts as finished. Raises
    RunFolderError: the run is unfinished or damaged.
    """
    if not folder.exists() and (partial := folder.with_name(folder.name + PARTIAL)).exists():
        folder = partial
    status = read_status(folder)
    if status.state != "done":
        raise RunFolderError(f"{folder}: not finished; resume it with dae train or dae replicate")
    return folder, status, load_resolved(folder / CONFIG)


def load_network(folder: Path, experiment: PretrainedExperiment, data_sha256: str) -> TrainingState:
    """Read the checkpoint of a finished run with these settings and data.

    Raises RunFolderError: it is missing, damaged, from another run, or has no fine-tuned network.
    """
    path = folder / CHECKPOINT
    state = load_checkpoint(path, expected_of(experiment, data_sha256))
    if state.best is None and not isinstance(experiment, FilterExperiment):
        raise RunFolderError(f"{path}: this checkpoint has no fine-tuned network")
    return state


class RecordedData:
    """The data that runs were trained on. Keeps the last set, which the next runs often share."""

    def __init__(self, data_dir: Path | None, note: Callable[[str], None]) -> None:
        self._data_dir, self._note = data_dir, note
        self._key: tuple[str, ...] = ()
        self._dataset: Dataset | DaeError = DaeError()

    def dataset_for(
        self, folder: Path, experiment: Experiment | SvmExperiment, status: Status
    ) -> Dataset:
        """Return the rows that the run in a folder used; raises like `recorded_data`."""
        key = (experiment.dataset, status.data_sha256, status.data_origin)
        if key != self._key:
            self._key = key
            try:
                self._dataset = load(recorded_data(key[0], status, self._data_dir, self._note))
            except DaeError as error:  # raised again for the other runs of this set
                self._dataset = error
        if isinstance(self._dataset, DaeError):
            kind = RunFolderError if self._dataset.exit_code == 2 else DownloadError
            raise kind(f"{folder}: {self._dataset}") from self._dataset
        return dataset_for(experiment, self._dataset)


def recorded_data(
    name: str, status: Status, data_dir: Path | None, note: Callable[[str], None]
) -> Prepared:
    """Return the data set that a run was trained on.

    Raises DownloadError: it is not available; RunFolderError: the available one differs.
    """
    wanted = f"the run was trained on {name} with SHA-256 {status.data_sha256[:12]}…"
    # Unverified data are accepted because the digest is compared below.
    remedy = "pass the data of the run with --data-dir"
    options = DataOptions(data_dir, status.data_origin, accept_unverified=True)
    try:
        data = prepare(name, options, note)
    except DownloadError as error:
        raise DownloadError(f"{wanted}, which is not available; {remedy}\n  {error}") from error
    if data.sha256 != status.data_sha256:
        if isinstance(name, OwnDataset):
            remedy = f"restore the files that {name.path} declared at that time"
        now = f"{data.sha256[:12]}… ({data.source})"
        raise RunFolderError(f"{wanted}, but the data here have {now}; {remedy}")
    return data
