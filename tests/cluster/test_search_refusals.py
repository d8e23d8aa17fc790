"""What ends a search on a cluster, or keeps a worker out of it; without a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.errors import ConfigError
from dae_cli.search import cluster_trials
from dae_cli.search.claim import TrialLeftError
from dae_cli.search.cluster_storage import Wanted, storage_unfitness
from dae_cli.search.plan import TRIALS, SearchPlan
from dae_cli.search.storage import open_study
from dae_cli.stopping import NeverStop
from dae_cli.study.progress import Silent
from dae_cli.study.workers.cluster import ClusterError, Killed
from dae_cli.study.workers.files import WorkerFiles


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    """The storage of a command that has one study."""
    from optuna import version

    storage = str(tmp_path / "trials.journal")
    study = open_study(storage, "tiny/rect-0/1a2b")
    study.set_user_attr("place 7", True)
    return Wanted(storage, ("tiny/rect-0/1a2b",), "place 7", version.__version__)


def test_a_worker_that_sees_the_storage_fits(wanted: Wanted) -> None:
    assert storage_unfitness(wanted) == ""


def test_a_worker_that_sees_another_storage_does_not_fit_and_makes_nothing(
    wanted: Wanted, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    other = replace(wanted, storage=str(elsewhere / "trials.journal"))
    assert storage_unfitness(other).startswith("does not see the command's trials in ")
    assert not elsewhere.exists()
    assert storage_unfitness(replace(wanted, studies=("other",))) != ""
    assert storage_unfitness(replace(wanted, mark="place of another folder")) != ""


def test_a_storage_that_was_removed_and_made_anew_is_read_anew(
    wanted: Wanted, tmp_path: Path
) -> None:
    assert storage_unfitness(wanted) == ""
    Path(wanted.storage).unlink()
    assert storage_unfitness(replace(wanted, command="a later one")) != ""


def test_a_database_that_a_worker_cannot_open_is_told_without_its_password(wanted: Wanted) -> None:
    told = storage_unfitness(replace(wanted, storage="nosuch://user:secret@host/searches"))
    assert told.startswith("--storage nosuch://user:…@host/searches: cannot be opened (")
    assert told.endswith("choose it with --storage")
    assert "secret" not in told


def test_a_worker_without_optuna_or_with_another_version_does_not_fit(
    wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = storage_unfitness(replace(wanted, optuna="0.1"))
    assert other.startswith("has optuna ") and "the command has 0.1; install the same" in other
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "dae search needs optuna" in (told := storage_unfitness(wanted))
    assert "pip install '.[search]' where dae's source is" in told


@pytest.fixture
def plan(tmp_path: Path) -> SearchPlan:
    """A search of nothing."""
    found = SearchPlan(
        "tiny", (), (), tmp_path, "nosuch://u:secret@host/x", "random", 0, 1, "torch", "cpu", "dae"
    )
    (found.folder / TRIALS).mkdir(parents=True)
    return found


def test_a_worker_that_loses_the_storage_in_mid_trial_says_what_all_must_reach(
    plan: SearchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna.exceptions import StorageInternalError

    def lost(*_: object, **__: object) -> None:
        raise StorageInternalError("connection refused\nmore")

    monkeypatch.setattr(cluster_trials, "make_next", lost)
    with pytest.raises(ConfigError) as caught:
        cluster_trials._make_on_worker(plan, (), None, "trial-1", NeverStop())
    assert str(caught.value).startswith(
        "cannot use the storage nosuch://u:…@host/x (StorageInternalError: connection refused); "
        "all workers must reach the storage"
    )


def test_a_trial_that_cannot_go_on_ends_the_command_and_does_not_make_its_worker_unfit(
    plan: SearchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(*_: object, **__: object) -> None:
        raise TrialLeftError("rect-0 trial 1: no room left")

    class OneWorker:
        data_dir = None

        def run(self, calls: Any, **_: Any) -> Iterator[tuple[str, Any]]:
            for name, function in calls:
                yield name, function(NeverStop())

    asked: list[int] = []
    monkeypatch.setattr(cluster_trials, "make_next", left)
    monkeypatch.setattr(WorkerFiles, "ask_to_stop", lambda _: asked.append(1))
    cluster: Any = OneWorker()
    made = cluster_trials.make_on_cluster(
        plan, cluster, workers=1, stop=NeverStop(), since=(), watcher=Silent()
    )
    with pytest.raises(TrialLeftError, match="rect-0 trial 1: no room left") as caught:
        list(made)
    assert caught.value.exit_code == 1
    assert asked == [1]


def test_workers_that_are_killed_before_they_have_a_trial_end_the_command(
    plan: SearchPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deadly:
        data_dir = None

        def run(self, calls: Any, **_: Any) -> Iterator[tuple[str, Killed]]:
            for name, _function in calls:
                yield name, Killed()

    monkeypatch.setattr(cluster_trials, "fail_left", lambda *_, **__: None)
    cluster: Any = Deadly()
    made = cluster_trials.make_on_cluster(
        plan, cluster, workers=1, stop=NeverStop(), since=(), watcher=Silent()
    )
    with pytest.raises(ClusterError, match="killed again and again before they have a trial"):
        list(made)
