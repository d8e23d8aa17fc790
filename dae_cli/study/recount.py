"""One run counted again from its checkpoint, and its files compared with what comes out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import AnyExperiment, Experiment, FilterExperiment, SvmExperiment
from dae_cli.config.study_schema import Reference
from dae_cli.csvfile import column_texts, rows_to_csv
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset, Origin, Prepared
from dae_cli.errors import DaeError
from dae_cli.files import write_text
from dae_cli.filters.measures import UnitMeasures
from dae_cli.machine import cpu_name
from dae_cli.study.counting import load_network, recorded_data, wrong_rows
from dae_cli.study.findings import Findings, text_of
from dae_cli.study.rows import RUNS_CSV, RunRow
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.filters import measures_of
from dae_cli.study.run.job import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    FILTERS_CSV,
    METRICS,
    RUNS,
    STATUS,
    TRIALS,
    WRONG_ROWS,
    Job,
    config_sha256,
    run_name,
)
from dae_cli.study.run.record import (
    MEASURED,
    done_row,
    read_environment,
    read_status,
)
from dae_cli.study.run.svm import replayed, selected_parameters
from dae_cli.study.run.wrong_rows import load_wrong_rows, remark_on, save_wrong_rows
from dae_cli.svm.files import load_svm, read_trials
from dae_cli.svm.selection import SvmTrials, Trial, best_of
from dae_cli.training.inputs import dataset_for
from dae_cli.training.state import TrainingState, metrics_csv
from dae_cli.training.version import NUMERICS_VERSION


class DataOfRuns:
    """The data that runs were trained on; the last set is cached, as its runs come together."""

    def __init__(self, data_dir: Path | None, note: Callable[[str], None]) -> None:
        self._data_dir, self._note = data_dir, note
        self._key: tuple[str, str, Origin] | None = None
        self._dataset: Dataset | DaeError = DaeError("no run has asked for data")

    def dataset_for(
        self, folder: Path, experiment: Experiment | SvmExperiment, sha256: str, origin: Origin
    ) -> Dataset:
        """Return the rows that the run in a folder used.

        Raises:
            DaeError: they cannot be had, or what is here has another digest.
        """
        key = (experiment.dataset, sha256, origin)
        if key != self._key:
            self._key = key
            try:
                self._dataset = load(recorded_data(folder, *key, self._data_dir, self._note))
            except DaeError as error:  # the other runs of this set need not try again
                self._dataset = error
        if isinstance(self._dataset, DaeError):
            raise self._dataset
        return dataset_for(experiment, self._dataset)


@dataclass(frozen=True)
class _Counted:
    """What the checkpoint of a run comes to."""

    wrong: NDArray[np.bool_] | None = None
    """For each test row, whether it is wrong; None of a run without labels."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Columns of runs.csv that were computed again; the result in status.json has them as well."""
    how: str = ""
    """How they were computed, if not as in the run."""


