"""The run of an SVM: selected on the validation rows, trained again, and counted on the test rows.

It goes on from trials.csv, which is written after every trial: what comes next depends on the
trials before and on nothing else, so a run that was stopped ends as if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from dae_cli.config.schema import SvmExperiment
from dae_cli.data.dataset import Dataset
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.files import write_text
from dae_cli.stopping import Stop
from dae_cli.study.progress import Position, Watcher
from dae_cli.study.run.folder import CHECKPOINT, TRIALS, Job
from dae_cli.study.run.records import Result
from dae_cli.study.run.status import RunStatus, Stopped
from dae_cli.study.run.wrong_rows import save_wrong_rows
from dae_cli.svm.files import read_trials, save_svm, trials_csv
from dae_cli.svm.selection import Trial, best_of, search
from dae_cli.svm.svm import Svm
from dae_cli.svm.trials import SvmTrials

REFINED = 2.5
"""Trials of a whole search to those of its coarse grid; a guess, from the eight data sets."""


class SvmRun(RunStatus):
    """Makes one run."""

    def __init__(self, job: Job, experiment: SvmExperiment, watcher: Watcher, stop: Stop) -> None:
        super().__init__(job, watcher, stop)
        self._experiment = experiment

    def make(self, dataset: Dataset) -> Result:
        """Select, train, count, and write trials.csv and the checkpoint.

        Raises:
            Stopped: it was asked to stop. RunFolderError: trials.csv is damaged.
        """
        known = {trial.point: trial for trial in self._begin(dataset)}
        svms = SvmTrials(
            dataset,
            self._experiment.seed,
            on_trial=self._on_trial,
            poll=self._raise_if_stopped,
            known=known,
        )
        trials = search(svms.try_kernel, self._experiment.svm)
        self._write(trials)
        best = best_of(trials)
        machine = svms.train_on_all_rows(best.kernel, best.C)
        self._tell(trials, phase="test")
        wrong = machine.wrong_rows(dataset.test)
        save_wrong_rows(self._job.partial, wrong)
        save_svm(self._job.partial / CHECKPOINT, machine, self._experiment, self._job.data.sha256)
        return Result(
            n_test=len(dataset.test),
            n_wrong=int(wrong.sum()),
            valid_error_percent=best.valid_error_percent,
            selected=described(machine, self._experiment),
            trials=len(trials),
        )

    def _on_trial(self, trials: Sequence[Trial]) -> None:
        """Keep the trials and tell how far it is."""
        begin = time.monotonic()
        self._write(trials)
        self.write_status("running")
        self._kept, self._keeping = self._kept + 1, self._keeping + time.monotonic() - begin
        self._tell(trials)

    def _raise_if_stopped(self) -> None:
        """End the run if it was asked to stop; the trial that is going is lost."""
        if self._stop.asked():
            with suppress(DaeError):
                self.write_status("running")  # the minutes count
            raise Stopped

    def _begin(self, dataset: Dataset) -> tuple[Trial, ...]:
        """Return the trials that there are of a run that was stopped."""
        resumed = self._job.state() == "stopped"
        self._watcher.started(self._job.name, resumed)
        if not resumed:
            self._write(())  # from here on there is something to go on from
            return ()
        path = self._job.partial / TRIALS
        known = read_trials(
            path, self._experiment.svm.kernel, len(dataset.train), len(dataset.valid)
        )
        if known:
            self._tell(known)
        return known

    def _write(self, trials: Sequence[Trial]) -> None:
        write_text(self._job.partial / TRIALS, trials_csv(trials), make_folder=False)

    def _tell(self, trials: Sequence[Trial], phase: str = "select") -> None:
        coarse, made = self._experiment.svm.coarse_trials, len(trials)
        expected = max(made, coarse * (REFINED if self._experiment.svm.refine else 1.0))
        place = Position(
            phase=phase,
            layer=None,
            epoch=made,
            epochs=max(made, coarse),
            valid_error_percent=best_of(trials).valid_error_percent,
            fraction=1.0 if phase == "test" else min(0.95, made / expected),
        )
        self._watcher.moved(self._job.name, place)


def described(svm: Svm, experiment: SvmExperiment) -> str:
    """Return what was chosen, as a row tells it: `degree 3, gamma 0.01, C 10`.

    An offset of 1 and a ν of 0 go without saying where there was no choice.
    """
    kernel, searched = svm.kernel, experiment.svm
    nu = f"nu {kernel.destruction:g}, " if searched.destructions != (0,) else ""
    degree = f"degree {kernel.degree}, " if kernel.kind == "poly" else ""
    offset = f"offset {kernel.coef0:g}, " if searched.offsets != (1,) else ""
    return f"{nu}{degree}gamma {kernel.gamma:g}, {offset}C {svm.C:g}"


def replayed(experiment: SvmExperiment, trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Go through a search again with the trials that a run tells of; nothing is trained.

    Returns:
        The trials that such a search makes, in its order.

    Raises:
        RunFolderError: one that it makes is not among them.
    """
    known = {trial.point: trial for trial in trials}

    def from_known(kernel: object, Cs: Sequence[float]) -> Sequence[Trial]:
        found = [trial for (k, c), trial in known.items() if k == kernel and c in Cs]
        if len(found) < len(Cs):
            raise RunFolderError(f"a search makes a trial of {kernel} that is not in {TRIALS}")
        return sorted(found, key=lambda trial: Cs.index(trial.C))

    return search(from_known, experiment.svm)
