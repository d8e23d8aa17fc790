"""Training by stochastic gradient descent, from a run's current state until it is done.

Pretraining is greedy: layer k is trained on the codes that the layers below compute from *clean*
inputs. Corruption is applied only to the input of the layer being trained, and only while it is
trained (ICML 2008, section 2.4). RBMs are stacked in the same way: each is trained on the codes
P(h|x) of the one below (Bengio, Lamblin, Popovici and Larochelle 2007).

Fine-tuning trains the whole network on the labels with early stopping: it keeps the parameters with
the lowest validation error, from the earliest epoch in case of ties. Test rows are not used (ICML
2008, section 2.4 and table 1). The paper does not give its stopping rule; patience is our choice.
Learning rate decay, weight decay and averaging validation errors over epochs are not in the paper;
they are off by default (docs/notes.md).

A run can stop after any step and resume later with bit-identical results: the order of the rows is
drawn again from its own stream (streams.py), and the training state includes the cost so far and
the state of the noise generator.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dae_cli.config.schema import Experiment, PretrainedExperiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine, Stepper
from dae_cli.errors import DivergedError
from dae_cli.models.corruption import corruption_of
from dae_cli.models.network import Network
from dae_cli.models.rbm import Rbm
from dae_cli.training.evaluation import count_wrong, encode_rows
from dae_cli.training.inputs import (
    DenoisingBuffer,
    GibbsBuffer,
    Indices,
    Inputs,
    LabelledBuffer,
    Minibatches,
    Noise,
    Pixels,
)
from dae_cli.training.state import EpochProgress, EpochRecord, TrainingState, begin_chains
from dae_cli.training.streams import Purpose, shuffled, stream


class Callbacks:
    """Functions that training calls; an exception raised in one of them stops training."""

    def is_checkpoint_due(self) -> bool:
        """Return whether to call `on_checkpoint`; called after each step, so it must be fast."""
        return False

    def on_checkpoint(self, state: TrainingState) -> None:
        """Save a checkpoint; `state` is consistent within an epoch (`state.interim`)."""

    def on_epoch_end(self, state: TrainingState) -> None:
        """Called after each epoch; `state` is consistent and can be saved."""

    def on_phase_end(self, state: TrainingState) -> None:
        """Called after a layer is pretrained or fine-tuning ends; `state` is at the next phase."""


class TrainingRun:
    """One run on one engine. Each step updates its `state`."""

    def __init__(
        self,
        experiment: PretrainedExperiment,
        state: TrainingState,
        engine: Engine,
        callbacks: Callbacks,
    ) -> None:
        self._experiment, self.state = experiment, state
        self._engine, self._callbacks = engine, callbacks

    def train(self, dataset: Dataset) -> None:
        """Do what remains of pretraining and fine-tuning; raises DivergedError."""
        self.pretrain(Pixels(dataset.train, self._experiment.pretrain.batch_size))
        self.finetune(dataset)

    def pretrain(self, inputs: Inputs) -> None:
        """Train every layer that is not trained yet; the lowest one is trained on `inputs`."""
        state = self.state
        if state.phase != "pretrain":
            return
        for number, layer in enumerate(state.layers, start=1):
            if number > state.layer:
                self._pretrain_layer(inputs)
                state.layer, state.epoch = number, 0
                if number == len(state.layers):
                    state.phase = "finetune"
                self._callbacks.on_phase_end(state)
            if number < len(state.layers):
                inputs = encode_rows(inputs, layer, self._engine)

    def _pretrain_layer(self, inputs: Inputs) -> None:
        state, settings, seed = self.state, self._experiment.pretrain, self._experiment.seed
        layer = state.layers[state.layer]
        buffer: Any
        if isinstance(layer, Rbm):
            purpose = Purpose.GIBBS
            if layer.chains is None:
                begin_chains(settings, layer)
            buffer = partial(GibbsBuffer, inputs, layer, self._engine)
        else:
            purpose = Purpose.CORRUPTION
            chosen = self._experiment.corruption
            corruption = corruption_of(chosen.kind, chosen.model_dump())
            buffer = partial(DenoisingBuffer, inputs, corruption, self._engine)
        stepper = self._engine.stepper(layer)
        minibatches = Minibatches(buffer, settings.batch_size)
        while state.epoch < settings.epochs:
            position = state.layer, state.epoch
            order = shuffled(len(inputs), stream(seed, Purpose.PRETRAIN_ORDER, *position))
            noise = stream(seed, purpose, *position)
            cost = self._epoch(stepper, minibatches, order, noise, settings.learning_rate)
            state.epoch += 1
            state.history.append(EpochRecord("pretrain", state.layer + 1, state.epoch, cost))
            self._callbacks.on_epoch_end(state)
        if isinstance(layer, Rbm):
            layer.chains = None

    def finetune(self, dataset: Dataset) -> None:
        """Train the whole network until patience or the epochs run out."""
        state, experiment = self.state, self._experiment
        assert isinstance(experiment, Experiment)
        settings = experiment.finetune
        if state.phase != "finetune":
            return
        if state.network is None:
            state.network = Network.stacked(state.layers, dataset.n_classes, settings.weight_decay)
        stepper = self._engine.stepper(state.network)
        inputs = Pixels(dataset.train, settings.batch_size)
        onehot = np.eye(dataset.n_classes, dtype=np.float32)[dataset.train.labels]
        buffer = partial(LabelledBuffer, inputs, onehot, self._engine)
        minibatches = Minibatches(buffer, settings.batch_size)
        while (
            state.epoch < settings.max_epochs and state.epoch - state.best_epoch < settings.patience
        ):
            random = stream(experiment.seed, Purpose.FINETUNE_ORDER, state.epoch)
            order = shuffled(len(inputs), random)
            rate = settings.learning_rate / (1.0 + settings.decrease * state.epoch)
            cost = self._epoch(stepper, minibatches, order, None, rate)
            wrong = count_wrong(state.network, dataset.valid, self._engine)
            state.epoch += 1
            percent = 100.0 * wrong / len(dataset.valid)
            record = EpochRecord("finetune", None, state.epoch, cost, wrong, percent)
            state.history.append(record)
            if _is_best(state, settings.window):
                state.best, state.best_wrong = state.network.copy(), wrong
                state.best_epoch = state.epoch
            self._callbacks.on_epoch_end(state)
        state.phase = "done"
        self._callbacks.on_phase_end(state)

    def _epoch(
        self,
        stepper: Stepper[Any],
        minibatches: Minibatches[Any],
        order: Indices,
        noise: Noise,
        learning_rate: float,
    ) -> float:
        """Take a step on each remaining minibatch of an epoch.

        Args:
            noise: generator of the corruption or the Gibbs chain, at the start of its stream.

        Returns:
            The epoch's mean cost per row; each row's cost is measured before its step.
        """
        state, steps, total = self.state, 0, _CostSum(self._engine.device)
        if state.interim is not None:
            steps = state.interim.steps
            total.add(state.interim.cost)
            if noise is not None and state.interim.noise is not None:
                state.interim.noise.restore(noise)
        for batch, upcoming, generator in minibatches.draw(order, noise, steps):
            total.add(stepper.step(batch, upcoming, learning_rate))
            steps += 1
            if not math.isfinite(total.on_cpu):
                break
            if self._callbacks.is_checkpoint_due():
                self._check(total.value())
                state.interim = EpochProgress(steps, total.value(), generator)
                self._callbacks.on_checkpoint(state)
        state.interim = None
        self._check(total.value())
        return total.value() / len(order)

    def _check(self, cost: float) -> None:
        """Check that the cost and the parameters are finite; the cost precedes the last step.

        Raises:
            DivergedError: one of them is not.
        """
        if not math.isfinite(cost):
            problem = f"the cost is {cost}"
        elif not all(bool(tensor.isfinite().all()) for tensor in self.state.tensors().values()):
            problem = "a parameter is not finite"
        else:
            return
        phase = self.state.phase
        layer = f", layer {self.state.layer + 1}" if phase == "pretrain" else ""
        rate = getattr(self._experiment, phase).learning_rate
        raise DivergedError(
            f"diverged in {phase}{layer}, epoch {self.state.epoch + 1}: {problem}; "
            f"lower {phase}.learning_rate (now {rate:g})"
        )


def _is_best(state: TrainingState, window: int) -> bool:
    """Return whether the last epoch has a lower validation error than the best one before it.

    The error is averaged over the last `window` epochs, or over fewer if there are fewer. This does
    not favour early epochs, because their errors are the highest.
    """
    wrong = [r.valid_wrong for r in state.history if r.valid_wrong is not None]

    def mean(epoch: int) -> Fraction:
        recent = wrong[max(0, epoch - window) : epoch]
        return Fraction(sum(recent), len(recent))

    return state.best_wrong is None or mean(state.epoch) < mean(state.best_epoch)


class _CostSum:
    """Sum of costs over an epoch; a GPU's part stays on the GPU until `value` is called."""

    def __init__(self, device: torch.device) -> None:
        self.on_cpu = 0.0  # the part that was added on the CPU
        # MPS has no double precision.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._on_device = torch.zeros((), dtype=dtype, device=device)

    def add(self, cost: float | Tensor) -> None:
        if isinstance(cost, Tensor) and cost.device.type != "cpu":
            self._on_device.add_(cost)
        else:
            self.on_cpu += float(cost)

    def value(self) -> float:
        return self.on_cpu + self._on_device.item()
