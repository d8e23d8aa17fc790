"""One cluster for all tests that leave it whole, and the tiny study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.dask import DaskCluster
from tests.tiny_study import lay_out_data, lay_out_study
from tests.torture.command import Command


@pytest.fixture(scope="session")
def data_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """DAE_DATA_DIR with the made-up data set, and a cache."""
    return lay_out_data(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_environment: dict[str, str]
) -> None:
    """A folder of its own that has experiments/tiny."""
    lay_out_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable, value in data_environment.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture
def start(data_environment: dict[str, str], tmp_path: Path) -> Callable[..., Command]:
    """Start `dae` with the words given, in the test's folder."""

    def start_it(*words: str) -> Command:
        return Command(words, data_environment, tmp_path / "logs")

    return start_it


@pytest.fixture(scope="session")
def shared_cluster(
    tmp_path_factory: pytest.TempPathFactory, data_environment: dict[str, str]
) -> Iterator[DaskCluster]:
    """Started once."""
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"), data_environment)
    try:
        cluster.add_workers()
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def dask_cluster(shared_cluster: DaskCluster) -> DaskCluster:
    """The shared cluster with both workers up, whatever the test before did."""
    from tests.cluster.dask import wait_until

    wait_until(lambda: len(shared_cluster.worker_pids()) == 2)
    return shared_cluster


@pytest.fixture
def other_cluster(tmp_path: Path, data_environment: dict[str, str]) -> Iterator[DaskCluster]:
    """A scheduler without workers, for one test."""
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = DaskCluster(folder, data_environment)
    try:
        yield cluster
    finally:
        cluster.end()
