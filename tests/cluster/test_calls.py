"""The calls that a cluster's workers make, whatever is called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dae_cli.errors import ConfigError
from dae_cli.stopping import NeverStop, Stop
from dae_cli.study.progress import Silent
from dae_cli.study.workers.cluster import Killed, UnfitWorkerError
from dae_cli.study.workers.cluster_connection import connected
from dae_cli.study.workers.cluster_worker import CalledOff, Versions
from tests.cluster.dask import DaskCluster

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def _made(cluster: DaskCluster, folder: Path, functions: dict[str, Any]) -> dict[str, Any]:
    with connected(cluster.address, Silent()) as calling:
        calling.require(folder)
        stop_file = folder / "stop"
        ended = calling.run(functions.items(), at_most=9, stop=NeverStop(), stop_file=stop_file)
        with closing(ended):
            return dict(ended)


def test_a_call_that_kills_its_workers_is_given_up_and_the_others_are_made(
    dask_cluster: DaskCluster, tmp_path: Path
) -> None:
    def deadly(_: Stop) -> None:  # functions within functions are sent whole
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    def good(result: int) -> Callable[[Stop], int]:
        return lambda _: result

    functions = {"deadly": deadly, **{f"good-{k}": good(k) for k in range(5)}}
    made = _made(dask_cluster, tmp_path, functions)
    assert isinstance(made.pop("deadly"), Killed)
    assert made == {f"good-{k}": k for k in range(5)}
    assert list(tmp_path.glob(".*")) == []


def test_a_worker_that_cannot_do_it_is_named(dask_cluster: DaskCluster, tmp_path: Path) -> None:
    def lacking(_: Stop) -> None:
        raise ConfigError("--engine compiled: this processor has no vectors")

    with pytest.raises(UnfitWorkerError, match=r"^tcp://127\.0\.0\.1:\d+: --engine compiled: this"):
        _made(dask_cluster, tmp_path, {"lacking": lacking})


def test_a_call_that_was_called_off_is_made_again(
    dask_cluster: DaskCluster, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"

    def at_second(_: Stop) -> Any:
        if mark.exists():
            return "done"
        mark.touch()
        return CalledOff()

    assert _made(dask_cluster, tmp_path, {"again": at_second}) == {"again": "done"}


def test_workers_of_other_versions_are_refused_by_name(
    dask_cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Versions.here()
    monkeypatch.setattr(Versions, "here", lambda: Versions("9.9", 7, here.torch, here.commit))
    with pytest.raises(UnfitWorkerError) as caught:
        _made(dask_cluster, tmp_path, {})
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and all(line.startswith("tcp://127.0.0.1:") for line in lines)
    assert "the command has dae 9.9 (numerics 7, commit " in lines[0]
    assert list(tmp_path.glob(".*")) == []
