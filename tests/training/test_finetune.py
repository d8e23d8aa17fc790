"""Fine-tuning: the whole net by the labels, stopped early by the validation error alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import Engine
from dae_cli.errors import DivergedError
from dae_cli.models.network import LabelledMinibatch, Network
from dae_cli.models.operations import Operations
from dae_cli.training import finetune as finetune_module
from dae_cli.training.evaluation import count_wrong
from dae_cli.training.hooks import NoHooks
from dae_cli.training.state import TrainingState
from dae_cli.training.streams import Purpose, shuffled, stream

MakeExperiment = Callable[..., Experiment]
MakeDataset = Callable[..., Dataset]
Run = Callable[..., TrainingState]


@dataclass
class Networks(NoHooks):
    """Hooks that keep a copy of the network after every epoch of fine-tuning."""

    kept: list[list[Tensor]] = field(default_factory=list)

    def epoch_done(self, state: TrainingState) -> None:
        if state.phase == "finetune":
            self.kept.append([tensor.clone() for tensor in tensors(state.network)])


@dataclass
class Step:
    """One minibatch as the network was shown it, and its cost before the step, over all rows."""

    inputs: Tensor
    labels: Tensor
    cost: float

    @property
    def rows(self) -> int:
        return len(self.labels)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Every step of fine-tuning that the test takes."""
    taken: list[Step] = []
    descend = Network.descend

    def recorded(
        self: Network, batch: LabelledMinibatch, rate: float, operations: Operations, decay: float
    ) -> None:
        assert (rate, decay) == (0.5, 0.0)
        inputs, targets = batch.inputs.clone(), batch.targets.clone()
        assert torch.equal(targets, torch.eye(targets.shape[1])[targets.argmax(1)])
        descend(self, batch, rate, operations, decay)
        taken.append(Step(inputs, targets.argmax(1), batch.cost.item()))

    monkeypatch.setattr(Network, "descend", recorded)
    return taken


def tensors(network: Network | None) -> list[Tensor]:
    assert network is not None
    return [tensor for layer in network for tensor in (layer.weight, layer.bias)]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def script_validation(monkeypatch: pytest.MonkeyPatch, wrong: list[int]) -> Iterator[int]:
    """Let the validation errors be these, epoch by epoch."""
    script = iter(wrong)
    monkeypatch.setattr(finetune_module, "count_wrong", lambda *_: next(script))
    return script


def test_every_row_is_presented_once_an_epoch_clean_and_with_its_label(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, steps: list[Step]
) -> None:
    run(make_experiment(corruption={"destruction": 0.5}, finetune={"max_epochs": 2}))
    assert [step.rows for step in steps] == [10, 10, 10, 10, 7] * 2
    for epoch in range(2):
        order = shuffled(47, stream(0, Purpose.FINETUNE_ORDER, epoch))
        shown = steps[5 * epoch : 5 * epoch + 5]
        inputs = torch.cat([step.inputs for step in shown]).numpy()
        assert inputs.tobytes() == toy.train.as_float()[order].tobytes()
        labels = torch.cat([step.labels for step in shown])
        assert labels.tolist() == toy.train.labels[order].tolist()


def test_the_softmax_layer_starts_at_zero_so_the_first_cost_is_log_of_the_classes(
    make_experiment: MakeExperiment, run: Run, steps: list[Step]
) -> None:
    run(make_experiment())
    assert steps[0].cost / steps[0].rows == pytest.approx(math.log(3), rel=1e-6)


