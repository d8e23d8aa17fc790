"""Stacked RBMs: what each layer is shown, and what a run of them keeps and ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine
from dae_cli.errors import DivergedError, RunFolderError
from dae_cli.models.rbm import Draw, GibbsMinibatch, Rbm
from dae_cli.training.checkpoint import Expected, load_checkpoint, save_checkpoint
from dae_cli.training.hooks import NoHooks
from dae_cli.training.state import TrainingState, initial_state, network_from
from dae_cli.training.streams import Purpose, shuffled, stream

CPU = torch.device("cpu")
MakeExperiment = Callable[..., Experiment]
Run = Callable[..., TrainingState]
Content = Callable[[TrainingState], dict[str, Any]]

KINDS: dict[str, dict[str, Any]] = {
    "cd-1": {},
    "cd-3": {"gibbs_steps": 3},
    "persistent": {"persistent": True},
    "persistent-2": {"persistent": True, "gibbs_steps": 2},
    "probabilities": {"sample_visible": False, "gibbs_steps": 2},
}
each_kind = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)


@pytest.fixture
def make_dbn(make_experiment: MakeExperiment) -> Callable[..., Experiment]:
    """Make a small experiment with RBMs; keyword arguments are those of `pretrain`."""

    def make(**settings: Any) -> Experiment:
        return make_experiment(corruption={"destruction": 0.0}, pretrain={"kind": "rbm"} | settings)

    return make


def chances(noise: np.random.Generator, tensor: Tensor) -> None:
    """Fill a tensor as training does, said another way."""
    tensor.copy_(torch.from_numpy(noise.random(tuple(tensor.shape), dtype=np.float32)))


@each_kind
def test_a_stack_of_rbms_is_trained_on_clean_codes_with_one_stream_an_epoch(
    make_dbn: MakeExperiment, run: Run, toy: Dataset, settings: dict[str, Any]
) -> None:
    experiment = make_dbn(**settings)
    plain = initial_state(experiment, 20, torch.float32).autoencoders
    rows = torch.from_numpy(toy.train.as_float())
    for layer, rbm in enumerate(plain):
        assert isinstance(rbm, Rbm)
        chains = rbm.new_chains(10) if settings.get("persistent") else None
        for epoch in range(2):
            order = shuffled(47, stream(0, Purpose.PRETRAIN_ORDER, layer, epoch))
            draw = partial(chances, stream(0, Purpose.GIBBS, layer, epoch))
            for start in range(0, 47, 10):
                clean = rows[order[start : start + 10]]
                batch = rbm.minibatch(len(clean))
                batch.clean.copy_(clean)
                rbm.descend(batch, 0.1, draw, chains=chains)
        rows = rbm.encode(rows, torch.empty(47, len(rbm.hidden_bias)))
    trained = run(experiment)
    assert [type(layer) for layer in trained.autoencoders] == [Rbm, Rbm]
    for ours, theirs in zip(plain, trained.autoencoders, strict=True):
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.hidden_bias, theirs.hidden_bias)
        assert torch.equal(ours.visible_bias, theirs.visible_bias)


def test_fine_tuning_begins_with_copies_of_the_rbms_weights_and_hidden_biases(
    make_dbn: MakeExperiment, run: Run
) -> None:
    pretrained = run(make_dbn())
    network = network_from(pretrained.autoencoders, 3)
    for layer, rbm in zip(network.layers, pretrained.autoencoders, strict=True):
        assert torch.equal(layer.weight, rbm.weight)
        assert torch.equal(layer.bias, rbm.hidden_bias) and rbm.hidden_bias.any()
    assert pretrained.network is not None and pretrained.phase == "done"
    assert pretrained.history[0].cost > pretrained.history[1].cost  # of the first layer


def test_rbms_and_autoencoders_of_a_seed_start_at_the_same_weights(
    make_dbn: MakeExperiment, make_experiment: MakeExperiment
) -> None:
    for ours, theirs in zip(
        initial_state(make_dbn(), 20, torch.float32).autoencoders,
        initial_state(make_experiment(), 20, torch.float32).autoencoders,
        strict=True,
    ):
        assert torch.equal(ours.weight, theirs.weight)


@each_kind
def test_every_engine_ends_where_the_reference_ends(
    make_dbn: MakeExperiment,
    run: Run,
    engine: Engine,
    reference: Engine,
    settings: dict[str, Any],
) -> None:
    experiment = make_dbn(**settings)
    ours, theirs = run(experiment, engine=engine), run(experiment, engine=reference)
    for name, tensor in theirs.tensors().items():
        torch.testing.assert_close(ours.tensors()[name], tensor, rtol=1e-5, atol=5e-6)
    for record, expected in zip(ours.history, theirs.history, strict=True):
        assert record.cost == pytest.approx(expected.cost, rel=1e-5)
        assert record.valid_wrong == expected.valid_wrong


@dataclass
class Drawn:
    """Copies of the samples of every step."""

    states: list[bytes] = field(default_factory=list)
    visible: list[bytes] = field(default_factory=list)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """What is sampled while the test trains."""
    drawn, descend = Drawn(), Rbm.descend

    def recorded(self: Rbm, batch: GibbsMinibatch, rate: float, draw: Draw, *rest: Any) -> None:
        descend(self, batch, rate, draw, *rest)
        drawn.states.append(batch.states.numpy().tobytes())
        if self.sample_visible:
            drawn.visible.append(batch.visible.numpy().tobytes())

    monkeypatch.setattr(Rbm, "descend", recorded)
    return drawn


@each_kind
def test_every_engine_samples_the_same(
    make_dbn: MakeExperiment,
    run: Run,
    engine: Engine,
    reference: Engine,
    drawn: Drawn,
    settings: dict[str, Any],
) -> None:
    run(make_dbn(**settings), engine=reference)
    theirs = Drawn(drawn.states.copy(), drawn.visible.copy())
    drawn.states.clear()
    drawn.visible.clear()
    run(make_dbn(**settings), engine=engine)
    assert len(drawn.states) == 20  # 2 layers, 2 epochs of 5
    assert drawn == theirs


# Checkpoints


class Stopped(Exception):
    """The run was stopped after a step."""


@dataclass
class StopAfter(NoHooks):
    """Hooks that keep a checkpoint after so many steps and stop the run there."""

    steps: int
    path: Path
    expected: Expected

    def due(self) -> bool:
        self.steps -= 1
        return self.steps == 0

    def keep(self, state: TrainingState) -> None:
        save_checkpoint(self.path, state, self.expected)
        raise Stopped

    def epoch_done(self, state: TrainingState) -> None:
        if self.due():
            self.keep(state)


@pytest.fixture
def stopped_after(run: Run, tmp_path: Path) -> Callable[..., tuple[Path, Expected]]:
    """Stop a run after some steps, an epoch's end counting as one; return its checkpoint."""

    def stop(experiment: Experiment, steps: int, engine: Engine) -> tuple[Path, Expected]:
        path, expected = tmp_path / "checkpoint.safetensors", Expected(experiment, "d" * 64, 20, 3)
        with pytest.raises(Stopped):
            run(experiment, engine=engine, hooks=StopAfter(steps, path, expected))
        return path, expected

    return stop


