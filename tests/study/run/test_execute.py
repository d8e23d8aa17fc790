"""One run: what its folder holds, when it is whole, what it tells, and how it fails."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open

from dae_cli.config.experiments import load_resolved
from dae_cli.data.obtain import Prepared
from dae_cli.stopping import NeverStop
from dae_cli.study.progress import Position, Silent
from dae_cli.study.run import keeper
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, Job, config_sha256
from dae_cli.study.run.keeper import Keeper
from dae_cli.study.run.provenance import commit
from dae_cli.study.run.which_engine import recorded_engine
from dae_cli.training.checkpoint import save_checkpoint

MakeJob = Callable[..., Job]

WHOLE = {
    "config.yaml",
    "status.json",
    "metrics.csv",
    "checkpoint.safetensors",
    "environment.json",
    "filters.png",
    "wrong_rows.npy",
}


@pytest.fixture(autouse=True)
def _tell_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "STATUS_SECONDS", 0.0)


def test_a_done_run_has_every_file_and_nothing_else(in_process: Any) -> None:
    folder = in_process.folder("convex-25")
    assert {path.name for path in folder.iterdir()} == WHOLE
    assert all(path.stat().st_size for path in folder.iterdir())
    assert not folder.with_name(folder.name + ".partial").exists()


def test_the_folder_has_its_name_only_when_all_is_in_it(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    seen: list[tuple[bool, set[str]]] = []
    rename = Path.rename

    def look(self: Path, target: Path) -> Path:
        seen.append((job.folder.exists(), {path.name for path in job.partial.iterdir()}))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", look)
    execute(job, Silent(), "dae")
    assert seen == [(False, WHOLE)]
    assert job.state() == "done"


def test_the_config_reloads_to_the_same_experiment(in_process: Any) -> None:
    for planned in in_process.plan.runs[:4]:
        job = planned.job
        assert load_resolved(job.folder / "config.yaml") == job.experiment


def test_the_environment_tells_code_machine_and_command(in_process: Any) -> None:
    text = (in_process.folder("convex-25") / "environment.json").read_text(encoding="utf-8")
    environment = json.loads(text)
    assert environment["commit"] == commit()
    assert environment["command"] == "dae replicate tiny"
    assert (environment["threads"], environment["device"]) == (1, "cpu")
    assert environment["engine"] == "torch"
    installed = environment["packages"]["torch"]
    assert installed and torch.__version__.startswith(installed)  # 2.11.0+cu130 is 2.11.0 on PyPI
    assert environment["cores"] >= 1
    for key in ("dae", "python", "platform", "cpu", "blas"):
        assert environment[key]


def test_the_status_tells_data_result_and_time(in_process: Any, data: Prepared) -> None:
    text = (in_process.folder("convex-25") / "status.json").read_text(encoding="utf-8")
    status = json.loads(text)
    assert status["state"] == "done"
    assert status["cell"] == "convex-25"
    assert status["data"] == {
        "origin": "original",
        "sha256": data.sha256,
        "source": "made for the tests",
    }
    assert status["minutes"] > 0
    row = next(r for r in in_process.outcome.rows if (r.cell, r.seed) == ("convex-25", 0))
    assert status["result"] == {
        "n_test": 200,
        "n_wrong": row.n_wrong,
        "valid_error_percent": row.valid_error_percent,
        "best_epoch": row.best_epoch,
        "epochs": 8,
    }


def test_the_metrics_have_a_row_for_each_epoch(in_process: Any) -> None:
    with (in_process.folder("convex-25") / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    places = [(row["phase"], row["layer"], row["epoch"]) for row in rows]
    assert places == [
        *(("pretrain", layer, epoch) for layer in "12" for epoch in "12"),
        *(("finetune", "", str(epoch)) for epoch in range(1, 9)),
    ]
    assert all(row["valid_error_percent"] == "" for row in rows[:4])
    wrong = [int(row["valid_wrong"]) for row in rows[4:]]
    assert [float(row["valid_error_percent"]) for row in rows[4:]] == [100 * w / 40 for w in wrong]
    best = next(r for r in in_process.outcome.rows if (r.cell, r.seed) == ("convex-25", 0))
    assert best.best_epoch == wrong.index(min(wrong)) + 1
    assert best.valid_error_percent == 100 * min(wrong) / 40


def test_the_row_says_what_was_measured(in_process: Any, data: Prepared) -> None:
    row = next(r for r in in_process.outcome.rows if (r.cell, r.seed) == ("convex-25", 1))
    assert row.run == in_process.folder("convex-25", seed=1).name
    assert (row.dataset, row.data_origin, row.data_sha256) == ("convex", "original", data.sha256)
    assert (row.model, row.destruction_percent, row.n_test) == ("SdA-2", 25.0, 200)
    assert row.test_error_percent == row.n_wrong / 2
    assert 0 < row.n_wrong < 100  # it learned something
    assert (row.device, row.engine, row.threads, row.error) == ("cpu", "torch", 1, "")
    assert row.config_sha256 == config_sha256(
        load_resolved(in_process.folder("convex-25", seed=1) / "config.yaml")
    )


def test_a_run_is_computed_with_the_engine_of_its_job_and_says_so(make_job: MakeJob) -> None:
    job = replace(make_job(), engine="blas")
    row = execute(job, Silent(), "dae")
    assert (row.engine, row.error) == ("blas", "")
    assert "scipy" in row.versions
    assert recorded_engine(job.folder) == "blas"


def test_a_subset_of_the_test_rows_has_no_reference(make_job: MakeJob) -> None:
    job = make_job(model={"hidden": (4, 4, 4)}, corruption={"destruction": 0.1})
    row = execute(job, Silent(), "dae")
    assert (row.model, row.destruction_percent) == ("SdA-3", 10.0)
    assert (row.paper_error_percent, row.paper_half_width_95, row.paper_model) == (None, None, "")
    assert row.verdict == "no reference"


def test_all_50000_test_rows_are_compared_with_the_paper(make_job: MakeJob) -> None:
    job = make_job(
        model={"hidden": (2, 2, 2)},
        corruption={"destruction": 0.0},
        pretrain={"epochs": 1, "batch_size": 1000},
        finetune={"max_epochs": 1, "batch_size": 1000},
        subset=None,
    )
    row = execute(job, Silent(), "dae")
    assert row.n_test == 50_000
    assert (row.paper_model, row.paper_error_percent) == ("SAA-3", 18.41)
    assert row.verdict == "worse"  # one epoch with two units


def test_gaussian_noise_has_no_reference(make_job: MakeJob) -> None:
    job = make_job(
        model={"hidden": (2, 2, 2)},
        corruption={"kind": "gaussian", "destruction": 0.0, "sigma": 0.0},
        pretrain={"epochs": 1, "batch_size": 1000},
        finetune={"max_epochs": 1, "batch_size": 1000},
        subset=None,
    )
    row = execute(job, Silent(), "dae")
    assert (row.model, row.destruction_percent) == ("SAA-3", 0.0)
    assert (row.verdict, row.paper_error_percent) == ("no reference", None)


# What is told


def test_the_watcher_hears_the_start_each_epoch_and_the_test(
    make_job: MakeJob, recorder: Any
) -> None:
    job = make_job()
    execute(job, recorder, "dae")
    assert recorder.events[0] == ("started", job.name, False)
    places = [(p.phase, p.layer, p.epoch, p.epochs) for p in recorder.positions(job.name)]
    assert places == [
        ("pretrain", 1, 0, 2),
        *(("pretrain", layer, epoch, 2) for layer in (1, 2) for epoch in (1, 2)),
        *(("finetune", None, epoch, 8) for epoch in range(1, 9)),
        ("test", None, 8, 8),
    ]


def test_the_share_done_grows_to_one(make_job: MakeJob, recorder: Any) -> None:
    # With this patience each better validation error puts the expected end off.
    job = make_job(finetune={"max_epochs": 20, "patience": 4})
    execute(job, recorder, "dae")
    shares = [position.fraction for position in recorder.positions(job.name)]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert len(set(shares)) > 5


def test_cost_and_validation_error_are_told_once_they_are_known(
    make_job: MakeJob, recorder: Any
) -> None:
    job = make_job()
    execute(job, recorder, "dae")
    told: list[Position] = recorder.positions(job.name)
    assert told[0].cost is None
    assert all(position.cost is not None for position in told[1:])
    tuned = [p.valid_error_percent is not None for p in told if p.phase != "pretrain"]
    assert all(tuned)


# Checkpoints


def _saves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    saved: list[tuple[str, int, int]] = []

    def remember(path: Path, state: Any, expected: Any) -> None:
        saved.append((state.phase, state.layer, state.epoch))
        save_checkpoint(path, state, expected)

    monkeypatch.setattr(keeper, "save_checkpoint", remember)
    return saved


def test_a_checkpoint_is_kept_in_the_middle_of_an_epoch_when_the_last_is_old(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(keeper, "MOST_SECONDS", 0.0)
    saved = _saves(monkeypatch)
    execute(make_job(), Silent(), "dae")
    per_epoch = {place: saved.count(place) for place in saved}
    assert per_epoch["pretrain", 0, 0] == 6  # 60 rows by 10
    assert per_epoch["finetune", 2, 3] == 12 + 1  # 60 rows by 5, and at the end of the epoch


def test_a_quick_run_keeps_one_at_the_end_of_each_phase_and_layer(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = _saves(monkeypatch)
    execute(make_job(), Silent(), "dae")
    assert saved == [("pretrain", 1, 0), ("finetune", 2, 0), ("done", 2, 8), ("done", 2, 8)]


@pytest.mark.parametrize(
    ("took", "seconds"), [(0.001, 20.0), (0.19, 20.0), (0.3, 30.0), (0.45, 45.0), (9.0, 50.0)]
)
def test_checkpoints_take_a_hundredth_of_the_time_and_lose_less_than_a_minute(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, took: float, seconds: float
) -> None:
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(keeper, "time", clock)
    job = make_job()
    job.partial.mkdir(parents=True)
    hanging = Keeper(job, Silent(), NeverStop())
    state = hanging.begin(torch.device("cpu"))

    def slow(path: Path, state: Any, expected: Any) -> None:
        now[0] += took

    monkeypatch.setattr(keeper, "save_checkpoint", slow)
    hanging.save(state)
    now[0] += seconds - 0.01
    assert not hanging.due()
    now[0] += 0.02
    assert hanging.due()


def test_the_last_checkpoint_holds_the_pretrained_and_the_best_parameters(in_process: Any) -> None:
    with safe_open(in_process.folder("convex-25") / CHECKPOINT, framework="pt") as file:
        names = set(file.keys())
    assert {name.partition(".")[0] for name in names} == {"pretrained", "best"}
