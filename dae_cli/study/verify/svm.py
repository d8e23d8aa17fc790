"""The run of an SVM against its row: its trials gone through again, its errors counted again."""

from __future__ import annotations

from pathlib import Path

from dae_cli.config.schema import SvmExperiment
from dae_cli.data.dataset import Dataset
from dae_cli.machine import cpu_name
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import CHECKPOINT, RUNS, TRIALS, WRONG_ROWS
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.record import Status
from dae_cli.study.run.svm import replayed, selected_parameters
from dae_cli.study.verify.differences import Findings
from dae_cli.study.verify.wrong_rows import compare_result, compare_wrong_rows
from dae_cli.svm.files import load_svm, read_trials
from dae_cli.svm.selection import Trial, best_of
from dae_cli.svm.svm import Svm
from dae_cli.svm.trials import SvmTrials


def check_svm(
    row: RunRow,
    experiment: SvmExperiment,
    status: Status | None,
    env: Environment | None,
    dataset: Dataset,
    folder: Path,
    found: Findings,
) -> bool:
    """Compare trials.csv and the checkpoint with what the row tells.

    The trials must be those that the search makes, in its order, and the best of them the machine
    of the checkpoint. That machine's errors are counted again on all test rows; on the machine
    that made the run, the best trial is trained again as well, on the training rows alone.

    Returns:
        Whether the test errors were counted again.
    """
    place = f"{RUNS}/{row.run}"
    best: Trial | None = None
    svm: Svm | None = None
    with found.going_on(f"{place}/{TRIALS}"):
        best = _best(place, experiment, dataset, folder, found, row, status)
    with found.going_on(f"{place}/{CHECKPOINT}"):
        data = status.data_sha256 if status else row.data_sha256
        svm = load_svm(folder / CHECKPOINT, experiment, data, dataset)
    if svm is None:
        return False
    chosen = selected_parameters(svm, experiment)
    if best is not None:
        if best.point != (svm.kernel, svm.C):
            told = f"{best.kernel} C {best.C:g}"
            found.compare(f"{place}/{CHECKPOINT}", "machine", chosen, f"the best trial: {told}")
        elif env is not None and env.cpu == cpu_name():
            _train_again(place, best, experiment.seed, dataset, found)
    wrong = svm.wrong_rows(dataset.test)
    again: dict[str, object] = {
        "n_test": len(dataset.test),
        "n_wrong": int(wrong.sum()),
        "selected": chosen,
    }
    compare_result(row, status, again, found)
    with found.going_on(f"{place}/{WRONG_ROWS}"):
        compare_wrong_rows(row, wrong, folder, found, how="")
    return True


def _best(
    place: str,
    experiment: SvmExperiment,
    dataset: Dataset,
    folder: Path,
    found: Findings,
    row: RunRow,
    status: Status | None,
) -> Trial:
    """The best trial; whether the others are those of the search is kept."""
    n_train, n_valid = len(dataset.train), len(dataset.valid)
    trials = read_trials(folder / TRIALS, experiment.svm.kernel, n_train, n_valid)
    made = replayed(experiment, trials)
    if made != trials:
        odd = next((f"trial {t}" for t in trials if t not in made), "the order of the trials")
        found.compare(f"{place}/{TRIALS}", odd, "is there", "not made by such a search")
    best = best_of(made)
    again = {
        "valid_error_percent": f"{best.valid_error_percent:.2f}",
        "trials": len(trials),
    }
    compare_result(row, status, again, found)
    return best


def _train_again(place: str, best: Trial, seed: int, dataset: Dataset, found: Findings) -> None:
    (again,) = SvmTrials(dataset, seed).try_kernel(best.kernel, [best.C])
    for name in ("n_wrong", "n_support", "converged"):
        told, made = getattr(best, name), getattr(again, name)
        what = f"{best.kernel} C {best.C:g}: {name}"
        found.compare(f"{place}/{TRIALS}", what, told, made, " (trained again)")
