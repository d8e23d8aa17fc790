"""A run's name, and what there is of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedExperiment, resolve_experiment
from dae_cli.config.schema import Experiment
from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.run.folder import (
    CHECKPOINT,
    Job,
    config_sha256,
    default_runs,
    destruction_percent,
    model_name,
    run_name,
    write_status,
)
from dae_cli.training.version import NUMERICS_VERSION

MakeExperiment = Callable[..., Experiment]
DATA = "a" * 64
ROOT = Path(__file__).resolve().parents[3]


def test_the_name_says_set_model_destruction_and_seed(make_experiment: MakeExperiment) -> None:
    experiment = make_experiment(model={"hidden": (30, 20, 10)}, seed=7)
    assert re.fullmatch(r"convex-sda3-25-s7-[0-9a-f]{8}", run_name(experiment, DATA))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dataset": "rot-bg-img"},
        {"corruption": {"destruction": 0.0}},
        {"corruption": {"destruction": 0.125}},
        {"corruption": {"destruction": 1e-7}},
        {"corruption": {"destruction": 0.1 + 0.2}},
        {"corruption": {"kind": "gaussian", "destruction": 0.0, "sigma": 1e-9}},
        {"corruption": {"kind": "gaussian", "destruction": 0.0, "sigma": 0.3}},
        {"corruption": {"kind": "salt-and-pepper"}},
        {"pretrain": {"epochs": 0}},
        {"seed": 2**32 - 1},
    ],
)
def test_the_name_is_safe_on_every_file_system(
    make_experiment: MakeExperiment, changes: dict[str, Any]
) -> None:
    name = run_name(make_experiment(**changes), DATA)
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])", name)
    assert len(name) <= 80


def test_equal_configs_have_the_same_name(make_experiment: MakeExperiment) -> None:
    first, again = make_experiment(), Experiment(**make_experiment().model_dump())
    assert run_name(first, DATA) == run_name(again, DATA)


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "rect"},
        {"model": {"hidden": (8, 7)}},
        {"model": {"tied": False}},
        {"model": {"init": "tutorial"}},
        {"corruption": {"destruction": 0.26}},
        {"corruption": {"kind": "salt-and-pepper"}},
        {"corruption": {"sigma": 0.5}},
        {"pretrain": {"loss": "squared-error"}},
        {"pretrain": {"learning_rate": 0.051}},
        {"pretrain": {"epochs": 3}},
        {"pretrain": {"batch_size": 11}},
        {"pretrain": {"kind": "rbm"}},
        {"pretrain": {"gibbs_steps": 2}},
        {"pretrain": {"persistent": True}},
        {"pretrain": {"sample_visible": False}},
        {"pretrain": {"weight_decay": 0.001}},
        {"pretrain": {"contraction": 0.1}},
        {"corruption": {"pepper": -1.0}},
        {"corruption": {"salt": 2.0}},
        {"finetune": {"learning_rate": 1.1}},
        {"finetune": {"max_epochs": 9}},
        {"finetune": {"patience": 7}},
        {"finetune": {"window": 7}},
        {"finetune": {"batch_size": 6}},
        {"finetune": {"decrease": 0.1}},
        {"finetune": {"weight_decay": 0.001}},
        {"subset": {"train": 61}},
        {"subset": {"valid": 41}},
        {"subset": {"test": 201}},
        {"subset": None},
        {"seed": 1},
    ],
    ids=str,
)
def test_any_setting_changes_the_name(
    make_experiment: MakeExperiment, changes: dict[str, Any]
) -> None:
    plain, changed = make_experiment(), make_experiment(**changes)
    assert run_name(plain, DATA) != run_name(changed, DATA)
    assert run_name(plain, DATA)[-8:] != run_name(changed, DATA)[-8:]


def test_every_setting_of_the_schema_is_in_the_digest(make_experiment: MakeExperiment) -> None:
    # Each of these is changed above; a new setting must be added there.
    leaves = {
        name if not isinstance(value, dict) else f"{name}.{key}"
        for name, value in make_experiment().model_dump().items()
        for key in (value if isinstance(value, dict) else [""])
    }
    assert leaves == {
        *("dataset", "seed", "subset.train", "subset.valid", "subset.test"),
        *("model.hidden", "model.tied", "model.init"),
        *("corruption.kind", "corruption.destruction", "corruption.sigma"),
        *("corruption.pepper", "corruption.salt", "pretrain.weight_decay", "pretrain.contraction"),
        *(f"pretrain.{key}" for key in ("loss", "learning_rate", "epochs", "batch_size")),
        *(f"pretrain.{key}" for key in ("kind", "gibbs_steps", "persistent")),
        "pretrain.sample_visible",
        *(f"finetune.{key}" for key in ("learning_rate", "max_epochs", "patience", "batch_size")),
        *("finetune.window", "finetune.decrease", "finetune.weight_decay"),
    }


def test_the_committed_runs_keep_their_names_and_digests() -> None:
    """Settings that were added since say of these runs what was done before there was a choice."""
    rows = read_rows(ROOT / "results" / "icml2008" / "runs.csv", RunRow)
    assert len(rows) == 7
    for row in rows:
        experiment = resolve_experiment(f"icml2008/{row.cell}").experiment
        assert config_sha256(experiment) == row.config_sha256
        assert run_name(experiment, row.data_sha256) == row.run


def test_the_name_of_a_run_of_rbms_says_so(make_experiment: MakeExperiment) -> None:
    for settings in ({"kind": "rbm"}, {"kind": "rbm", "persistent": True}):
        changes: dict[str, Any] = {"corruption": {"destruction": 0.0}, "pretrain": settings}
        experiment = make_experiment(model={"hidden": (30, 20, 10)}, **changes)
        assert re.fullmatch(r"convex-dbn3-0-s0-[0-9a-f]{8}", run_name(experiment, DATA))


def test_other_data_change_the_name_and_not_the_config_digest(
    make_experiment: MakeExperiment,
) -> None:
    experiment = make_experiment()
    assert run_name(experiment, DATA) != run_name(experiment, "b" * 64)


def test_another_version_of_the_numerics_changes_name_and_digest(
    make_experiment: MakeExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment()
    name, digest = run_name(experiment, DATA), config_sha256(experiment)
    monkeypatch.setattr("dae_cli.study.run.folder.NUMERICS_VERSION", NUMERICS_VERSION + 1)
    assert run_name(experiment, DATA) != name
    assert config_sha256(experiment) != digest


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"corruption": {"destruction": 0.0}}, "SAA-2"),
        ({"corruption": {"destruction": 0.1}}, "SdA-2"),
        ({"model": {"hidden": (5, 5, 5)}}, "SdA-3"),
        ({"pretrain": {"epochs": 0}}, "NNet-2"),
        ({"corruption": {"destruction": 0.0}, "pretrain": {"kind": "rbm"}}, "DBN-2"),
        ({"corruption": {"destruction": 0.0}, "pretrain": {"kind": "rbm", "epochs": 0}}, "NNet-2"),
        ({"corruption": {"kind": "gaussian", "destruction": 0.0, "sigma": 0.3}}, "SdA-2"),
        ({"corruption": {"kind": "gaussian", "destruction": 0.0, "sigma": 0.0}}, "SAA-2"),
    ],
)
def test_the_model_has_the_papers_name(
    make_experiment: MakeExperiment, changes: dict[str, Any], name: str
) -> None:
    assert model_name(make_experiment(**changes)) == name


def test_destruction_in_percent_has_no_noise_of_binary_fractions(
    make_experiment: MakeExperiment,
) -> None:
    for percent in range(1, 100):
        experiment = make_experiment(corruption={"destruction": percent / 100})
        assert destruction_percent(experiment) == percent


def _with_checkpoint(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).touch()


def test_a_run_is_new_then_stopped_then_done(make_job: Callable[..., Job]) -> None:
    job = make_job()
    assert job.state() == "new"
    job.partial.mkdir(parents=True)
    assert job.state() == "new"  # stopped before its first checkpoint
    (job.partial / CHECKPOINT).touch()
    assert job.state() == "stopped"
    write_status(job.partial, {"state": "done"})
    job.partial.rename(job.folder)
    assert job.state() == "done"


def test_a_folder_without_status_is_not_done(make_job: Callable[..., Job]) -> None:
    job = make_job()
    _with_checkpoint(job.folder)
    assert job.state() == "new"


def test_discard_removes_the_run_and_what_it_left_and_nothing_else(
    make_job: Callable[..., Job],
) -> None:
    job, other = make_job(), make_job(seed=1)
    for folder in (job.folder, job.partial, other.folder, other.partial):
        _with_checkpoint(folder)
    job.discard()
    assert job.state() == "new"
    assert sorted(job.folder.parent.iterdir()) == [other.folder, other.partial]
    job.discard()  # nothing there any more


def test_the_partial_folder_lies_beside_the_final_one(make_job: Callable[..., Job]) -> None:
    job = make_job()
    assert job.partial.parent == job.folder.parent
    assert job.partial.name == job.name + ".partial"


def test_default_runs_lie_where_replicate_looks(make_experiment: MakeExperiment) -> None:
    cell = ResolvedExperiment("icml2008/convex-25", make_experiment(), Path("x.yaml"))
    assert default_runs(cell) == Path("results/icml2008/runs")
    assert default_runs(replace(cell, name="mine")) == Path("results/single/runs")
