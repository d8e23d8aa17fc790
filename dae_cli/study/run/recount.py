"""The wrong test rows of runs that are done but were made before these were kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.schema import FilterExperiment, SvmExperiment
from dae_cli.data.cache import load
from dae_cli.data.dataset import Dataset
from dae_cli.errors import DaeError, RunFolderError
from dae_cli.files import file_lock
from dae_cli.study.progress import Watcher
from dae_cli.study.rows import RunRow
from dae_cli.study.run.checkpoints import expected_of
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.job import CHECKPOINT, WRONG_ROWS, Job
from dae_cli.study.run.run import dataset_for, use_one_thread
from dae_cli.study.run.wrong_rows import keep_wrong_rows, load_wrong_rows
from dae_cli.svm.files import load_svm
from dae_cli.training.checkpoint import load_checkpoint
from dae_cli.training.evaluation import wrong_rows


def keep_what_is_missing(jobs: Sequence[Job], rows: Sequence[RunRow], watcher: Watcher) -> None:
    """Count the wrong test rows again of done runs whose folder does not tell them, and keep them.

    A run whose rows cannot be had, or whose count comes out otherwise, is left as it is and told.

    Args:
        jobs: of the runs.
        rows: of runs.csv, for their counts; failed ones are passed over.
        watcher: hears what is counted and what is not.
    """
    known = {row.run: row for row in rows if not row.error}
    kept: tuple[Job, Dataset] | None = None  # the runs of one data set come together
    for job in jobs:
        row = known.get(job.name)
        if row is None or row.n_test is None or row.n_wrong is None:
            continue
        try:
            if (why := _why_again(job, row.n_test, row.n_wrong)) is None:
                continue
            if not (job.folder / CHECKPOINT).exists():
                raise RunFolderError(f"its folder has no {CHECKPOINT} to count it again from")
            if kept is None or kept[0].data != job.data:
                kept = job, load(job.data)
            with file_lock(job.lock):
                wrong = _counted(job, kept[1])
                _check(wrong, row.n_test, row.n_wrong)
                keep_wrong_rows(job.folder, wrong)
            watcher.note(f"{job.name}: {WRONG_ROWS} {why}; counted again from its checkpoint")
        except (DaeError, OSError) as error:
            watcher.note(f"{job.name}: {WRONG_ROWS} cannot be made: {error}")


def _why_again(job: Job, n_test: int, n_wrong: int) -> str | None:
    """Say why the file must be made; None where it is there and sound."""
    if not (job.folder / WRONG_ROWS).exists():
        return "was not kept when it was made"
    with suppress(RunFolderError):
        load_wrong_rows(job.folder, n_test, n_wrong)
        return None
    return "was damaged"


def _counted(job: Job, whole: Dataset) -> NDArray[np.bool_]:
    """The wrong test rows of what a run keeps in its checkpoint."""
    use_one_thread()
    experiment = job.experiment
    assert not isinstance(experiment, FilterExperiment)  # whose rows tell no test rows
    path, rows = job.folder / CHECKPOINT, dataset_for(experiment, whole)
    if isinstance(experiment, SvmExperiment):
        return load_svm(path, experiment, job.data.sha256, rows).wrong_rows(rows.test)
    state = load_checkpoint(path, expected_of(experiment, job.data.sha256))
    if state.best is None:
        raise RunFolderError("its checkpoint has no fine-tuned network")
    engine = engine_for_counting(job.folder)
    return wrong_rows(state.best, rows.test, engine)


def _check(wrong: NDArray[np.bool_], n_test: int, n_wrong: int) -> None:
    if (len(wrong), int(wrong.sum())) != (n_test, n_wrong):
        raise RunFolderError(
            f"{int(wrong.sum())} of {len(wrong)} rows come out wrong here, the run had {n_wrong} "
            f"of {n_test}; remove the folder to have the run made anew"
        )