def test_the_learning_rate_decreases_with_the_epochs_and_every_step_decays_the_weights(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[float, float]] = []
    descend = Network.descend

    def recorded(self: Network, batch: LabelledMinibatch, rate: float, *more: Any) -> None:
        taken.append((rate, more[1]))
        descend(self, batch, rate, *more)

    monkeypatch.setattr(Network, "descend", recorded)
    settings = {"learning_rate": 0.6, "decrease": 0.5, "weight_decay": 0.01, "max_epochs": 3}
    run(make_experiment(finetune=settings))
    assert [rate for rate, _ in taken[::5]] == pytest.approx([0.6, 0.4, 0.3])
    assert all(rate == taken[k // 5 * 5][0] for k, (rate, _) in enumerate(taken))
    assert {decay for _, decay in taken} == {0.01}


def test_the_papers_protocol_has_a_constant_rate_and_no_weight_decay(
    make_experiment: MakeExperiment,
) -> None:
    settings = make_experiment().finetune
    assert (settings.decrease, settings.weight_decay) == (0.0, 0.0)


def test_two_classes_have_two_output_units(
    make_experiment: MakeExperiment, make_dataset: MakeDataset, run: Run
) -> None:
    state = run(make_experiment(), make_dataset(classes=2))
    assert state.network is not None and state.best is not None
    for network in (state.network, state.best):
        assert network.top.weight.shape == (2, 5)
        assert network.top.bias.shape == (2,)


def test_the_whole_network_is_fine_tuned_and_the_pretrained_parameters_are_kept(
    make_experiment: MakeExperiment, run: Run
) -> None:
    one = run(make_experiment(finetune={"max_epochs": 1}))
    more = run(make_experiment(finetune={"max_epochs": 4}))
    assert one.network is not None
    for layer, pretrained in zip(one.network.layers, one.autoencoders, strict=True):
        assert not torch.equal(layer.weight, pretrained.weight)
        assert not torch.equal(layer.bias, pretrained.hidden_bias)
    for fewer, many in zip(one.autoencoders, more.autoencoders, strict=True):
        assert torch.equal(fewer.weight, many.weight)
        assert torch.equal(fewer.hidden_bias, many.hidden_bias)


def test_history_tells_the_mean_cost_and_the_validation_errors_of_every_epoch(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, steps: list[Step], reference: Engine
) -> None:
    state = run(make_experiment(finetune={"max_epochs": 2, "patience": 2}))
    assert state.network is not None
    records = [record for record in state.history if record.phase == "finetune"]
    assert [(record.layer, record.epoch) for record in records] == [(None, 1), (None, 2)]
    for k, record in enumerate(records):
        mean = sum(step.cost for step in steps[5 * k : 5 * k + 5]) / 47
        assert record.cost == pytest.approx(mean, rel=1e-6)
        assert record.valid_wrong is not None
        assert record.valid_error_percent == 100 * record.valid_wrong / 31
    assert records[-1].valid_wrong == count_wrong(state.network, toy.valid, reference)


def test_early_stopping_keeps_the_earliest_of_the_best_epochs(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_validation(monkeypatch, [9, 7, 8, 5, 5, 6, 5, 7])
    networks = Networks()
    state = run(make_experiment(finetune={"max_epochs": 8, "patience": 5}), hooks=networks)
    assert (state.best_epoch, state.best_wrong, state.epoch) == (4, 5, 8)
    assert same(tensors(state.best), networks.kept[3])
    assert same(tensors(state.network), networks.kept[7])
    assert not same(tensors(state.best), tensors(state.network))


@pytest.mark.parametrize(
    ("window", "best"),
    # Means of two: 9 8 5 5.5 7 5.5 5 5.5; of three: 9 8 6.33 6 5.67 6.33 5.33 5.33; of four:
    # 9 8 6.33 6.75 6 5.5 6 5.5; of all until then they fall from epoch 4 on, to 6.125.
    [(1, 3), (2, 3), (3, 7), (4, 6), (100, 8)],
)
def test_an_epoch_is_judged_by_the_mean_validation_error_of_the_window_that_ends_with_it(
    window: int,
    best: int,
    make_experiment: MakeExperiment,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = [9, 7, 3, 8, 6, 5, 5, 6]
    script_validation(monkeypatch, wrong)
    networks = Networks()
    settings = {"max_epochs": 8, "patience": 100, "window": window}
    state = run(make_experiment(finetune=settings), hooks=networks)
    assert (state.best_epoch, state.best_wrong) == (best, wrong[best - 1])
    assert same(tensors(state.best), networks.kept[best - 1])


def test_patience_is_counted_from_the_epoch_with_the_lowest_mean(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = script_validation(monkeypatch, [9, 7, 3, 8, 5, 3, 8, 0, 9])
    state = run(make_experiment(finetune={"max_epochs": 99, "patience": 3, "window": 2}))
    # The means: 9, 8, 5, 5.5, 6.5, 4, 5.5, 4. Of two that are equal the earlier one is kept.
    assert (state.epoch, state.best_epoch, list(left)) == (9, 6, [])


@pytest.mark.parametrize(
    ("wrong", "patience", "stopped", "best"),
    [
        ([9, 9, 9, 9, 0], 3, 4, 1),
        ([9, 8, 9, 7, 8, 7, 9, 0], 3, 7, 4),
        ([9, 9, 0], 1, 2, 1),
        ([5, 4, 3, 2, 2, 0], 1, 5, 4),
    ],
)
def test_training_stops_after_patience_epochs_without_a_better_validation_error(
    make_experiment: MakeExperiment,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    wrong: list[int],
    patience: int,
    stopped: int,
    best: int,
) -> None:
    left = script_validation(monkeypatch, wrong)
    state = run(make_experiment(finetune={"max_epochs": 100, "patience": patience}))
    assert (state.epoch, state.best_epoch, state.phase) == (stopped, best, "done")
    assert list(left) == [0]  # the lower error beyond is never looked at


def test_training_stops_at_max_epochs_while_the_validation_error_still_falls(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = script_validation(monkeypatch, [9, 8, 7, 6])
    state = run(make_experiment(finetune={"max_epochs": 3, "patience": 100}))
    assert (state.epoch, state.best_epoch, state.best_wrong) == (3, 3, 7)
    assert list(left) == [6]


class Untouchable:
    """A split that fails the test at the first look."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"training looked at {name} of the test split")

    def __len__(self) -> int:
        raise AssertionError("training looked at the length of the test split")


def test_selection_never_reads_the_test_rows(
    make_experiment: MakeExperiment, run: Run, toy: Dataset
) -> None:
    untouchable = cast(Split, Untouchable())
    poisoned = replace(toy.test, labels=(toy.test.labels + 1).astype(np.uint8) % 3)
    states = [
        run(make_experiment(), replace(toy, test=test))
        for test in (toy.test, untouchable, poisoned)
    ]
    for state in states[1:]:
        assert state.history == states[0].history
        assert same(tensors(state.best), tensors(states[0].best))


def test_validation_rows_choose_the_epoch_and_train_nothing(
    make_experiment: MakeExperiment, run: Run, toy: Dataset
) -> None:
    other = replace(toy.valid, labels=(toy.valid.labels + 1).astype(np.uint8) % 3)
    ours, theirs = (run(make_experiment(), replace(toy, valid=v)) for v in (toy.valid, other))
    assert same(tensors(ours.network), tensors(theirs.network))
    assert ours.best_epoch != theirs.best_epoch


def test_the_best_parameters_give_the_best_validation_error_again(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, reference: Engine
) -> None:
    state = run(make_experiment(finetune={"max_epochs": 12, "patience": 12}))
    assert state.best is not None
    assert count_wrong(state.best, toy.valid, reference) == state.best_wrong
    assert state.best_wrong == min(record.valid_wrong or 0 for record in state.history[4:])


def test_the_toy_set_is_learned(make_experiment: MakeExperiment, run: Run) -> None:
    state = run(make_experiment(finetune={"max_epochs": 60, "patience": 60}))
    assert state.best_wrong is not None and state.best_wrong <= 3


def test_divergence_names_the_phase_the_epoch_and_the_rate_to_lower(
    make_experiment: MakeExperiment, run: Run
) -> None:
    class Poison(NoHooks):
        def epoch_done(self, state: TrainingState) -> None:
            if state.network is not None and state.epoch == 2:
                state.network.top.bias[0] = torch.nan

    expected = r"^diverged in finetune, epoch 3: the cost is nan; lower finetune\.learning_rate "
    with pytest.raises(DivergedError, match=expected + r"\(now 0\.5\)$"):
        run(make_experiment(), hooks=Poison())


def test_a_network_that_diverges_in_the_last_step_never_becomes_the_best(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, taken = Network.descend, iter(range(1000))

    def overflowing(
        self: Network, batch: LabelledMinibatch, rate: float, operations: Operations, decay: float
    ) -> None:
        descend(self, batch, rate, operations, decay)
        if next(taken) == 4:
            self.top.weight.fill_(torch.inf)

    monkeypatch.setattr(Network, "descend", overflowing)
    with pytest.raises(DivergedError, match=r"^diverged in finetune, epoch 1: a parameter"):
        run(make_experiment())