@each_kind
@pytest.mark.parametrize("steps", [1, 5, 6, 9, 12, 13, 17])
def test_a_run_of_rbms_stopped_anywhere_ends_at_the_same_bits(
    make_dbn: MakeExperiment,
    run: Run,
    engine: Engine,
    stopped_after: Callable[..., tuple[Path, Expected]],
    content: Content,
    settings: dict[str, Any],
    steps: int,
) -> None:
    experiment = make_dbn(**settings)
    path, expected = stopped_after(experiment, steps, engine)
    state = load_checkpoint(path, expected, CPU)
    assert (state.chains is not None) == bool(settings.get("persistent"))
    went_on = run(experiment, state=state, engine=engine)
    assert content(went_on) == content(run(experiment, engine=engine))


def test_chains_are_kept_while_their_layer_is_trained_and_dropped_afterwards(
    make_dbn: MakeExperiment, run: Run
) -> None:
    seen: list[tuple[int, int, tuple[int, ...] | None]] = []

    class Watch(NoHooks):
        def epoch_done(self, state: TrainingState) -> None:
            shape = None if state.chains is None else tuple(state.chains.shape)
            seen.append((state.layer, state.epoch, shape))

        def phase_done(self, state: TrainingState) -> None:
            self.epoch_done(state)

    run(make_dbn(persistent=True), hooks=Watch())
    assert seen[:6] == [
        *((0, 1, (10, 6)), (0, 2, (10, 6)), (1, 0, None)),
        *((1, 1, (10, 5)), (1, 2, (10, 5)), (2, 0, None)),
    ]


def test_a_checkpoint_without_its_chains_or_with_others_is_refused(
    make_dbn: MakeExperiment,
    reference: Engine,
    stopped_after: Callable[..., tuple[Path, Expected]],
) -> None:
    experiment = make_dbn(persistent=True)
    path, expected = stopped_after(experiment, 2, reference)
    state = load_checkpoint(path, expected, CPU)
    for chains, told in (
        (None, "it lacks chains"),
        (torch.zeros(9, 6), r"chains is F32 \[9, 6\], expected \[10, 6\]"),
    ):
        state.chains = chains
        save_checkpoint(path, state, expected)
        with pytest.raises(RunFolderError, match=told):
            load_checkpoint(path, expected, CPU)
    fresh = initial_state(make_dbn(), 20, torch.float32)
    fresh.chains, plain = torch.zeros(10, 6), Expected(make_dbn(), "d" * 64, 20, 3)
    save_checkpoint(path, fresh, plain)
    with pytest.raises(RunFolderError, match="'chains', which this run has not"):
        load_checkpoint(path, plain, CPU)


def test_rbms_that_diverge_are_told_with_the_layer_and_the_rate_to_lower(
    make_dbn: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend = Rbm.descend

    def poisoned(self: Rbm, *arguments: Any) -> None:
        descend(self, *arguments)
        self.hidden_bias[0] = torch.inf

    monkeypatch.setattr(Rbm, "descend", poisoned)
    with pytest.raises(DivergedError, match=r"diverged in pretrain, layer 1, epoch 1: .* lower"):
        run(make_dbn())
