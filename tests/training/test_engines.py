"""Every engine is shown the same, and learns the same within the rounding of single precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine
from dae_cli.models.autoencoder import Autoencoder, Minibatch
from dae_cli.models.network import LabelledMinibatch, Network
from dae_cli.models.operations import Operations
from dae_cli.training.state import TrainingState

MakeExperiment = Callable[..., Experiment]
Run = Callable[..., TrainingState]
Array = NDArray[np.float32]

MODELS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied": {"model": {"tied": False}},
    "squared-error": {"pretrain": {"loss": "squared-error"}},
    "untied-squared-error": {"model": {"tied": False}, "pretrain": {"loss": "squared-error"}},
    "gaussian": {"corruption": {"kind": "gaussian", "sigma": 0.3}},
    "salt-and-pepper": {"corruption": {"kind": "salt-and-pepper", "destruction": 0.25}},
}
each_model = pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)


@dataclass
class Shown:
    """Copies of all that was presented, minibatch by minibatch."""

    pretraining: list[tuple[Array, Array]] = field(default_factory=list)
    finetuning: list[tuple[Array, Array]] = field(default_factory=list)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What is presented while the test trains."""
    shown, pretrain, finetune = Shown(), Autoencoder.descend, Network.descend

    def pretraining(self: Autoencoder, batch: Minibatch, rate: float, ops: Operations) -> None:
        shown.pretraining.append((batch.clean.numpy().copy(), batch.corrupted.numpy().copy()))
        pretrain(self, batch, rate, ops)

    def finetuning(self: Network, batch: LabelledMinibatch, rate: float, *more: Any) -> None:
        shown.finetuning.append((batch.inputs.numpy().copy(), batch.targets.numpy().copy()))
        finetune(self, batch, rate, *more)

    monkeypatch.setattr(Autoencoder, "descend", pretraining)
    monkeypatch.setattr(Network, "descend", finetuning)
    return shown


@each_model
def test_two_layers_and_fine_tuning_end_where_the_reference_ends(
    make_experiment: MakeExperiment,
    run: Run,
    engine: Engine,
    reference: Engine,
    changes: dict[str, Any],
) -> None:
    experiment = make_experiment(**changes)
    ours, theirs = run(experiment, engine=engine), run(experiment, engine=reference)
    assert ours.tensors().keys() == theirs.tensors().keys()
    for name, tensor in theirs.tensors().items():
        torch.testing.assert_close(ours.tensors()[name], tensor, rtol=1e-5, atol=5e-6)
    assert len(ours.history) == len(theirs.history) == 8
    for record, expected in zip(ours.history, theirs.history, strict=True):
        assert record.cost == pytest.approx(expected.cost, rel=1e-5)
        assert record.valid_wrong == expected.valid_wrong


@each_model
def test_the_same_is_presented_in_the_same_order_with_the_same_corruption(
    make_experiment: MakeExperiment,
    run: Run,
    shown: Shown,
    toy: Dataset,
    engine: Engine,
    reference: Engine,
    changes: dict[str, Any],
) -> None:
    experiment = make_experiment(**changes)
    run(experiment, engine=reference)
    theirs = Shown(shown.pretraining.copy(), shown.finetuning.copy())
    shown.pretraining.clear()
    shown.finetuning.clear()
    run(experiment, engine=engine)
    assert len(shown.pretraining) == len(theirs.pretraining) == 20  # 2 layers, 2 epochs of 5
    pixels = [k for k, (clean, _) in enumerate(shown.pretraining) if clean.shape[1] == 20]
    assert pixels == list(range(10))
    assert _bits(shown.pretraining[:10]) == _bits(theirs.pretraining[:10])
    assert _bits(shown.finetuning) == _bits(theirs.finetuning)
    for (clean, corrupted), (x, x_tilde) in zip(shown.pretraining, theirs.pretraining, strict=True):
        # Codes are computed and may differ in their last bits; what was done to them may not.
        np.testing.assert_allclose(clean, x, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(corrupted == clean, x_tilde == x)
        np.testing.assert_allclose(corrupted, x_tilde, rtol=0, atol=1e-5)


def _bits(presented: list[tuple[Array, Array]]) -> list[tuple[bytes, bytes]]:
    return [(first.tobytes(), second.tobytes()) for first, second in presented]


def test_wider_layers_end_where_the_reference_ends_too(
    make_experiment: MakeExperiment,
    make_dataset: Callable[..., Dataset],
    run: Run,
    engine: Engine,
    reference: Engine,
) -> None:
    """Sizes at which tiles of every kind are used, and a last minibatch of one row."""
    experiment = make_experiment(
        model={"hidden": (53, 37)}, pretrain={"batch_size": 20}, finetune={"batch_size": 20}
    )
    dataset = make_dataset(train=121)
    ours, theirs = (run(experiment, dataset, engine=e) for e in (engine, reference))
    for name, tensor in theirs.tensors().items():
        torch.testing.assert_close(ours.tensors()[name], tensor, rtol=1e-5, atol=5e-6)
    for record, expected in zip(ours.history, theirs.history, strict=True):
        assert record.cost == pytest.approx(expected.cost, rel=1e-5)
