"""The fastest engine: measured once a machine, remembered, and never a reason to fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info

from dae_cli.engines import choice
from dae_cli.engines.choice import can_be_had, fastest_engine
from dae_cli.engines.engine import Engine, engine_for
from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.errors import ConfigError
from dae_cli.machine import version_of
from dae_cli.models.autoencoder import Autoencoder, Minibatch
from dae_cli.models.operations import TorchOperations

FIGURES: dict[EngineName, float] = {"torch": 2.63, "blas": 2.88, "compiled": 1.71}
NOTE = "engine: compiled (1.7 ms a step; torch 2.6, blas 2.9)"


class Machine:
    """A machine on which every engine is there and measuring takes no time."""

    def __init__(self) -> None:
        self.missing: set[EngineName] = set()
        self.measured: list[list[EngineName]] = []
        self.notes: list[str] = []

    def engine_for(self, name: EngineName, device: torch.device) -> Engine:
        if name in self.missing:
            raise ConfigError(f"--engine {name}: not here")
        return Engine(name, device, TorchOperations())

    def measure(self, names: Sequence[EngineName]) -> dict[EngineName, float]:
        self.measured.append(list(names))
        return {name: FIGURES[name] for name in names}

    def fastest(self) -> EngineName:
        return fastest_engine(self.notes.append)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, not there yet."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that the choice is made on."""
    machine = Machine()
    monkeypatch.setattr(choice, "engine_for", machine.engine_for)
    monkeypatch.setattr(choice, "_measure", machine.measure)
    return machine


def _file(cache: Path) -> Path:
    (path,) = cache.iterdir()
    return path


def test_it_is_measured_once_and_told_once(machine: Machine) -> None:
    assert [machine.fastest() for _ in range(3)] == ["compiled"] * 3
    assert machine.measured == [["torch", "blas", "compiled"]]
    assert machine.notes == [NOTE]


def test_the_cache_has_the_figures_to_look_at(machine: Machine, cache: Path) -> None:
    machine.fastest()
    assert _file(cache).suffix == ".json"
    record = json.loads(_file(cache).read_text(encoding="utf-8"))
    assert (record["engine"], record["milliseconds_a_step"]) == ("compiled", FIGURES)
    assert record["step"] == "pretraining, 784 to 1000 units, 20 rows, one thread"
    # PyPI's build calls itself 2.11.0+cu130 and is installed as 2.11.0
    assert torch.__version__.startswith(record["machine"]["torch"])
    assert record["machine"]["torch"]
    assert {"cpu", "architecture", "vector_features", "python", "numba"} <= set(record["machine"])


@pytest.mark.parametrize("what", ["cpu_name", "vector_features"])
def test_another_processor_is_measured_by_itself_and_both_are_remembered(
    machine: Machine, cache: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    machine.fastest()
    with monkeypatch.context() as patch:
        patch.setattr(choice, what, lambda: "another")
        machine.fastest()
        machine.fastest()
    machine.fastest()
    assert len(machine.measured) == 2
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("library", ["numpy", "scipy", "torch", "numba", "llvmlite"])
def test_another_version_of_a_library_is_measured_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    machine.fastest()
    told = version_of
    monkeypatch.setattr(choice, "version_of", lambda name: told(name) + "+" * (name == library))
    machine.fastest()
    assert len(machine.measured) == 2


def _changed(**changes: Any) -> Any:
    return lambda text: json.dumps(json.loads(text) | changes).encode()


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda text: text[: len(text) // 2].encode(),
        lambda _: b"\xff\xfe\x00",
        lambda _: b"null",
        lambda _: b"[1]",
        lambda _: b"{}",
        lambda _: b"[" * 100_000,
        _changed(machine={}),
        _changed(milliseconds_a_step={}),
        _changed(milliseconds_a_step=[1.0]),
        _changed(milliseconds_a_step={"torch": "fast"}),
        _changed(milliseconds_a_step={"torch": True}),
        _changed(milliseconds_a_step={"torch": -1.0}),
        _changed(milliseconds_a_step={"torch": float("nan"), "blas": 1.0}),
        _changed(milliseconds_a_step={"abacus": 0.1, "torch": 1.0}),
    ],
)
def test_a_damaged_file_is_measured_again_and_mended(
    machine: Machine, cache: Path, damage: Any
) -> None:
    machine.fastest()
    whole = json.loads(_file(cache).read_text(encoding="utf-8"))
    _file(cache).write_bytes(damage(_file(cache).read_text(encoding="utf-8")))
    assert machine.fastest() == "compiled"
    assert len(machine.measured) == 2
    mended = json.loads(_file(cache).read_text(encoding="utf-8"))
    assert mended | {"measured": ""} == whole | {"measured": ""}


def test_a_file_that_cannot_be_read_or_replaced_is_no_failure(
    machine: Machine, cache: Path
) -> None:
    machine.fastest()
    path = _file(cache)
    path.unlink()
    path.mkdir()
    assert [machine.fastest(), machine.fastest()] == ["compiled"] * 2
    assert len(machine.measured) == 3
    assert _file(cache) == path  # and nothing half-written beside it


def test_a_cache_that_cannot_be_written_is_no_failure(machine: Machine, cache: Path) -> None:
    cache.write_text("a file in its place")
    assert [machine.fastest(), machine.fastest()] == ["compiled"] * 2
    assert machine.notes == [NOTE, NOTE]


def test_an_engine_that_cannot_be_had_is_left_out(machine: Machine) -> None:
    machine.missing = {"compiled"}
    assert machine.fastest() == "torch"
    assert machine.measured == [["torch", "blas"]]
    assert machine.notes == ["engine: torch (2.6 ms a step; blas 2.9)"]


def test_a_remembered_engine_that_is_gone_is_not_taken(machine: Machine) -> None:
    machine.fastest()
    machine.missing = {"compiled"}
    assert machine.fastest() == "torch"
    assert machine.measured[1:] == [["torch", "blas"]]


def test_a_single_engine_need_not_be_measured(machine: Machine, cache: Path) -> None:
    machine.missing = {"blas", "compiled"}
    assert machine.fastest() == "torch"
    assert (machine.measured, machine.notes, cache.exists()) == ([], [], False)


def test_every_engine_that_is_here_is_measured_by_real_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "_ROUNDS", 1)
    names: list[EngineName] = [name for name in ENGINES if can_be_had(name)]
    assert {"torch", "blas"} <= set(names)
    figures = choice._measure(names)
    assert list(figures) == names
    assert all(choice._sound(*item) for item in figures.items())


def test_one_thread_is_measured_whatever_the_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()

    def step(_: Engine) -> Callable[[], None]:
        return lambda: seen.update(
            [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())]
        )

    monkeypatch.setattr(choice, "_step", step)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        choice._measure(["torch", "blas"])
        assert seen == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_step_is_one_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[float] = []
    descend = Autoencoder.descend

    def watched(self: Autoencoder, batch: Minibatch, *more: Any) -> None:
        descend(self, batch, *more)
        costs.append(float(batch.cost))

    monkeypatch.setattr(Autoencoder, "descend", watched)
    step = choice._step(engine_for("torch", torch.device("cpu")))
    for _ in range(5):
        step()
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]
