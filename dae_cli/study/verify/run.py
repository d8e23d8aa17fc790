"""One run against its row: its folder's files, and its errors counted again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import AnyExperiment, Experiment, FilterExperiment, SvmExperiment
from dae_cli.config.study_schema import Reference
from dae_cli.csvfile import column_texts
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Origin, Prepared
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.study.results_folder import RUNS_CSV
from dae_cli.study.rows import RunRow
from dae_cli.study.run.checkpoints import expected_of, metrics_csv
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.evaluate import recorded_data
from dae_cli.study.run.job import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    METRICS,
    RUNS,
    STATUS,
    WRONG_ROWS,
    Job,
    config_sha256,
    run_name,
)
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.record import Status, done_row, read_environment, read_status, trust_of
from dae_cli.study.run.run import dataset_for
from dae_cli.study.verify.differences import Findings, text_of
from dae_cli.study.verify.of_filters import check_filters
from dae_cli.study.verify.svm import check_svm
from dae_cli.study.verify.wrong_rows import compare_result, compare_wrong_rows
from dae_cli.training.checkpoint import load_checkpoint
from dae_cli.training.evaluation import count_wrong, wrong_rows
from dae_cli.training.state import TrainingState
from dae_cli.training.version import NUMERICS_VERSION


class Contents:
    """What runs were trained on; the last is kept, as the runs of one set come together."""

    def __init__(self, data_dir: Path | None, note: Callable[[str], None]) -> None:
        self._data_dir, self._note = data_dir, note
        self._key: tuple[str, str, Origin] | None = None
        self._kept: Dataset | DaeError | None = None

    def of(
        self, folder: Path, experiment: Experiment | SvmExperiment, sha256: str, origin: Origin
    ) -> Dataset:
        """Return the rows that a run used.

        Raises:
            DaeError: they cannot be had, or what is here has another digest.
        """
        key = (experiment.dataset, sha256, origin)
        if key != self._key:
            self._key, self._kept = key, self._obtained(folder, *key)
        if isinstance(self._kept, Dataset):
            return dataset_for(experiment, self._kept)
        raise self._kept or DaeError(f"{experiment.dataset}: cannot be had")

    def _obtained(self, folder: Path, name: str, sha256: str, origin: Origin) -> Dataset | DaeError:
        try:
            return load(recorded_data(folder, name, sha256, origin, self._data_dir, self._note))
        except DaeError as error:  # the other runs of this set need not try again
            return error


def check_run(
    row: RunRow,
    wanted: AnyExperiment | None,
    out: Path,
    contents: Contents,
    found: Findings,
    reference: Reference = "destruction",
) -> bool:
    """Compare a done run with its row, and return whether its errors were counted again.

    Args:
        row: of runs.csv.
        wanted: the experiment of its cell and seed as the study has it now; None: no such cell.
        out: the folder of the results.
        contents: the data.
        found: receives what differs.
        reference: which of the paper's numbers the study compares with.
    """
    folder, place = out / RUNS / row.run, f"{RUNS}/{row.run}"
    status: Status | None = None
    env: Environment | None = None
    config: AnyExperiment | None = None
    state: TrainingState | None = None
    with found.going_on(f"{place}/{STATUS}"):
        status = read_status(folder)
        found.compare(f"{place}/{STATUS}", "state", status.state, "done")
    with found.going_on(f"{place}/{ENVIRONMENT}"):
        env = read_environment(folder)
    with found.going_on(f"{place}/{CONFIG}"):
        config = load_resolved(folder / CONFIG)
        _compare_settings(place, config, wanted, found)
    if config is None:
        return False
    if status and env and (status.n_test is not None or isinstance(config, FilterExperiment)):
        with found.going_on(place):
            renamed = wanted is not None and config_sha256(wanted) == config_sha256(config)
            cell = row.cell if renamed else status.cell
            _compare_row(row, cell, config, status, env, folder, found, reference)
    sha256 = status.data_sha256 if status else row.data_sha256
    origin = status.data_origin if status else _origin(row)
    if isinstance(config, SvmExperiment):
        counted = False
        with found.going_on(place):
            dataset = contents.of(folder, config, sha256, origin)
            counted = check_svm(row, config, status, env, dataset, folder, found)
        return counted
    with found.going_on(f"{place}/{CHECKPOINT}"):
        state = load_checkpoint(folder / CHECKPOINT, expected_of(config, sha256))
    if state is None:
        return False
    with found.going_on(f"{place}/{METRICS}"):
        kept = text_of(folder / METRICS)
        found.compare_lines(f"{place}/{METRICS}", "", kept, metrics_csv(state.history))
    if isinstance(config, FilterExperiment):
        return check_filters(place, folder, state, found)
    counted = False
    with found.going_on(place):
        dataset = contents.of(folder, config, sha256, origin)
        _count_again(row, status, state, dataset, folder, found)
        counted = True
    return counted


def _compare_settings(
    place: str, config: AnyExperiment, wanted: AnyExperiment | None, found: Findings
) -> None:
    """The settings of the folder, against the study's."""
    if wanted is None:
        return
    kept, now = flat_settings(config), flat_settings(wanted)
    for name in dict.fromkeys([*kept, *now]):
        found.compare(f"{place}/{CONFIG}", name, kept.get(name), now.get(name))


