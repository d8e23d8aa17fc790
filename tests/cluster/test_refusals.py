"""What is refused before anything runs, without a cluster."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.data.filter_images import prepare_images
from dae_cli.data.provide import prepare
from dae_cli.errors import DataError
from dae_cli.study.locks import hold
from dae_cli.study.workers.cluster_worker import Requirements, Versions, own_data, unfitness


def _replicate(address: str) -> Any:
    return CliRunner().invoke(app, ["replicate", "tiny", "--scheduler", address], prog_name="dae")


def test_nobody_listening_is_told_at_once_and_leaves_nothing() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    ended = _replicate(address)
    assert ended.exit_code == 1
    assert f"--scheduler {address}: no Dask scheduler answers there (Connection refused)" in (
        ended.stderr
    )
    assert not Path("results").exists()


@pytest.mark.parametrize("address", ["host:8786", "tcp://host", "tcp://:8786", "8786", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    ended = _replicate(address)
    assert ended.exit_code == 2
    assert "is no address of a Dask scheduler; expected one such as tcp://HOST:8786" in ended.stderr


def test_without_dask_the_way_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    ended = _replicate("tcp://127.0.0.1:8786")
    assert ended.exit_code == 2
    assert "pip install '.[cluster]' where dae's source is, here and on all workers" in ended.stderr


@pytest.fixture
def required(tmp_path: Path) -> Requirements:
    """What a command in the test's folder asks; the lock is not held yet."""
    (tmp_path / "probe").write_text("text")
    return Requirements(Versions.here(), tmp_path / "probe", "text", tmp_path / "probe-lock")


def test_a_worker_that_sees_the_folder_and_its_locks_fits(required: Requirements) -> None:
    with hold(required.lock):
        assert unfitness(required) == ""


def test_a_worker_that_does_not_see_the_folder_or_another_one_does_not_fit(
    required: Requirements, tmp_path: Path
) -> None:
    there = replace(required, probe=tmp_path / "elsewhere" / "probe")
    assert unfitness(there).startswith(
        f"does not see what the command wrote to {tmp_path / 'elsewhere'} (No such file or dir"
    )
    assert unfitness(replace(required, text="other")).startswith("sees something else in")


def test_a_file_system_without_locks_does_not_fit(required: Requirements) -> None:
    assert "its file system must have locks" in unfitness(required)


@pytest.mark.parametrize("field", ["dae", "torch", "commit"])
def test_a_worker_of_another_version_does_not_fit(required: Requirements, field: str) -> None:
    changed: dict[str, Any] = {field: "other"}
    other = replace(required, versions=replace(required.versions, **changed))
    assert "install the same on both" in unfitness(other)


def test_data_are_prepared_anew_where_the_commands_cache_is_not_seen(tmp_path: Path) -> None:
    here = prepare("rect")
    elsewhere = replace(here, path=tmp_path / "not-shared" / here.path.name)
    assert own_data(elsewhere, None) == here
    with pytest.raises(DataError, match=r"^has rect with SHA-256 .* the command's has 00000000000"):
        own_data(replace(elsewhere, sha256="0" * 64), None)


def test_a_worker_takes_the_photographs_of_a_shared_folder_or_its_own(tmp_path: Path) -> None:
    shipped = prepare_images("photographs", note=lambda _: None)
    elsewhere = replace(shipped, path=Path("/nowhere/skimage/data"))
    assert own_data(elsewhere, None) == shipped
    Image.fromarray(np.arange(900, dtype=np.uint8).reshape(30, 30)).save(tmp_path / "a.png")
    shared = prepare_images("photographs", photos=tmp_path, note=lambda _: None)
    assert own_data(shared, None) == shared
    with pytest.raises(DataError, match=r"has other photographs \(9 photographs that scikit-image"):
        own_data(replace(shared, path=Path("/nowhere")), None)
