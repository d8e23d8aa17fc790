"""Greedy pretraining, watched through the real loop: what each layer is shown, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from dae_cli.config.schema import CorruptionSettings, Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import Engine
from dae_cli.errors import DivergedError
from dae_cli.models.autoencoder import Autoencoder, Minibatch
from dae_cli.models.corruption import Array, Corruption, Gaussian, Masking, SaltAndPepper
from dae_cli.models.operations import Operations
from dae_cli.training import pretrain as pretrain_module
from dae_cli.training.hooks import NoHooks
from dae_cli.training.inputs import Pixels
from dae_cli.training.pretrain import clean_codes, corruption_from
from dae_cli.training.state import EpochRecord, TrainingState, initial_state
from dae_cli.training.streams import Purpose, shuffled, stream

MakeExperiment = Callable[..., Experiment]
Run = Callable[..., TrainingState]


@dataclass
class Presented:
    """One minibatch as a layer was shown it."""

    clean: Array
    corrupted: Array


@dataclass
class Recorder:
    """A corruption that writes down every call before it passes the result on."""

    inner: Corruption
    calls: list[Presented] = field(default_factory=list)

    def corrupt(self, clean: Array, random: np.random.Generator, out: Array) -> None:
        self.inner.corrupt(clean, random, out)
        self.calls.append(Presented(clean.copy(), out.copy()))


@dataclass
class Snapshots(NoHooks):
    """Hooks that keep a copy of every parameter after every epoch."""

    tensors: list[dict[str, Tensor]] = field(default_factory=list)
    places: list[tuple[str, int, int]] = field(default_factory=list)

    def epoch_done(self, state: TrainingState) -> None:
        self.tensors.append({name: t.clone() for name, t in state.tensors().items()})
        self.places.append((state.phase, state.layer, state.epoch))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Presented]:
    """What every layer is shown, in order, while the test trains."""
    calls: list[Presented] = []
    monkeypatch.setattr(
        pretrain_module,
        "corruption_from",
        lambda settings: Recorder(corruption_from(settings), calls),
    )
    return calls


def rows_of(calls: list[Presented]) -> Array:
    return np.concatenate([call.clean for call in calls])


def in_order(rows: Array) -> list[bytes]:
    return sorted(row.tobytes() for row in rows)


def test_the_config_names_the_corruption() -> None:
    masking = CorruptionSettings(kind="masking", destruction=0.25)
    pepper = CorruptionSettings(kind="salt-and-pepper", destruction=0.1)
    gaussian = CorruptionSettings(kind="gaussian", sigma=0.5)
    assert corruption_from(masking) == Masking(0.25)
    assert corruption_from(pepper) == SaltAndPepper(0.1)
    assert corruption_from(gaussian) == Gaussian(0.5)


def test_every_row_is_presented_once_an_epoch_and_the_last_minibatch_may_be_short(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, shown: list[Presented]
) -> None:
    run(make_experiment())
    assert [len(call.clean) for call in shown] == [10, 10, 10, 10, 7] * 4  # 2 layers, 2 epochs
    first_layer = rows_of(shown[:10])
    for epoch in (first_layer[:47], first_layer[47:]):
        assert in_order(epoch) == in_order(toy.train.as_float())


def test_every_epoch_has_an_order_of_its_own(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, shown: list[Presented]
) -> None:
    run(make_experiment())
    orders = [rows_of(shown[k : k + 5]).tobytes() for k in (0, 5)]
    assert len({*orders, toy.train.as_float().tobytes()}) == 3


def test_corruption_is_drawn_afresh_at_every_presentation(
    make_experiment: MakeExperiment, run: Run, shown: list[Presented]
) -> None:
    alike = Split(np.full((23, 100), 200, np.uint8), np.zeros(23, np.uint8), 1 / 255)
    dataset = Dataset("convex", 2, alike, alike, alike, "original", "0" * 64)
    run(make_experiment(corruption={"destruction": 0.5}, pretrain={"epochs": 3}), dataset)
    first_layer = [row for call in shown[:9] for row in call.corrupted]
    assert len(first_layer) == 3 * 23
    assert len({row.tobytes() for row in first_layer}) == len(first_layer)


@pytest.mark.parametrize("epochs", [1, 2])
def test_every_presented_row_has_exactly_nu_d_zeros_in_every_layer(
    make_experiment: MakeExperiment, run: Run, shown: list[Presented], epochs: int
) -> None:
    run(make_experiment(model={"hidden": (8, 5)}, pretrain={"epochs": epochs}))
    for call in shown:
        d = call.clean.shape[1]
        assert ((call.corrupted == 0).sum(axis=1) == round(0.25 * d)).all()
        kept = call.corrupted != 0
        assert call.corrupted[kept].tobytes() == call.clean[kept].tobytes()
    assert {call.clean.shape[1] for call in shown} == {20, 8}


def test_inputs_are_the_grey_values_in_0_1_and_never_standardised(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, shown: list[Presented]
) -> None:
    run(make_experiment(pretrain={"epochs": 1}))
    rows = rows_of(shown[:5])
    grey = (toy.train.pixels / 255).astype(np.float32)
    assert in_order(rows) == in_order(grey)
    assert rows.min() >= 0 and rows.max() <= 1


def test_layers_above_are_trained_on_the_clean_codes_of_the_trained_layers_below(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, shown: list[Presented]
) -> None:
    state = run(make_experiment(model={"hidden": (6, 5, 4)}, pretrain={"epochs": 1}))
    codes = toy.train.as_float()
    for layer in range(3):
        presented = rows_of(shown[5 * layer : 5 * layer + 5])
        order = shuffled(47, stream(0, Purpose.PRETRAIN_ORDER, layer, 0))
        np.testing.assert_array_equal(presented, codes[order])
        trained = state.autoencoders[layer]
        activation = trained.hidden_bias + torch.from_numpy(codes) @ trained.weight.T
        codes = torch.sigmoid(activation).numpy()


def test_corruption_is_applied_to_the_layer_being_trained_alone(
    make_experiment: MakeExperiment, run: Run, shown: list[Presented]
) -> None:
    run(make_experiment(pretrain={"epochs": 3}))
    widths = [call.clean.shape[1] for call in shown]
    assert widths == [20] * 15 + [6] * 15  # once a minibatch, and not one in fine-tuning


def test_the_step_is_taken_from_the_corrupted_input_to_the_clean_target(
    make_experiment: MakeExperiment,
    run: Run,
    shown: list[Presented],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[tuple[bytes, bytes]] = []
    descend = Autoencoder.descend

    def recorded(self: Autoencoder, batch: Minibatch, rate: float, operations: Operations) -> None:
        steps.append((batch.clean.numpy().tobytes(), batch.corrupted.numpy().tobytes()))
        assert rate == 0.1
        descend(self, batch, rate, operations)

    monkeypatch.setattr(Autoencoder, "descend", recorded)
    run(make_experiment())
    assert steps == [(call.clean.tobytes(), call.corrupted.tobytes()) for call in shown]


@pytest.mark.parametrize("kind", ["masking", "salt-and-pepper", "gaussian"])
def test_no_destruction_equals_training_without_corruption(
    make_experiment: MakeExperiment, run: Run, toy: Dataset, kind: str
) -> None:
    experiment = make_experiment(corruption={"kind": kind, "destruction": 0.0, "sigma": 0.0})
    plain = initial_state(experiment, 20, torch.float32).autoencoders
    rows = torch.from_numpy(toy.train.as_float())
    for layer, autoencoder in enumerate(plain):
        assert isinstance(autoencoder, Autoencoder)
        for epoch in range(2):
            order = shuffled(47, stream(0, Purpose.PRETRAIN_ORDER, layer, epoch))
            for start in range(0, 47, 10):
                clean = rows[order[start : start + 10]]
                autoencoder.descend(autoencoder.minibatch(len(clean)).fill(clean, clean), 0.1)
        rows = autoencoder.encode(rows, torch.empty(47, len(autoencoder.hidden_bias)))
    for ours, theirs in zip(plain, run(experiment).autoencoders, strict=True):
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.hidden_bias, theirs.hidden_bias)
        assert torch.equal(ours.visible_bias, theirs.visible_bias)


def test_runs_that_differ_in_destruction_share_weights_and_order_of_presentation(
    make_experiment: MakeExperiment, run: Run, shown: list[Presented]
) -> None:
    first_layers, starts = [], []
    for destruction in (0.0, 0.25, 0.5):
        shown.clear()
        experiment = make_experiment(corruption={"destruction": destruction})
        starts.append(initial_state(experiment, 20, torch.float32).tensors())
        run(experiment)
        first_layers.append(rows_of(shown[:10]).tobytes())
    assert len(set(first_layers)) == 1
    for start in starts[1:]:
        assert all(torch.equal(tensor, starts[0][name]) for name, tensor in start.items())


def test_a_layer_changes_only_while_it_is_trained(
    make_experiment: MakeExperiment, run: Run
) -> None:
    snapshots = Snapshots()
    run(make_experiment(model={"tied": False}), hooks=snapshots)
    assert snapshots.places[:4] == [
        ("pretrain", 0, 1),
        ("pretrain", 0, 2),
        ("pretrain", 1, 1),
        ("pretrain", 1, 2),
    ]
    for before, after in pairwise(range(4)):
        trained = f"pretrained.{snapshots.places[after][1] + 1}."
        for name, tensor in snapshots.tensors[after].items():
            same = torch.equal(tensor, snapshots.tensors[before][name])
            assert same != name.startswith(trained), name


def test_history_tells_the_mean_cost_of_every_row_of_the_epoch(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[float] = []
    descend = Autoencoder.descend

    def recorded(self: Autoencoder, batch: Minibatch, rate: float, operations: Operations) -> None:
        descend(self, batch, rate, operations)
        costs.append(batch.cost.item())

    monkeypatch.setattr(Autoencoder, "descend", recorded)
    history = run(make_experiment()).history[:4]
    assert [(r.phase, r.layer, r.epoch) for r in history] == [
        ("pretrain", 1, 1),
        ("pretrain", 1, 2),
        ("pretrain", 2, 1),
        ("pretrain", 2, 2),
    ]
    for k, record in enumerate(history):
        assert record.cost == pytest.approx(sum(costs[5 * k : 5 * k + 5]) / 47, rel=1e-6)
        assert record == EpochRecord("pretrain", record.layer, record.epoch, record.cost)


def test_the_cost_falls_while_a_layer_is_trained(make_experiment: MakeExperiment, run: Run) -> None:
    history = run(make_experiment(pretrain={"epochs": 20})).history
    first = [record.cost for record in history if record.layer == 1]
    assert first[-1] < first[0]


def test_no_epochs_of_pretraining_present_nothing_and_leave_the_initial_weights(
    make_experiment: MakeExperiment, run: Run, shown: list[Presented]
) -> None:
    experiment = make_experiment(pretrain={"epochs": 0})
    state = run(experiment)
    assert shown == []
    assert {record.phase for record in state.history} == {"finetune"}
    for name, tensor in initial_state(experiment, 20, torch.float32).tensors().items():
        assert torch.equal(state.tensors()[name], tensor)


def test_without_layers_below_the_clean_codes_are_the_grey_values(
    toy: Dataset, reference: Engine
) -> None:
    codes = clean_codes(Pixels(toy.train, 10), [], reference)
    assert codes.chunk(0, len(codes)).numpy().tobytes() == toy.train.as_float().tobytes()


def test_divergence_names_phase_layer_epoch_and_the_rate_to_lower(
    make_experiment: MakeExperiment, run: Run
) -> None:
    rate = {"learning_rate": 1000.0, "loss": "squared-error", "epochs": 9}
    expected = r"^diverged in pretrain, layer 1, epoch \d: the cost is (inf|nan); "
    with pytest.raises(DivergedError, match=expected + r"lower pretrain\.learning_rate \(now 1000"):
        run(make_experiment(pretrain=rate))


def test_divergence_in_the_second_layer_names_it_and_its_epoch(
    make_experiment: MakeExperiment, run: Run
) -> None:
    class Poison(Snapshots):
        def epoch_done(self, state: TrainingState) -> None:
            super().epoch_done(state)
            if self.places[-1] == ("pretrain", 1, 1):
                state.autoencoders[1].weight[0, 0] = torch.nan

    poison = Poison()
    with pytest.raises(DivergedError, match=r"^diverged in pretrain, layer 2, epoch 2: .* nan;"):
        run(make_experiment(), hooks=poison)
    assert poison.places[-1] == ("pretrain", 1, 1)  # the epoch that diverged is never reported


def test_divergence_in_the_last_step_of_a_layer_is_blamed_on_that_layer(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, steps = Autoencoder.descend, iter(range(1000))

    def overflowing(
        self: Autoencoder, batch: Minibatch, rate: float, operations: Operations
    ) -> None:
        descend(self, batch, rate, operations)
        if next(steps) == 9:  # the last of two epochs of five
            self.visible_bias[0] = torch.inf

    monkeypatch.setattr(Autoencoder, "descend", overflowing)
    with pytest.raises(DivergedError, match=r"^diverged in pretrain, layer 1, epoch 2: a param"):
        run(make_experiment())


def test_divergence_is_noticed_in_its_step_not_at_the_end_of_the_epoch(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, steps = Autoencoder.descend, []

    def overflowing(
        self: Autoencoder, batch: Minibatch, rate: float, operations: Operations
    ) -> None:
        descend(self, batch, rate, operations)
        steps.append(batch.rows)
        if len(steps) == 2:
            self.visible_bias[0] = torch.nan

    monkeypatch.setattr(Autoencoder, "descend", overflowing)
    with pytest.raises(DivergedError, match=r"^diverged in pretrain, layer 1, epoch 1: the cost"):
        run(make_experiment())
    assert len(steps) == 3  # of five


def test_no_state_with_a_number_that_is_not_finite_is_kept(
    make_experiment: MakeExperiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    descend, kept = Autoencoder.descend, []

    def overflowing(
        self: Autoencoder, batch: Minibatch, rate: float, operations: Operations
    ) -> None:
        descend(self, batch, rate, operations)
        self.visible_bias[0] = torch.nan  # which the cost of this step does not show

    class AlwaysDue(NoHooks):
        def due(self) -> bool:
            return True

        def keep(self, state: TrainingState) -> None:
            kept.append(state)

    monkeypatch.setattr(Autoencoder, "descend", overflowing)
    with pytest.raises(DivergedError, match="a parameter is not finite"):
        run(make_experiment(), hooks=AlwaysDue())
    assert kept == []
