"""Nothing is allocated in the inner loop: neither by torch nor by NumPy."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder, LossKind
from dae_cli.models.corruption import Corruption, Gaussian, Masking, SaltAndPepper
from dae_cli.models.network import Layer, Network
from dae_cli.models.rbm import Rbm
from dae_cli.training.inputs import Codes, Inputs, Pixels
from dae_cli.training.steps import FinetuningStep, GibbsStep, PretrainingStep

ROWS, D, UNITS, CLASSES = 247, 784, 1000, 10
BATCHES = [np.arange(100), np.arange(100, 200), np.arange(200, ROWS)]
CORRUPTIONS: list[Corruption] = [Masking(0.25), SaltAndPepper(0.25), Gaussian(0.3)]

SCALAR = 16
"""Bytes of a number, as torch rounds them up."""

OBJECTS = 2048
"""Bytes of Python's own objects: views, tuples, numbers. An array of 100 rows has more."""

Steps = Callable[[], object]


@pytest.fixture
def pixels() -> Pixels:
    """Bytes of as many components as the sets of the paper have."""
    values = np.random.default_rng(0).integers(0, 256, (ROWS, D), dtype=np.uint8)
    return Pixels(Split(values, np.zeros(ROWS, np.uint8), 1 / 255), len(BATCHES[0]))


@pytest.fixture(params=["pixels", "codes"])
def inputs(request: pytest.FixtureRequest, pixels: Pixels, engine: Engine) -> Inputs:
    """What the lowest layer is shown; and what a layer on a thousand units is shown."""
    if request.param == "pixels":
        return pixels
    values = engine.operations.zeros(ROWS, UNITS, torch.zeros(0))
    return Codes(values.copy_(torch.rand(ROWS, UNITS)))


def small(*shape: int) -> Tensor:
    return torch.rand(shape) / 1000


def pretraining(
    inputs: Inputs, engine: Engine, corruption: Corruption, loss: LossKind, tied: bool
) -> Steps:
    """Return steps of pretraining with the full minibatch and the short one."""
    d, hidden = inputs.width, 110
    decoder = None if tied else small(d, hidden)
    model = Autoencoder(small(hidden, d), small(hidden), small(d), loss, decoder)
    step, random = PretrainingStep(model, inputs, corruption, engine), np.random.SFC64(0)
    noise = np.random.Generator(random)

    def run() -> None:
        for chosen in BATCHES:
            step.take(chosen, noise, 0.001)

    return run


def gibbs(inputs: Inputs, engine: Engine, persistent: bool) -> Steps:
    """Return steps of an RBM with the full minibatch and the short one."""
    d, hidden = inputs.width, 110
    chains = torch.zeros(len(BATCHES[0]), hidden) if persistent else None
    step = GibbsStep(Rbm(small(hidden, d), small(hidden), small(d), 2), inputs, engine, chains)
    noise = np.random.Generator(np.random.SFC64(0))

    def run() -> None:
        for chosen in BATCHES:
            step.take(chosen, noise, 0.001)

    return run


def finetuning(inputs: Inputs, engine: Engine) -> Steps:
    """Return steps of fine-tuning with the full minibatch and the short one."""
    layers = [Layer(small(n, m), small(n)) for n, m in ((110, D), (70, 110), (CLASSES, 70))]
    labels = (np.arange(ROWS) % CLASSES).astype(np.uint8)
    step = FinetuningStep(Network(layers[:-1], layers[-1]), inputs, labels, engine)

    def run() -> None:
        for chosen in BATCHES:
            step.take(chosen, 0.001)

    return run


def arrays_of_torch(steps: Steps, folder: Path) -> list[int]:
    """Return the bytes of all that torch allocates during the steps, but for single numbers."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        steps()
    trace = folder / "trace.json"
    profiler.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    sizes = [event["args"]["Bytes"] for event in events if event["name"] == "[memory]"]
    return [size for size in sizes if size > SCALAR]


def peak_of_python(steps: Steps) -> int:
    """Return the most bytes that Python and NumPy hold during the steps beyond those before."""
    tracemalloc.start()
    try:
        steps()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        steps()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def assert_no_allocation(steps: Steps, folder: Path) -> None:
    for _ in range(2):  # memory is made and kernels are compiled
        steps()
    assert arrays_of_torch(steps, folder) == []
    assert peak_of_python(steps) < OBJECTS


def test_an_array_that_is_allocated_and_dropped_is_seen(tmp_path: Path) -> None:
    numbers, array = torch.rand(1000), np.zeros(1000)
    assert arrays_of_torch(lambda: numbers.copy_(numbers.exp()), tmp_path) == [4000]
    assert peak_of_python(lambda: np.copyto(array, array + 1)) >= array.nbytes


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
def test_pretraining_allocates_nothing_in_its_inner_loop(
    inputs: Inputs, engine: Engine, tmp_path: Path, loss: LossKind, tied: bool
) -> None:
    steps = pretraining(inputs, engine, CORRUPTIONS[0], loss, tied)
    assert_no_allocation(steps, tmp_path)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=repr)
def test_no_corruption_allocates_anything(
    pixels: Pixels, reference: Engine, tmp_path: Path, corruption: Corruption
) -> None:
    steps = pretraining(pixels, reference, corruption, "cross-entropy", True)
    assert_no_allocation(steps, tmp_path)


@pytest.mark.parametrize("persistent", [False, True], ids=["cd", "persistent"])
def test_contrastive_divergence_allocates_nothing_in_its_inner_loop(
    inputs: Inputs, engine: Engine, tmp_path: Path, persistent: bool
) -> None:
    assert_no_allocation(gibbs(inputs, engine, persistent), tmp_path)


def test_fine_tuning_allocates_nothing_in_its_inner_loop(
    pixels: Pixels, engine: Engine, tmp_path: Path
) -> None:
    assert_no_allocation(finetuning(pixels, engine), tmp_path)
