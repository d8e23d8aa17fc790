"""Every engine that this machine has, random numbers, and matrices with guards around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from dae_cli.engines.engine import Engine, engine_for
from dae_cli.engines.names import ENGINES, EngineName
from dae_cli.errors import ConfigError
from dae_cli.models.operations import Operations


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """Ask for the shared fixture in every test here."""


def engine_or_skip(name: EngineName) -> Engine:
    try:
        return engine_for(name, torch.device("cpu"))
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", params=ENGINES)
def operations(request: pytest.FixtureRequest) -> Operations:
    """The operations of each engine in turn, but for those that this machine does not have."""
    return engine_or_skip(request.param).operations


@pytest.fixture(scope="session")
def compiled() -> Operations:
    """The operations of the compiled engine, where it can be had."""
    return engine_or_skip("compiled").operations


@pytest.fixture(scope="session")
def draw() -> Callable[..., Tensor]:
    """Draw normal numbers of a shape in single precision, the same for the same seed."""

    def normal(*shape: int, seed: int = 0) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return normal


@dataclass(frozen=True)
class Guarded:
    """A vector or matrix as a view of memory that holds a guard everywhere else."""

    view: Tensor
    memory: Tensor
    before: Tensor

    @property
    def unchanged(self) -> bool:
        """Whether nothing was written, neither to the view nor around it."""
        return self._same(torch.ones_like(self.memory, dtype=torch.bool))

    @property
    def guards_stand(self) -> bool:
        """Whether nothing but the view was written to."""
        outside, view = torch.ones_like(self.memory, dtype=torch.bool), self.view
        outside.as_strided(view.shape, view.stride(), view.storage_offset()).fill_(False)
        return self._same(outside)

    def _same(self, where: Tensor) -> bool:
        return torch.equal(self.memory.view(torch.int32)[where], self.before[where])


@pytest.fixture(scope="session")
def guarded() -> Callable[..., Guarded]:
    """Put numbers into guarded memory, `gap` guards between the rows.

    The guard NaN shows in a result if what lies beside an operand is used.
    """

    def put(values: Tensor, gap: int = 0, offset: int = 7, guard: float = math.nan) -> Guarded:
        width = values.shape[-1] + gap
        size = offset + len(values.view(-1, values.shape[-1])) * width + 40
        memory = torch.full((size,), guard)
        view = memory.as_strided(values.shape, (width, 1)[-values.dim() :], offset).copy_(values)
        return Guarded(view, memory, memory.clone().view(torch.int32))

    return put
