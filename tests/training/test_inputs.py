"""What a layer is shown: the rows themselves, from bytes or from the codes of the layer below."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dae_cli.data.dataset import Split
from dae_cli.engines.engine import Engine
from dae_cli.training.batches import batches
from dae_cli.training.inputs import Codes, Inputs, Pixels

ROWS, D = 9, 21


def split() -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (ROWS, D), dtype=np.uint8)
    return Split(pixels, np.zeros(ROWS, np.uint8), 1 / 255)


@pytest.fixture(params=["pixels", "codes"])
def inputs(request: pytest.FixtureRequest, engine: Engine) -> Inputs:
    """The rows of the split, as pixels or as if they were codes."""
    if request.param == "pixels":
        return Pixels(split(), ROWS)
    codes = engine.operations.zeros(ROWS, D, torch.zeros(0))
    return Codes(codes.copy_(torch.from_numpy(split().as_float())))


def memory(rows: int, engine: Engine) -> NDArray[np.float32]:
    """Return memory as that of a minibatch, with something in it."""
    memory: NDArray[np.float32] = engine.operations.zeros(rows, D, torch.zeros(0)).numpy()
    memory[:] = np.nan
    return memory


@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_presented_rows_are_the_chosen_rows_bit_for_bit(
    inputs: Inputs, engine: Engine, batch_size: int
) -> None:
    rows = split().as_float()
    assert (len(inputs), inputs.width) == rows.shape
    for chosen in batches(np.random.default_rng(1).permutation(ROWS), batch_size):
        out = memory(len(chosen), engine)
        inputs.into(chosen, out)
        assert out.tobytes() == rows[chosen].tobytes()


def test_gathering_changes_neither_the_rows_nor_what_lies_beside_the_memory(
    inputs: Inputs, engine: Engine
) -> None:
    above_and_below = memory(6, engine)
    inputs.into(np.array([3, 3, 8, 0]), above_and_below[1:5])
    assert np.isnan(above_and_below[[0, 5]]).all()
    assert above_and_below[1:5].tobytes() == split().as_float()[[3, 3, 8, 0]].tobytes()
    assert inputs.chunk(0, ROWS).numpy().tobytes() == split().as_float().tobytes()


def test_a_chunk_holds_the_rows_in_order(inputs: Inputs) -> None:
    for start, stop in ((0, 4), (4, 9), (8, 9)):
        assert (
            inputs.chunk(start, stop).numpy().tobytes() == split().as_float()[start:stop].tobytes()
        )


def test_a_copy_lies_in_memory_that_torch_has_aligned(inputs: Inputs) -> None:
    chunk = inputs.chunk(0, ROWS)
    assert chunk.dtype == torch.float32 and chunk.shape == (ROWS, D) and chunk.stride(1) == 1
    assert chunk.data_ptr() % 64 == 0
