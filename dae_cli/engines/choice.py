"""Which engine is the fastest here: measured once per machine, then remembered in the cache.

What wins depends on the processor and on how its libraries were built, so nothing is assumed:
pretraining steps of every engine that can be had are timed. The figures stay in a small JSON file
for whoever wants to look; if it cannot be read or written, they are measured again.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import dae_cli
from dae_cli.engines.engine import Engine, engine_for
from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.errors import DaeError, OutputError
from dae_cli.files import cache_folder, write_json
from dae_cli.machine import cpu_name, vector_features, version_of
from dae_cli.models.autoencoder import Autoencoder, DenoisingBatch
from dae_cli.models.layers import draw_weights_

Figures = dict[EngineName, float]
"""Milliseconds a step of each engine that can be had."""

LIBRARIES = ("numpy", "scipy", "torch", "numba", "llvmlite")

INPUTS, UNITS, ROWS = 784, 1000, 20
"""The first layer of the networks in the table, at its batch size."""

_RATE = 0.02
_WARM_STEPS, _ROUNDS, _STEPS = 4, 12, 4


def fastest_engine(note: Callable[[str], None]) -> EngineName:
    """Return the fastest engine for the CPU in one thread; once a machine, measure for a second.

    Args:
        note: hears the figures when they are measured.
    """
    machine = _machine()
    path = _file(machine)
    known = _remembered(path, machine)
    if known and can_be_had(winner := _first(known)):
        return winner
    names = [name for name in ENGINES if can_be_had(name)]
    if len(names) == 1:
        return names[0]
    figures = _measure(names)
    note(_told(figures))
    _remember(path, machine, figures)
    return _first(figures)


def can_be_had(name: EngineName) -> bool:
    """Tell whether an engine works on this machine's CPU."""
    try:
        engine_for(name, torch.device("cpu"))
    except DaeError:
        return False
    return True


def _first(figures: Figures) -> EngineName:
    return min(figures, key=figures.__getitem__)


def _told(figures: Figures) -> str:
    """`engine: compiled (1.7 ms a step; torch 2.6, blas 2.9)`."""
    winner = _first(figures)
    others = ", ".join(f"{name} {figures[name]:.1f}" for name in figures if name != winner)
    return f"engine: {winner} ({figures[winner]:.1f} ms a step; {others})"


# Measuring


def _measure(names: Sequence[EngineName]) -> Figures:
    """Time pretraining steps of each engine in turns, so that a busy moment hurts all alike."""
    steps = {name: _step(engine_for(name, torch.device("cpu"))) for name in names}
    seconds: dict[EngineName, list[float]] = {name: [] for name in names}
    with threadpool_limits(1):  # of torch and BLAS, which are loaded by now
        for step in steps.values():
            for _ in range(_WARM_STEPS):  # kernels are compiled and memory is touched here
                step()
        for _ in range(_ROUNDS):
            for name, step in steps.items():
                begin = perf_counter()
                for _ in range(_STEPS):
                    step()
                seconds[name].append(perf_counter() - begin)
    return {name: round(1000.0 * median(s) / _STEPS, 4) for name, s in seconds.items()}


def _step(engine: Engine) -> Callable[[], None]:
    """Return a pretraining step on a minibatch that is there already."""
    random = np.random.default_rng(0)
    weight = torch.zeros(UNITS, INPUTS)
    draw_weights_(weight, "glorot", random)
    stepper = engine.stepper(Autoencoder(weight, torch.zeros(UNITS), torch.zeros(INPUTS)))
    clean = torch.from_numpy(random.random((ROWS, INPUTS), dtype=np.float32))
    kept = torch.from_numpy(random.random((ROWS, INPUTS)) > 0.25)
    memory = engine.zeros(ROWS, INPUTS), engine.zeros(ROWS, INPUTS)
    batch = DenoisingBatch(memory[0].copy_(clean), memory[1].copy_(clean * kept))

    def step() -> None:
        stepper.step(batch, batch, _RATE)

    return step


# The file


def _machine() -> dict[str, str]:
    """Return all that the figures depend on."""
    return {
        "cpu": cpu_name(),
        "architecture": platform.machine(),
        "vector_features": vector_features(),
        "dae": dae_cli.__version__,
        "python": platform.python_version(),
        **{name: version_of(name) for name in LIBRARIES},
    }


def _file(machine: dict[str, str]) -> Path:
    """One file for each machine: a home folder may be shared by several."""
    digest = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:12]
    return cache_folder() / f"engine-{digest}.json"


def _remembered(path: Path, machine: dict[str, str]) -> Figures | None:
    """Return the figures of this machine; None if there are none that make sense."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        figures = record["milliseconds_a_step"]
        sound = record["machine"] == machine and all(_sound(*item) for item in figures.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return figures if sound and figures else None


def _sound(name: str, figure: Any) -> bool:
    return name in ENGINES and type(figure) is float and math.isfinite(figure) and figure > 0


def _remember(path: Path, machine: dict[str, str], figures: Figures) -> None:
    record = {
        "engine": _first(figures),
        "milliseconds_a_step": figures,
        "step": f"pretraining, {INPUTS} to {UNITS} units, {ROWS} rows, one thread",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
    }
    with suppress(OutputError):  # a cache that cannot be written is no reason to fail
        write_json(path, record)