class Recount:
    """One run whose folder is here: counted again, and its files written again elsewhere."""

    def __init__(
        self,
        row: RunRow,
        wanted: AnyExperiment | None,
        folder: Path,
        again: Path,
        findings: Findings,
    ) -> None:
        """Read what the folder says of the run, and compare its settings with the study's.

        Args:
            row: of runs.csv.
            wanted: the experiment of its cell and seed as the study has it; None: no such cell.
            folder: of the run.
            again: where its files are written again.
            findings: receives what differs.
        """
        self._row, self._folder, self._again, self._findings = row, folder, again, findings
        self._place = f"{RUNS}/{row.run}"
        self._status = findings.attempt(f"{self._place}/{STATUS}", read_status, folder)
        self._env = findings.attempt(f"{self._place}/{ENVIRONMENT}", read_environment, folder)
        self._config = findings.attempt(f"{self._place}/{CONFIG}", load_resolved, folder / CONFIG)
        self._cell = row.cell
        if self._status is not None:
            findings.compare(f"{self._place}/{STATUS}", "state", self._status.state, "done")
            self._cell = self._status.cell
        if self._config is not None and wanted is not None:
            has, now = flat_settings(self._config), flat_settings(wanted)
            for name in dict.fromkeys([*has, *now]):
                findings.compare(f"{self._place}/{CONFIG}", name, has.get(name), now.get(name))
            if config_sha256(wanted) == config_sha256(self._config):
                self._cell = row.cell  # which may have another name since the run was made

    def row(self, data: DataOfRuns, reference: Reference) -> tuple[RunRow, bool]:
        """Return the row that the run comes to, and whether its errors were counted again."""
        config = self._config
        if config is None:
            return self._row, False
        self._again.mkdir(parents=True)
        counted = self._findings.attempt(self._place, self._counted, config, data)
        if counted is not None and counted.wrong is not None:
            self._compare_wrong_rows(counted.wrong, counted.how)
        elif (self._folder / WRONG_ROWS).is_file():
            self._link(WRONG_ROWS)
        again = self._findings.attempt(
            self._place, self._row_again, config, counted or _Counted(), reference
        )
        return again or self._row, counted is not None

    def _counted(self, config: AnyExperiment, data: DataOfRuns) -> _Counted | None:
        sha256 = self._row.data_sha256
        origin: Origin = "original" if self._row.data_origin == "original" else "regenerated"
        if self._status:
            sha256, origin = self._status.data_sha256, self._status.data_origin
        if isinstance(config, SvmExperiment):
            dataset = data.dataset_for(self._folder, config, sha256, origin)
            return self._counted_svm(config, sha256, dataset)
        state = self._findings.attempt(
            f"{self._place}/{CHECKPOINT}",
            load_network,
            self._folder,
            config,
            sha256,
        )
        if state is None:
            return None
        self._link(CHECKPOINT)
        self._compare_file(METRICS, metrics_csv(state.history))
        if isinstance(config, FilterExperiment):
            units = measures_of(state.layers[0].weight.numpy(), config.dataset)
            is_there = self._compare_file(FILTERS_CSV, rows_to_csv(units, UnitMeasures))
            return _Counted() if is_there else None
        return self._counted_network(state, data.dataset_for(self._folder, config, sha256, origin))

    def _counted_network(self, state: TrainingState, dataset: Dataset) -> _Counted:
        """Count the errors of the best network on the test and the validation rows."""
        engine = engine_for_counting(self._folder)
        here = (engine.name, engine.device.type, NUMERICS_VERSION)
        is_as_in_run = (self._row.engine, self._row.device, self._row.numerics) == here
        how = "" if is_as_in_run else " (counted with {} on {}, numerics {})".format(*here)
        invalid = int(wrong_rows(state, dataset.valid, engine).sum())
        place = f"{self._place}/{CHECKPOINT}"
        self._findings.compare(place, "best_wrong", state.best_wrong, invalid, how)
        best = [r for r in state.history if (r.phase, r.epoch) == ("finetune", state.best_epoch)]
        recorded = best[0].valid_wrong if len(best) == 1 else None
        what = f"valid_wrong of epoch {state.best_epoch}"
        self._findings.compare(place, what, recorded, invalid, how)
        columns: dict[str, Any] = {
            "valid_error_percent": 100.0 * invalid / len(dataset.valid),
            "best_epoch": state.best_epoch,
            "epochs": state.epoch,
        }
        wrong = wrong_rows(state, dataset.test, engine)
        if self._row.remark:  # rows of earlier versions have none
            columns["remark"] = remark_on(wrong, dataset.test.labels)
        return _Counted(wrong, columns, how)

    def _counted_svm(
        self, experiment: SvmExperiment, sha256: str, dataset: Dataset
    ) -> _Counted | None:
        """Go through the trials of an SVM again, and count the errors of the machine.

        The trials must be those that the search makes, in its order, and the best of them the
        machine of the checkpoint. On the processor that made the run, the best trial is trained
        again as well, on the training rows alone.
        """
        findings, folder = self._findings, self._folder
        trials_csv, checkpoint = f"{self._place}/{TRIALS}", f"{self._place}/{CHECKPOINT}"
        columns: dict[str, Any] = {}
        best = None
        if selection := findings.attempt(trials_csv, self._best_trial, experiment, dataset):
            best, columns["trials"] = selection
            columns["valid_error_percent"] = best.valid_error_percent
        svm = findings.attempt(
            checkpoint, load_svm, folder / CHECKPOINT, experiment, sha256, dataset
        )
        if svm is None:
            return None
        columns["selected"] = selected_parameters(svm, experiment)
        if best is not None and best.point != (svm.kernel, svm.C):
            best_machine = f"the best trial: {best}"
            findings.compare(checkpoint, "machine", columns["selected"], best_machine)
        elif best is not None and self._env and self._env.cpu == cpu_name():
            again = SvmTrials(dataset, experiment.seed).try_point(*best.point)
            for name in ("n_wrong", "n_support", "converged"):
                what = f"{best.point[0]} C {best.penalty:g}: {name}"
                had, now = getattr(best, name), getattr(again, name)
                findings.compare(trials_csv, what, had, now, " (trained again)")
        wrong = svm.wrong_rows(dataset.test)
        if self._row.remark:
            columns["remark"] = remark_on(wrong, dataset.test.labels)
        return _Counted(wrong, columns)

    def _best_trial(self, experiment: SvmExperiment, dataset: Dataset) -> tuple[Trial, int]:
        sizes = len(dataset.train), len(dataset.valid)
        trials = read_trials(self._folder / TRIALS, experiment.svm.kernel, *sizes)
        again = replayed(experiment, trials)
        if again != trials:
            odd = next((f"trial {t}" for t in trials if t not in again), "the order of the trials")
            place = f"{self._place}/{TRIALS}"
            self._findings.compare(place, odd, "is there", "not made by such a search")
        return best_of(again), len(trials)

    def _row_again(self, config: AnyExperiment, counted: _Counted, reference: Reference) -> RunRow:
        """Return the row that the records and what was counted come to, and compare it.

        Raises:
            RunFolderError: the records are of another kind of run.
        """
        columns = dict(counted.columns)
        if counted.wrong is not None:
            columns |= {"n_test": len(counted.wrong), "n_wrong": int(counted.wrong.sum())}
        status, env, again = self._status, self._env, replace(self._row, **columns)
        if status is not None and status.n_test is not None:
            status = replace(status, **columns)
        if status is not None and env is not None:
            name = run_name(config, status.data_sha256, env.numerics)
            self._findings.compare(self._place, "name of the folder", self._row.run, name)
            data = Prepared(
                config.dataset,
                self._folder,
                status.data_origin,
                status.data_sha256,
                status.data_source,
                status.trust,
            )
            job = Job(self._cell, config, data, self._folder, reference=reference)
            again = done_row(job, status, env)
        self._compare_columns(again, counted.how, columns)
        return again

    def _compare_columns(self, again: RunRow, how: str, computed: Collection[str]) -> None:
        """Compare a row with those of runs.csv and status.json.

        Args:
            again: the row.
            how: beside the columns that were `computed` otherwise than in the run.
        """
        findings, texts = self._findings, column_texts(again)
        for name, text in column_texts(self._row).items():
            how_this = how if name in computed else ""
            findings.compare(RUNS_CSV, f"{self._row.run}: {name}", text, texts[name], how_this)
        if self._status is not None and self._status.n_test is not None:
            recorded = column_texts(self._status)
            for name in (*MEASURED, "selected"):
                how_this = how if name in computed else ""
                if recorded[name]:  # earlier versions did not write them all
                    place = f"{self._place}/{STATUS}"
                    findings.compare(place, name, recorded[name], texts[name], how_this)

    def _compare_file(self, name: str, text: str) -> bool:
        """Write a file of the run again and compare it; return whether there was one."""
        write_text(self._again / name, text)
        place = f"{self._place}/{name}"
        recorded = self._findings.attempt(place, text_of, self._folder / name)
        if recorded is not None:
            self._findings.compare_lines(place, recorded, text)
        return recorded is not None

    def _compare_wrong_rows(self, wrong: NDArray[np.bool_], how: str) -> None:
        save_wrong_rows(self._again, wrong)
        place = f"{self._place}/{WRONG_ROWS}"
        recorded = self._findings.attempt(place, load_wrong_rows, self._folder, len(wrong), None)
        if recorded is not None and (differ := np.flatnonzero(recorded != wrong)).size:
            more = f" and {differ.size - 1} more" if differ.size > 1 else ""
            had, now = ("wrong" if rows[differ[0]] else "right" for rows in (recorded, wrong))
            self._findings.compare(place, f"test row {differ[0]}{more}", had, now, how)

    def _link(self, name: str) -> None:
        (self._again / name).symlink_to((self._folder / name).absolute())
