"""The run of an SVM: select it on the validation rows, retrain it, and count its test errors.

The run is resumed from trials.csv, which is written after every trial. A trial depends only on the
trials before it, so a resumed run gives the same result as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dae_cli.config.schema import SvmExperiment
from dae_cli.data.dataset import Dataset
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.files import write_text
from dae_cli.stopping import StopRequest
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.run.job import CHECKPOINT, TRIALS, Job, Stopped
from dae_cli.study.run.record import StatusFile
from dae_cli.study.run.wrong_rows import remark_on, save_wrong_rows
from dae_cli.svm.files import read_trials, save_svm, trials_csv
from dae_cli.svm.selection import SvmTrials, Trial, best_of, search
from dae_cli.svm.svm import Kernel, Svm

REFINED = 2.5
"""Trials of a search per trial of its coarse grid, for progress; estimated on eight data sets."""


class SvmRun:
    """Computes the run of an SVM."""

    def __init__(self, job: Job, watcher: Watcher, stop: StopRequest, status: StatusFile) -> None:
        assert isinstance(job.experiment, SvmExperiment)
        self._job, self._experiment, self._status = job, job.experiment, status
        self._watcher, self._stop = watcher, stop

    def run(self, dataset: Dataset) -> dict[str, Any]:
        """Select and train the SVM, count its test errors, and write trials.csv and the checkpoint.

        Returns the measured columns of the row. Raises Stopped, or RunFolderError (trials.csv).
        """
        job, settings = self._job, self._experiment
        svms = SvmTrials(dataset, settings.seed, self._raise_if_stopped)
        trials: list[Trial] = []

        def try_point(kernel: Kernel, C: float) -> Trial:
            trial = known.get((kernel, C))
            trials.append(trial or svms.try_point(kernel, C))
            if trial is None:
                self._write(trials)
                self._status.write("running")
                self._report(trials)
            return trials[-1]

        with self._stop.delay_signals():
            known = {trial.point: trial for trial in self._trials_so_far(dataset)}
            best = best_of(search(try_point, settings.svm))
            self._write(trials)
            svm = svms.train_on_all_rows(*best.point)
            self._report(trials, phase="test")
            wrong = svm.wrong_rows(dataset.test)
            save_wrong_rows(job.partial, wrong)
            save_svm(job.partial / CHECKPOINT, svm, settings, job.data.sha256)
        return {
            "n_test": len(dataset.test),
            "n_wrong": int(wrong.sum()),
            "remark": remark_on(wrong, dataset.test.labels),
            "valid_error_percent": best.valid_error_percent,
            "selected": selected_parameters(svm, settings),
            "trials": len(trials),
        }

    def _raise_if_stopped(self) -> None:
        if self._stop.signal:  # the trial in progress is lost
            with suppress(DaeError):
                self._status.write("running")  # to save the minutes
            raise Stopped

    def _trials_so_far(self, dataset: Dataset) -> tuple[Trial, ...]:
        resumed = self._job.state() == "stopped"
        self._watcher.started(self._job.name, resumed)
        if not resumed:
            self._write(())  # with this file the run can be resumed
            return ()
        kernel, sizes = self._experiment.svm.kernel, (len(dataset.train), len(dataset.valid))
        if known := read_trials(self._job.partial / TRIALS, kernel, *sizes):
            self._report(known)
        return known

    def _write(self, trials: Sequence[Trial]) -> None:
        write_text(self._job.partial / TRIALS, trials_csv(trials), make_folder=False)

    def _report(self, trials: Sequence[Trial], phase: str = "select") -> None:
        coarse, number = self._experiment.svm.coarse_trials, len(trials)
        expected = max(number, coarse * (REFINED if self._experiment.svm.refine else 1.0))
        place = Position(
            phase=phase,
            layer=None,
            epoch=number,
            epochs=max(number, coarse),
            valid_error_percent=best_of(trials).valid_error_percent,
            fraction=1.0 if phase == "test" else min(0.95, number / expected),
        )
        self._watcher.moved(self._job.name, place)


def selected_parameters(svm: Svm, experiment: SvmExperiment) -> str:
    """Return the selected parameters in the format of a row: `degree 3, gamma 0.01, C 10`.

    Offset and ν are omitted if the search only had the offset 1 or the ν 0.
    """
    kernel, searched = svm.kernel, experiment.svm
    nu = f"nu {kernel.destruction:g}, " if searched.destructions != (0,) else ""
    degree = f"degree {kernel.degree}, " if kernel.kind == "poly" else ""
    offset = f"offset {kernel.coef0:g}, " if searched.offsets != (1,) else ""
    return f"{nu}{degree}gamma {kernel.gamma:g}, {offset}C {svm.C:g}"


def replayed(experiment: SvmExperiment, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Repeat the search of a run with its recorded trials instead of training, and return them.

    Raises:
        RunFolderError: the search needs a trial that is not recorded.
    """
    known = {trial.point: trial for trial in trials}

    def from_known(kernel: Kernel, C: float) -> Trial:
        if trial := known.get((kernel, C)):
            return trial
        raise RunFolderError(f"{TRIALS} lacks the trial {kernel} C {C:g}, which the search needs")

    return search(from_known, experiment.svm)
