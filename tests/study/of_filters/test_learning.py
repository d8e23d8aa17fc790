"""The filters while they learn: the weights that the experiment's own run passes through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from dae_cli.data.obtain import Prepared
from dae_cli.engines.engine import engine_for
from dae_cli.errors import ConfigError
from dae_cli.study.progress import Silent
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, Job
from dae_cli.study.run.learning import watch_learning
from tests.study.conftest import small_experiment
from tests.study.of_filters.conftest import PlanFilters

ENGINE = engine_for("torch", torch.device("cpu"))


@pytest.fixture
def job(plan_filters: PlanFilters, tmp_path: Path) -> Job:
    return next(p.job for p in plan_filters(tmp_path).runs if p.job.cell == "noisy")


def test_it_begins_with_the_initial_weights_and_ends_with_those_of_the_run(job: Job) -> None:
    moments = watch_learning(job.experiment, job.data, ENGINE, 6)  # type: ignore[arg-type]
    execute(job, Silent(), "dae")
    final = load_file(job.folder / CHECKPOINT)["pretrained.1.weight"]
    assert moments[0].presentations == 0
    assert moments[-1].presentations == 3 * 200
    assert np.array_equal(moments[-1].weights, final)
    assert not np.array_equal(moments[0].weights, final)


def test_moments_follow_each_other_by_growing_numbers_of_steps(job: Job) -> None:
    moments = watch_learning(job.experiment, job.data, ENGINE, 6)  # type: ignore[arg-type]
    at = [moment.presentations for moment in moments]
    assert at == sorted(set(at))
    assert at[1] == 20  # one minibatch
    gaps = np.diff(at)
    assert (np.diff(gaps) >= 0).all()
    assert not np.shares_memory(moments[1].weights, moments[2].weights)


def test_a_short_last_minibatch_is_counted_as_short_as_it_is(data: Prepared) -> None:
    experiment = small_experiment(
        subset={"train": 47, "valid": 20, "test": 20},
        pretrain={"epochs": 3, "learning_rate": 0.1, "batch_size": 10},
    )
    moments = watch_learning(experiment, data, ENGINE, 40)
    assert [moment.presentations for moment in moments][:7] == [0, 10, 20, 30, 40, 47, 57]
    assert moments[-1].presentations == 3 * 47


def test_without_pretraining_there_is_nothing_to_watch(job: Job) -> None:
    experiment = small_experiment(pretrain={"epochs": 0, "learning_rate": 0.1})
    with pytest.raises(ConfigError, match=r"nothing is pretrained here: pretrain.epochs is 0"):
        watch_learning(experiment, job.data, ENGINE, 3)
