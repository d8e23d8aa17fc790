"""Which finished run is meant by the name of an experiment."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.config.experiments import ResolvedExperiment
from dae_cli.errors import RunFolderError
from dae_cli.study.run.finished import finished_runs
from dae_cli.study.run.folder import CHECKPOINT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Any) -> Path:
    """A current folder whose results hold the study's run folders."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(in_process.out / "runs", tmp_path / "results" / "tiny" / "runs")
    return tmp_path


def _cell(in_process: Any, name: str) -> ResolvedExperiment:
    cell: ResolvedExperiment = next(c for c in in_process.study.all_cells if c.cell == name)
    return cell


def test_the_finished_run_of_an_experiment_is_found_by_its_config(
    here: Path, in_process: Any
) -> None:
    for name in ("convex-0", "convex-25"):
        found = finished_runs(_cell(in_process, name))[0]
        assert found.resolve().parent == (here / "results/tiny/runs").resolve()
        assert found.name == in_process.folder(name).name


def test_the_seed_is_part_of_the_experiment(here: Path, in_process: Any) -> None:
    cell = _cell(in_process, "convex-25")
    second = replace(cell, experiment=cell.experiment.model_copy(update={"seed": 1}))
    assert finished_runs(second)[0].name == in_process.folder("convex-25", seed=1).name


def test_of_several_runs_the_newest_counts(here: Path, in_process: Any) -> None:
    cell = _cell(in_process, "convex-25")
    old = finished_runs(cell)[0]
    new = old.with_name("a-run-on-other-data")
    shutil.copytree(old, new)
    os.utime(old / CHECKPOINT, (1e9, 1e9))
    os.utime(new / CHECKPOINT, (2e9, 2e9))
    assert finished_runs(cell) == [new, old]
    os.utime(old / CHECKPOINT, (2.1e9, 2.1e9))
    assert finished_runs(cell) == [old, new]


def test_a_failed_or_another_experiment_has_no_finished_run(here: Path, in_process: Any) -> None:
    for cell in (
        _cell(in_process, "convex-50"),
        replace(_cell(in_process, "convex-0"), name="elsewhere/convex-0"),
    ):
        with pytest.raises(RunFolderError) as caught:
            finished_runs(cell)
        assert str(caught.value).endswith(f"train it with dae train {cell.name}")
        assert "no finished run of these settings in results" in str(caught.value)


def test_an_experiment_that_was_renamed_keeps_its_run(here: Path, in_process: Any) -> None:
    renamed = replace(_cell(in_process, "convex-25"), name="tiny/renamed")
    assert [run.name for run in finished_runs(renamed)] == [in_process.folder("convex-25").name]


def test_damaged_folders_are_passed_over(here: Path, in_process: Any) -> None:
    cell = _cell(in_process, "convex-25")
    good = finished_runs(cell)[0]
    for name, damage in (("a", "status.json"), ("b", "config.yaml"), ("c", CHECKPOINT)):
        shutil.copytree(good, good.with_name(name))
        (good.with_name(name) / damage).unlink()
    shutil.copytree(good, good.with_name("d"))
    (good.with_name("d") / "status.json").write_text("[]")
    (good.parent / "empty").mkdir()
    assert finished_runs(cell) == [good]


def test_runs_of_other_settings_are_named_and_the_words_are_the_users(
    here: Path, in_process: Any
) -> None:
    cell = _cell(in_process, "convex-25")
    other = replace(cell, experiment=cell.experiment.model_copy(update={"seed": 7}))
    with pytest.raises(RunFolderError) as caught:
        finished_runs(other, "./my/convex-25.yaml")
    runs = [in_process.folder("convex-25", seed=seed).name for seed in (0, 1)]
    named = ", ".join(sorted(runs))
    assert f"(of other settings or seeds: {named}; give the folder)" in str(caught.value)
    assert str(caught.value).endswith("train it with dae train ./my/convex-25.yaml")
