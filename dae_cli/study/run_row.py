"""From a run folder to its row of runs.csv."""

from __future__ import annotations

import json
from typing import Any

from dae_cli.errors import RunFolderError
from dae_cli.study.paper import published
from dae_cli.study.provenance import Environment
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import (
    ENVIRONMENT,
    Job,
    config_sha256,
    destruction_percent,
    model_name,
    read_status,
)
from dae_cli.study.verdict import half_width_95, verdict


def row_of(job: Job) -> RunRow:
    """Return the row of a run that is done.

    Raises:
        RunFolderError: the folder lacks a file or holds something else.
    """
    path = job.folder / ENVIRONMENT
    try:
        env = Environment(**json.loads(path.read_text(encoding="utf-8")))
        return done_row(job, read_status(job.folder), env)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunFolderError(f"{path.parent}: damaged ({error}); run again with --force") from error


def done_row(job: Job, status: dict[str, Any], env: Environment) -> RunRow:
    """Return the row of a finished run from its status and environment."""
    result = status["result"]
    n_test, n_wrong = int(result["n_test"]), int(result["n_wrong"])
    error, half_width = 100.0 * n_wrong / n_test, half_width_95(n_wrong, n_test)
    columns = _common(job, env)
    return RunRow(
        **columns,
        n_test=n_test,
        n_wrong=n_wrong,
        test_error_percent=error,
        half_width_95=half_width,
        valid_error_percent=float(result["valid_error_percent"]),
        best_epoch=int(result["best_epoch"]),
        epochs=int(result["epochs"]),
        verdict=verdict(
            error, half_width, columns["paper_error_percent"], columns["paper_half_width_95"]
        ),
        minutes=float(status["minutes"]),
    )


def failed_row(job: Job, env: Environment, minutes: float, error: str) -> RunRow:
    """Return the row of a run that failed: no numbers, but the reason."""
    one_line = " ".join(error.split())  # a row is a line, in the CSV and in the report
    return RunRow(**_common(job, env), minutes=minutes, error=one_line)


def _common(job: Job, env: Environment) -> dict[str, Any]:
    experiment = job.experiment
    model, level = model_name(experiment), destruction_percent(experiment)
    # A subset of the test rows is no replication, other noise than masking not the paper's model.
    comparable = experiment.subset is None and experiment.corruption.kind == "masking"
    paper = published(experiment.dataset, model, level) if comparable else None
    return {
        "cell": job.cell,
        "run": job.name,
        "dataset": experiment.dataset,
        "data_origin": job.data.origin,
        "data_sha256": job.data.sha256,
        "model": model,
        "destruction_percent": level,
        "seed": experiment.seed,
        "paper_error_percent": paper.error_percent if paper else None,
        "paper_half_width_95": paper.half_width_95 if paper else None,
        "paper_model": paper.model if paper else "",
        "device": env.device,
        "engine": env.engine,
        "threads": env.threads,
        "versions": env.versions,
        "commit": env.commit,
        "config_sha256": config_sha256(experiment),
    }
