"""Every process computes with one thread, and no result depends on how many there are."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dae_cli.engines.choice import can_be_had
from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.study.progress import Silent
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import CHECKPOINT, METRICS, Job
from dae_cli.study.run.threads import THREAD_VARIABLES, use_one_thread
from dae_cli.study.workers.pool import run_jobs

MakeJob = Callable[..., Job]

# Wide enough for a BLAS to share a product out among threads.
WIDE: dict[str, Any] = {"model": {"hidden": (300, 200)}, "finetune": {"max_epochs": 2}}

PROGRAM = """
    import json, os, pickle, sys
    import numpy, scipy.linalg.blas, sklearn.svm, torch  # with as many threads as they like
    from joblib.externals.loky import get_reusable_executor
    from dae_cli.study.workers.pool import run_jobs
    from dae_cli.study.progress import Silent

    def threads():
        import scipy.linalg.blas, sklearn.svm, numba, torch
        from dae_cli.study.run.threads import THREAD_VARIABLES
        from threadpoolctl import threadpool_info
        loaded = {info["filepath"]: info["num_threads"] for info in threadpool_info()}
        variables = {name: int(os.environ.get(name, 0)) for name in THREAD_VARIABLES}
        numbers = {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()}
        return os.getpid(), loaded | variables | numbers

    if __name__ == "__main__":
        with open(sys.argv[1], "rb") as file:
            jobs = pickle.load(file)
        rows = list(run_jobs(jobs, workers=len(jobs), watcher=Silent(), command="dae"))
        assert not any(row.error for row in rows), rows
        if len(jobs) == 1:
            told = [threads()]
        else:
            workers = get_reusable_executor(reuse=True)
            told = [workers.submit(threads).result() for _ in range(4)]
        print(json.dumps([os.getpid(), told]))
"""


@pytest.fixture(autouse=True)
def _end_workers() -> Iterator[None]:
    """Workers of a study that ended well stay for the next one; end them."""
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_ran_a_job_has_one_thread_in_every_library(
    make_job: MakeJob, tmp_path: Path, workers: int
) -> None:
    jobs = [make_job(seed=seed) for seed in range(workers)]
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    freely = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "jobs")]
    done = subprocess.run(command, env=freely, stdout=subprocess.PIPE, check=True)
    parent, told = json.loads(done.stdout)
    for process, threads in told:
        assert (process == parent) == (workers == 1)
        assert len(threads) > len(THREAD_VARIABLES) + 2  # a BLAS and an OpenMP at the least
        assert threads == dict.fromkeys(threads, 1)


def test_one_thread_may_be_asked_for_again_and_again() -> None:
    torch.set_num_threads(2)
    for _ in range(2):
        use_one_thread()
        assert torch.get_num_threads() == 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_results_are_the_same_for_any_number_of_workers(
    make_job: MakeJob, tmp_path: Path, engine: EngineName
) -> None:
    if not can_be_had(engine):
        pytest.skip(f"the engine {engine} cannot be had here")
    results = [_results(make_job, tmp_path / str(n), engine, workers=n) for n in (1, 2, 3)]
    assert results[0] == results[1] == results[2]


def _results(
    make_job: MakeJob, folder: Path, engine: EngineName, workers: int
) -> list[tuple[int | None, list[bytes]]]:
    """The test errors, the checkpoint and the metrics of three runs."""
    jobs = [replace(make_job(folder, seed=seed, **WIDE), engine=engine) for seed in range(3)]
    rows = run_jobs(jobs, workers=workers, watcher=Silent(), command="dae")
    wrong = {row.run: row.n_wrong for row in rows if isinstance(row, RunRow) and not row.error}
    files = [[(job.folder / name).read_bytes() for name in (CHECKPOINT, METRICS)] for job in jobs]
    return [(wrong[job.name], both) for job, both in zip(jobs, files, strict=True)]