def _compare_row(
    row: RunRow,
    cell: str,
    config: AnyExperiment,
    status: Status,
    env: Environment,
    folder: Path,
    found: Findings,
    reference: Reference,
) -> None:
    """The folder's name against its digest, and every column against the folder's files.

    A run keeps the name that its cell had when it was made; `cell` is the one that it has now.
    """
    name = run_name(config, status.data_sha256, env.numerics)
    found.compare(f"{RUNS}/{row.run}", "name of the folder", row.run, name)
    sha256, trust = status.data_sha256, trust_of(status, config.dataset)
    had = Prepared(config.dataset, folder, status.data_origin, sha256, status.data_source, trust)
    job = Job(cell, config, had, folder, reference=reference)
    made = column_texts(done_row(job, status, env))
    for column, value in column_texts(row).items():
        found.compare(RUNS_CSV, f"{row.run}: {column}", value, made[column])


def _count_again(
    row: RunRow,
    status: Status | None,
    state: TrainingState,
    dataset: Dataset,
    folder: Path,
    found: Findings,
) -> None:
    """The errors of the kept network, against every place that tells them."""
    if state.best is None:
        raise RunFolderError("its checkpoint has no fine-tuned network")
    engine = engine_for_counting(folder)
    here = (engine.name, engine.device.type, NUMERICS_VERSION)
    own = (row.engine, row.device, row.numerics) == here
    how = "" if own else " (counted with {} on {}, numerics {})".format(*here)
    mask = wrong_rows(state.best, dataset.test, engine)
    wrong = int(mask.sum())
    invalid = count_wrong(state.best, dataset.valid, engine)
    percent = f"{100.0 * invalid / len(dataset.valid):.2f}"
    again: dict[str, object] = {
        "n_test": len(dataset.test),
        "n_wrong": wrong,
        "valid_error_percent": percent,
        "best_epoch": state.best_epoch,
        "epochs": state.epoch,
    }
    compare_result(row, status, again, found, how)
    with found.going_on(f"{RUNS}/{row.run}/{WRONG_ROWS}"):
        compare_wrong_rows(row, mask, folder, found, how)
    place = f"{RUNS}/{row.run}/{CHECKPOINT}"
    found.compare(place, "best_wrong", state.best_wrong, invalid, how)
    best = [r for r in state.history if (r.phase, r.epoch) == ("finetune", state.best_epoch)]
    told = best[0].valid_wrong if len(best) == 1 else None
    found.compare(place, f"valid_wrong of epoch {state.best_epoch}", told, invalid, how)


def _origin(row: RunRow) -> Origin:
    return "original" if row.data_origin == "original" else "regenerated"
