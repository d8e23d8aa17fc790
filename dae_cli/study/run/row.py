"""The row of a run, from what its folder tells; a folder that tells of another run is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import AnyExperiment, FilterExperiment, SvmExperiment
from dae_cli.data.dataset import Trust
from dae_cli.data.datasets import DATASETS
from dae_cli.data.trust import recorded_trust
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.paper import compared_with
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.folder import (
    CONFIG,
    ENVIRONMENT,
    STATUS,
    Job,
    config_sha256,
    destruction_percent,
    model_name,
)
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.records import Status, read_record
from dae_cli.study.verdict import CALIBRATED, half_width_95, verdict

Judged = TypeVar("Judged", RunRow, TableRow)

REMEDY = "remove this folder to have the run made anew"

MEASURED = (
    *("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent"),
    *("best_epoch", "epochs", "trials"),
)
"""Columns of a row that a failed run leaves empty."""


def row_of(job: Job) -> RunRow:
    """Return the row of a run that is done.

    Raises:
        RunFolderError: the folder lacks a file, is damaged, or holds another run than the job's.
    """
    try:
        status = read_record(job.folder / STATUS, Status)
        env = read_record(job.folder / ENVIRONMENT, Environment)
        config = load_resolved(job.folder / CONFIG)
    except (RunFolderError, ConfigError) as error:
        raise RunFolderError(f"{job.folder}: damaged ({error}); {REMEDY}") from error
    if config != job.experiment:
        raise _another(job, f"{CONFIG} holds other settings than {job.cell} has")
    if status.state != "done":
        raise _another(job, f"{STATUS} says that the run is {status.state}, not done")
    if status.run not in ("", job.name):
        raise _another(job, f"{STATUS} is that of the run {status.run!r}")
    if status.data.sha256 != job.data.sha256:
        recorded, here = status.data.sha256[:12], job.data.sha256[:12]
        raise _another(job, f"{STATUS} tells of data with SHA-256 {recorded}…, not {here}…")
    # A recipe may give the very content of the original: the row says which one the run had.
    had = replace(job.data, origin=status.data.origin, trust=trust_of(status, job.data.name))
    return done_row(replace(job, data=had), status, env)


def trust_of(status: Status, dataset: str) -> Trust:
    """Return how far the data of a run are to be trusted, whatever version wrote its status."""
    data = status.data
    if data.trust is not None:
        return data.trust
    return recorded_trust(dataset, data.origin, data.sha256)


def _another(job: Job, why: str) -> RunFolderError:
    return RunFolderError(f"{job.folder}: {why}; {REMEDY}")


def done_row(job: Job, status: Status, env: Environment) -> RunRow:
    """Return the row of a finished run from its status and environment.

    Raises:
        RunFolderError: the status tells no result.
    """
    if isinstance(job.experiment, FilterExperiment):
        if status.filters is None:
            raise RunFolderError(f"{job.folder}: {STATUS} tells of no filters; {REMEDY}")
        return RunRow(**_common(job, env), minutes=status.minutes)
    result = status.result
    if result is None:
        raise RunFolderError(f"{job.folder}: {STATUS} tells no result; {REMEDY}")
    if result.is_of_svm != job.is_svm:
        kinds = ("a network", "an SVM")
        raise RunFolderError(
            f"{job.folder}: {STATUS} tells the result of {kinds[result.is_of_svm]}, but "
            f"{CONFIG} is that of {kinds[job.is_svm]}; {REMEDY}"
        )
    n_test, n_wrong = result.n_test, result.n_wrong
    error, half_width = 100.0 * n_wrong / n_test, half_width_95(n_wrong, n_test)
    row = RunRow(
        **_common(job, env),
        n_test=n_test,
        n_wrong=n_wrong,
        test_error_percent=error,
        half_width_95=half_width,
        valid_error_percent=result.valid_error_percent,
        best_epoch=result.best_epoch,
        epochs=result.epochs,
        selected=result.selected,
        trials=result.trials,
        minutes=status.minutes,
    )
    return with_verdict(row)


def with_verdict(row: Judged) -> Judged:
    """Return the row of a run or cell with the verdict that its numbers have; as it is if none."""
    if row.test_error_percent is None or row.half_width_95 is None:
        return row
    if row.paper_error_percent is not None and row.data_origin == "regenerated":
        spec = DATASETS.get(row.dataset)
        recipe = spec and spec.recipe
        if recipe and recipe.calibrated_by == row.model:
            return replace(row, verdict=CALIBRATED)
    paper = row.paper_error_percent, row.paper_half_width_95
    return replace(row, verdict=verdict(row.test_error_percent, row.half_width_95, *paper))


def without_result(row: RunRow, error: str) -> RunRow:
    """Return the row of a run whose result is not to be told, and why."""
    nothing: dict[str, Any] = dict.fromkeys(MEASURED)
    return replace(row, **nothing, selected="", verdict="", error=" ".join(error.split()))


def failed_row(job: Job, env: Environment, minutes: float, error: str) -> RunRow:
    """Return the row of a run that failed: no numbers, but the reason."""
    one_line = " ".join(error.split())  # a row is a line, in the CSV and in the report
    return RunRow(**_common(job, env), minutes=minutes, error=one_line)


def _common(job: Job, env: Environment) -> dict[str, Any]:
    experiment = job.experiment
    model, level = model_name(experiment), destruction_percent(experiment)
    reference = job.reference if _is_comparable(experiment) else None
    paper = compared_with(reference, experiment.dataset, model, level) if reference else None
    return {
        "cell": job.cell,
        "run": job.name,
        "dataset": experiment.dataset,
        "data_origin": job.data.origin,
        "trust": job.data.trust,
        "data_sha256": job.data.sha256,
        "model": model,
        "destruction_percent": level,
        "seed": experiment.seed,
        "paper_error_percent": paper.error_percent if paper else None,
        "paper_half_width_95": paper.half_width_95 if paper else None,
        "paper_model": paper.model if paper else "",
        "device": env.devices,
        "engine": env.engine,
        "threads": env.threads,
        "versions": env.versions,
        "commit": env.commits,
        "numerics": env.numerics,
        "config_sha256": config_sha256(experiment, env.numerics),
    }


def _is_comparable(experiment: AnyExperiment) -> bool:
    """A subset of the test rows is no replication, other noise than masking not the paper's."""
    if isinstance(experiment, FilterExperiment):
        return False  # there is no error to compare
    if isinstance(experiment, SvmExperiment):
        return experiment.subset is None
    return experiment.subset is None and experiment.corruption.kind == "masking"
