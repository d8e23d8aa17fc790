"""A forked command behaves like one that is executed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.children import Child, wait_until
from tests.support.tiny import snapshot

pytestmark = pytest.mark.usefixtures("tiny")

SAME = (".safetensors", ".npy", ".yaml")


@pytest.mark.slow
def test_a_forked_command_has_the_results_of_an_executed_one(
    child: Callable[..., Child], tmp_path: Path
) -> None:
    for out, executed in (("one", False), ("two", True)):
        child("replicate", "tiny", "--out", out, executed=executed).wait().succeeded()
    one = snapshot(tmp_path / "one" / "runs", SAME)
    assert one and one == snapshot(tmp_path / "two" / "runs", SAME)


def test_a_forked_command_handles_signals_and_has_their_exit_code(
    child: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", "0.05")
    begun = child("replicate", "tiny", "--set", "pretrain.epochs=100000")
    wait_until(lambda: list(Path("results").rglob("status.json")), begun)
    assert begun.end(signal.SIGINT).code == 130
    killed = child("replicate", "tiny", "--set", "pretrain.epochs=100000", "--out", "other")
    wait_until(lambda: list(Path("other").rglob("status.json")), killed)
    killed.kill()
    assert killed.wait().code == 128 + signal.SIGKILL
    assert killed.survivors() == []
