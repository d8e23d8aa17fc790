"""Training compared with the equations in double precision and with the paper's protocol."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from tests.entry_points.training import (
    Data,
    Rows,
    Trained,
    has_engine,
    initial_parameters,
    minibatches_seen,
    rewrite,
    toy_data,
    toy_settings,
    train,
)
from tests.support.commands import Ended

pytestmark = pytest.mark.usefixtures("one_thread")

Settings = dict[str, Any]
Doubles = NDArray[np.float64]
WEIGHTS, PRETRAIN_ORDER, CORRUPTION, FINETUNE_ORDER, GIBBS = range(1, 6)
"""Purposes of random streams; each stream is seeded with (seed, purpose, layer, epoch)."""


# The equations in double precision, without any code of dae_cli


def random_of(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words)))


def raw(random: np.random.Generator, *shape: int) -> NDArray[np.uint64]:
    return random.bit_generator.random_raw(int(np.prod(shape))).reshape(shape)


def order_of(rows: int, *words: int) -> NDArray[np.intp]:
    return np.argsort(raw(random_of(*words), rows), kind="stable")


def drawn_weight(outputs: int, inputs: int, factor: float, random: np.random.Generator) -> Tensor:
    uniform = (raw(random, outputs, inputs) >> np.uint64(11)) / 2.0**53
    limit = factor * np.sqrt(6 / (inputs + outputs))
    return torch.tensor((2 * uniform - 1) * limit)


def drawn_layers(settings: Settings, inputs: int) -> list[dict[str, Tensor]]:
    model, seed = settings["model"], settings.get("seed", 0)
    factor = {"glorot": 1, "tutorial": 4}[model.get("init", "glorot")]
    layers = []
    for k, units in enumerate(model["hidden"]):
        random = random_of(seed, WEIGHTS, k)
        layer = {"weight": drawn_weight(units, inputs, factor, random)}
        if not model.get("tied", True):
            layer["decoder_weight"] = drawn_weight(inputs, units, factor, random)
        layer |= {"hidden_bias": torch.zeros(units).double()}
        layer |= {"visible_bias": torch.zeros(inputs).double()}
        layers.append(layer)
        inputs = units
    return layers


def corrupt(settings: Settings, clean: Tensor, random: np.random.Generator) -> Tensor:
    """x̃: ν d components with the smallest random keys destroyed, or Gaussian noise added."""
    kind = settings["corruption"].get("kind", "masking")
    if kind == "gaussian":
        noise = random.standard_normal(tuple(clean.shape), dtype=np.float32)
        return clean + torch.tensor(noise).double() * float(settings["corruption"]["sigma"])
    rows, d = clean.shape
    count = round(settings["corruption"]["destruction"] * d)
    noisy = clean.clone()
    if count:
        bits = np.uint64((d - 1).bit_length())
        keys = raw(random, rows, d) >> bits << bits | np.arange(d, dtype=np.uint64)
        chosen = torch.tensor(keys.argsort(axis=1).argsort(axis=1) < count)
        noisy[chosen] = 0.0
        if kind == "salt-and-pepper":
            low, high = (settings["corruption"].get(k, v) for k, v in (("pepper", 0), ("salt", 1)))
            coins = np.floor(2 * random.random(rows * count))
            noisy[chosen] = torch.tensor(low + (high - low) * coins)
    return noisy


def encode(p: dict[str, Tensor], rows: Tensor) -> Tensor:
    return torch.sigmoid(rows @ p["weight"].T + p["hidden_bias"])


def autoencoder_step(
    p: dict[str, Tensor], clean: Tensor, settings: Settings, random: np.random.Generator
) -> float:
    """Take a step on the mean of L(x, g(f(x̃))); return the summed cost before it."""
    options, m = settings["pretrain"], len(clean)
    leaves = {name: tensor.requires_grad_() for name, tensor in p.items()}
    codes = encode(leaves, corrupt(settings, clean, random))
    decoder = leaves.get("decoder_weight", leaves["weight"].T)
    a = codes @ decoder.T + leaves["visible_bias"]
    if options.get("loss", "cross-entropy") == "cross-entropy":
        cost = (softplus(a) - clean * a).sum()
    else:
        cost = ((a - clean) ** 2).sum() / 2
    slopes, norms = codes * (1 - codes), (leaves["weight"] ** 2).sum(1)
    cost = cost + options.get("contraction", 0.0) * (slopes**2 @ norms).sum()
    squares = sum((t**2).sum() for name, t in leaves.items() if name.endswith("weight"))
    total = cost / m + options.get("weight_decay", 0.0) / 2 * squares
    take(list(leaves.values()), total, options["learning_rate"])
    return float(cost.item())


def rbm_step(
    p: dict[str, Tensor], x: Tensor, settings: Settings, noise: np.random.Generator, chains: Tensor
) -> float:
    """Take a CD-k or persistent CD step; return the summed reconstruction cost before it."""
    options, m = settings["pretrain"], len(x)
    persistent, sampled = options.get("persistent", False), options.get("sample_visible", True)

    def draw(chances: Tensor) -> Tensor:
        uniform = noise.random(tuple(chances.shape), dtype=np.float32)
        return (chances > torch.tensor(uniform)).double()

    def visible(states: Tensor) -> Tensor:
        chances = torch.sigmoid(states @ p["weight"] + p["visible_bias"])
        return draw(chances) if sampled else chances

    h0 = encode(p, x)
    s = draw(h0)
    a = s @ p["weight"] + p["visible_bias"]
    cost = (softplus(a) - x * a).sum().item()
    v = visible(chains[:m] if persistent else s)
    for _ in range(1, options.get("gibbs_steps", 1)):
        v = visible(draw(encode(p, v)))
    h = encode(p, v)
    if persistent:
        chains[:m] = draw(h)
    rate = options["learning_rate"] / m
    p["weight"] += rate * (h0.T @ x - h.T @ v)
    p["hidden_bias"] += rate * (h0 - h).sum(0)
    p["visible_bias"] += rate * (x - v).sum(0)
    return cost


def take(leaves: list[Tensor], cost: Tensor, rate: float) -> None:
    gradients = torch.autograd.grad(cost, leaves)
    with torch.no_grad():
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.requires_grad_(False).sub_(rate * gradient)


def pretrained(settings: Settings, p: dict[str, Tensor], layer: int, rows: Tensor) -> list[float]:
    """Train one layer on rows and return the mean cost of each epoch."""
    options, seed, n = settings["pretrain"], settings.get("seed", 0), len(rows)
    rbm = options.get("kind") == "rbm"
    chains = torch.zeros(options["batch_size"], len(p["weight"])).double()
    costs = []
    for epoch in range(options["epochs"]):
        order = order_of(n, seed, PRETRAIN_ORDER, layer, epoch)
        noise = random_of(seed, GIBBS if rbm else CORRUPTION, layer, epoch)
        cost = 0.0
        for start in range(0, n, options["batch_size"]):
            x = rows[order[start : start + options["batch_size"]]]
            if rbm:
                cost += rbm_step(p, x, settings, noise, chains)
            else:
                cost += autoencoder_step(p, x, settings, noise)
        costs.append(cost / n)
    return costs


def scores(network: list[Tensor], rows: Tensor) -> Tensor:
    """Inputs of the softmax; a network is W, b, W, b, … from the lowest layer to the top."""
    for weight, bias in zip(network[:-2:2], network[1:-2:2], strict=True):
        rows = torch.sigmoid(rows @ weight.T + bias)
    return rows @ network[-2].T + network[-1]


def finetuned_epoch(settings: Settings, network: list[Tensor], data: Data, epoch: int) -> float:
    options, (rows, labels) = settings["finetune"], tensors_of(data.train)
    order = order_of(len(rows), settings.get("seed", 0), FINETUNE_ORDER, epoch)
    rate = options["learning_rate"] / (1 + options.get("decrease", 0.0) * epoch)
    total = 0.0
    for start in range(0, len(rows), options["batch_size"]):
        chosen = order[start : start + options["batch_size"]]
        leaves = [tensor.requires_grad_() for tensor in network]
        cost = cross_entropy(scores(leaves, rows[chosen]), labels[chosen], reduction="sum")
        squares = sum((weight**2).sum() for weight in leaves[::2])
        decay = options.get("weight_decay", 0.0) / 2 * squares
        take(leaves, cost / len(chosen) + decay, rate)
        total += cost.item()
    return total / len(rows)


def tensors_of(rows: Rows) -> tuple[Tensor, Tensor]:
    return torch.tensor(rows.pixels / 255), torch.tensor(rows.labels.astype(np.int64))


def best_epoch(wrong: list[int], window: int) -> int:
    """The earliest epoch, from 1, with the lowest mean over the window that ends with it."""
    means = [
        Fraction(sum(wrong[max(0, end - window) : end]), min(end, window))
        for end in range(1, len(wrong) + 1)
    ]
    return means.index(min(means)) + 1


def ended(wrong: list[int], patience: int, window: int) -> bool:
    """Whether the best epoch is at least `patience` epochs back, so that training stops."""
    return len(wrong) > 0 and len(wrong) - best_epoch(wrong, window) >= patience


def reference(settings: Settings, data: Data) -> tuple[dict[str, Doubles], list[dict[str, Any]]]:
    """Return the expected tensors and history of training, up to rounding."""
    layers, history = drawn_layers(settings, data.train.pixels.shape[1]), []
    codes, _ = tensors_of(data.train)
    for k, layer in enumerate(layers):
        for epoch, cost in enumerate(pretrained(settings, layer, k, codes), start=1):
            history.append({"phase": "pretrain", "layer": k + 1, "epoch": epoch, "cost": cost})
        codes = encode(layer, codes)
    named = {f"pretrained.{k}.{n}": t for k, p in enumerate(layers, 1) for n, t in p.items()}
    network = [p[name].clone() for p in layers for name in ("weight", "hidden_bias")]
    network += [torch.zeros(data.classes, codes.shape[1]).double()]
    network += [torch.zeros(data.classes).double()]
    options, epochs = settings["finetune"], []
    rows, labels = tensors_of(data.valid)
    wrong: list[int] = []
    window = options.get("window", 1)
    while len(wrong) < options["max_epochs"] and not ended(wrong, options["patience"], window):
        cost = finetuned_epoch(settings, network, data, len(wrong))
        wrong.append(int((scores(network, rows).argmax(1) != labels).sum()))
        epochs.append([tensor.clone() for tensor in network])
        history.append({"phase": "finetune", "layer": None, "epoch": len(wrong), "cost": cost})
        history[-1] |= {"valid_wrong": wrong[-1]}
        history[-1] |= {"valid_error_percent": 100 * wrong[-1] / len(rows)}
    best = epochs[best_epoch(wrong, window) - 1]
    for prefix, parameters in (("network", network), ("best", best)):
        names = [
            f"{k}.{n}" for k in [*range(1, len(layers) + 1), "top"] for n in ("weight", "bias")
        ]
        named |= {f"{prefix}.{n}": t for n, t in zip(names, parameters, strict=True)}
    return {name: tensor.numpy() for name, tensor in named.items()}, history


def compare_with_the_equations(settings: Settings, data: Data, engine: str) -> Trained:
    ours = train(settings, data, engine)
    tensors, history = reference(settings, data)
    assert ours.tensors.keys() == tensors.keys()
    for name, expected in tensors.items():
        np.testing.assert_allclose(ours.tensors[name], expected, rtol=2e-5, atol=5e-6, err_msg=name)
    assert len(ours.history) == len(history)
    for record, wanted in zip(ours.history, history, strict=True):
        assert record["cost"] == pytest.approx(wanted["cost"], rel=1e-6)
        applies = {"valid_wrong": None, "valid_error_percent": None} | wanted
        assert record | {"cost": 0} == applies | {"cost": 0}
    wrong = [r["valid_wrong"] for r in history if r["phase"] == "finetune"]
    best = best_epoch(wrong, settings["finetune"].get("window", 1))
    assert ours.best == (best, wrong[best - 1])
    assert (ours.phase, ours.epoch) == ("done", len(wrong))
    return ours


PEPPER = {"kind": "salt-and-pepper", "destruction": 0.3}
RBM = {"kind": "rbm"}
CLEAN = {"destruction": 0.0}
PENALTIES = {"weight_decay": 0.02, "contraction": 0.05}
ONE_BY_ONE = {"batch_size": 1, "learning_rate": 0.02}
AT_ONCE = {"batch_size": 500}
OTHERWISE = {"decrease": 0.5, "weight_decay": 0.02, "window": 3, "max_epochs": 7}
CASES: list[Settings] = [
    {},
    {"model": {"tied": False, "init": "tutorial"}, "seed": 2**32 - 1},
    {"pretrain": {"loss": "squared-error", "learning_rate": 0.02}},
    {"corruption": {"kind": "gaussian", "sigma": 0.3}, "seed": 1},
    {"corruption": PEPPER},
    {"corruption": PEPPER | {"pepper": -1.0, "salt": 2.0}},
    {"pretrain": PENALTIES},
    {"model": {"tied": False}, "pretrain": PENALTIES | {"loss": "squared-error"}},
    {"corruption": CLEAN},
    {"model": {"hidden": (6, 5, 4)}, "pretrain": ONE_BY_ONE, "finetune": ONE_BY_ONE},
    {"model": {"hidden": (9,)}, "pretrain": AT_ONCE, "finetune": AT_ONCE},
    {"pretrain": {"epochs": 0}},
    {"finetune": OTHERWISE},
    {"corruption": CLEAN, "pretrain": RBM},
    {"corruption": CLEAN, "pretrain": RBM | {"gibbs_steps": 3}},
    {"corruption": CLEAN, "pretrain": RBM | {"sample_visible": False}},
    {"corruption": CLEAN, "pretrain": RBM | {"persistent": True}},
    {"pretrain": RBM | {"persistent": True, "gibbs_steps": 2, "sample_visible": False}},
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_training_is_what_the_equations_say_step_by_step(engine: str) -> None:
    if not has_engine(engine):
        pytest.skip(f"the engine {engine} is not available")
    data = toy_data(noise=0.2)
    for changes in CASES:
        try:
            compare_with_the_equations(toy_settings(**changes), data, engine)
        except AssertionError as error:
            error.add_note(f"case: {changes}")
            raise
    # Layers as wide as the register tiles, and a last minibatch of one row.
    twenty = {"batch_size": 20}
    wide = toy_settings(model={"hidden": (53, 37)}, pretrain=twenty, finetune=twenty)
    for chosen in (wide, wide | {"pretrain": wide["pretrain"] | RBM | {"persistent": True}}):
        compare_with_the_equations(chosen, toy_data(train=121, classes=10), engine)
    # More rows than are encoded or classified at a time.
    many = {"batch_size": 100}
    long = toy_settings(pretrain=many | {"epochs": 1}, finetune=many | {"max_epochs": 1})
    compare_with_the_equations(long, toy_data(train=1013, valid=2007, noise=0.2), engine)


# The paper's protocol: one fact per test


def test_layers_above_are_trained_on_clean_codes_of_the_trained_layers_below() -> None:
    data = toy_data()
    rows, _ = tensors_of(data.train)
    for pretrain in ({}, RBM):
        settings = toy_settings(corruption={"destruction": 0.5}, pretrain=pretrain)
        ours = train(settings, data).tensors
        names = ("weight", "hidden_bias")
        first = {name: torch.tensor(ours[f"pretrained.1.{name}"]).double() for name in names}
        noisy = corrupt(settings, rows, random_of(0, CORRUPTION, 0, 0))
        for inputs, alike in ((rows, True), (noisy, False)):
            second = drawn_layers(settings, 20)[1]
            pretrained(settings, second, 1, encode(first, inputs))
            weight = ours["pretrained.2.weight"]
            assert np.allclose(weight, second["weight"], rtol=1e-4, atol=1e-4) == alike


def test_each_layer_changes_only_while_it_is_trained_and_the_lowest_comes_first() -> None:
    trained = train(toy_settings(model={"tied": False}), toy_data())
    places = [(r["phase"], r["layer"], r["epoch"]) for r in trained.history]
    assert places == [
        *(("pretrain", layer, epoch) for layer in (1, 2) for epoch in (1, 2)),
        *(("finetune", None, epoch) for epoch in (1, 2, 3, 4)),
    ]
    steps = zip(pairwise(trained.snapshots), places[1:], strict=True)
    for (before, after), (phase, layer, _) in steps:
        for name in before:
            moved = before[name].tobytes() != after[name].tobytes()
            if name.startswith("pretrained"):
                assert moved == (phase == "pretrain" and name.startswith(f"pretrained.{layer}."))
            elif name.startswith("network"):
                assert moved


def test_the_corruption_is_drawn_afresh_at_every_presentation() -> None:
    """If the row is the same and the steps change nothing, the cost depends on the corruption."""
    grey = Rows(np.full((1, 20), 200, np.uint8), np.zeros(1, np.uint8))
    still = {"epochs": 6, "learning_rate": 1e-30}
    for destruction, different in ((0.5, 6), (0.0, 1)):
        changes = {"corruption": {"destruction": destruction}, "pretrain": still}
        costs = train(toy_settings(**changes), Data(grey, grey)).costs[:6]
        assert len(set(costs)) == different


def test_every_row_counts_once_an_epoch_the_short_last_minibatch_too() -> None:
    """If the steps change nothing, the mean cost is that of all 47 rows together."""
    costs = []
    for size in (10, 47):
        still = {"learning_rate": 1e-30, "batch_size": size}
        settings = toy_settings(corruption=CLEAN, pretrain=still, finetune=still)
        costs.append(train(settings, toy_data()).costs)
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_the_order_of_presentation_is_fresh_in_every_epoch_and_the_same_for_every_corruption() -> (
    None
):
    """With one step on all rows but the last, the epoch's cost reveals which row came last."""
    data = toy_data(train=6)
    last = {"batch_size": 5, "learning_rate": 0.5, "epochs": 4}
    settings = toy_settings(model={"hidden": (4,)}, corruption=CLEAN, pretrain=last)
    orders = [order_of(6, 0, PRETRAIN_ORDER, 0, epoch).tolist() for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    costs = pretrained(settings, drawn_layers(settings, 20)[0], 0, tensors_of(data.train)[0])
    for corruption in (CLEAN, {"kind": "gaussian", "sigma": 1e-9}):
        ours = train(settings | {"corruption": corruption}, data).costs[:4]
        assert ours == pytest.approx(costs, rel=1e-6)


def test_each_step_knows_the_next_minibatch_of_its_epoch_which_stays_as_it_is_until_then() -> None:
    for pretrain in ({}, RBM | {"persistent": True}):
        seen = minibatches_seen(toy_settings(pretrain=pretrain), toy_data())
        assert len(seen) == (2 * 2 + 4) * 5
        for number, ((_, upcoming), (batch, _)) in enumerate(pairwise(seen), start=1):
            assert upcoming == (batch if number % 5 else None)


def test_the_softmax_on_top_starts_at_zero_so_the_first_cost_is_log_of_the_classes() -> None:
    for classes in (2, 3, 10):
        trained = train(toy_settings(finetune={"batch_size": 47}), toy_data(classes=classes))
        assert trained.history[4]["cost"] == pytest.approx(np.log(classes), rel=1e-6)
        assert trained.tensors["best.top.weight"].shape == (classes, 5)


def test_fine_tuning_begins_with_the_encoders_and_the_decoders_play_no_part(
    tmp_path: Path,
) -> None:
    settings, data = toy_settings(model={"tied": False}), toy_data()
    checkpoint = tmp_path / "checkpoint"
    whole = train(settings, data)
    assert train(settings, data, stop_after=2 * 13, save_to=checkpoint).phase == "finetune"

    def other_decoders(_: object, tensors: dict[str, Any]) -> None:
        for name, array in tensors.items():
            if name.endswith(("decoder_weight", "visible_bias")):
                array += 1

    rewrite(checkpoint, other_decoders)
    went_on = train(settings, data, start=checkpoint)
    for name, array in whole.tensors.items():
        if name.startswith(("network", "best")):
            assert went_on.tensors[name].tobytes() == array.tobytes()
            assert "decoder" not in name and "visible" not in name


def test_fine_tuning_sees_uncorrupted_rows() -> None:
    without = {"pretrain": {"epochs": 0}}
    noisy, clean = (
        train(toy_settings(**without, corruption={"destruction": share}), toy_data())
        for share in (0.5, 0.0)
    )
    assert noisy.bits == clean.bits


def test_initial_weights_depend_on_the_seed_and_the_shape_and_on_nothing_else() -> None:
    first = initial_parameters(toy_settings(), 20)
    for changes in (
        {"corruption": {"kind": "gaussian", "sigma": 0.5}},
        {"pretrain": {"learning_rate": 0.5, "epochs": 9, "loss": "squared-error"}},
        {"pretrain": RBM},
        {"model": {"tied": False}},
        {"finetune": {"learning_rate": 0.9}},
    ):
        other = initial_parameters(toy_settings(**changes), 20)
        assert all(other[name].tobytes() == array.tobytes() for name, array in first.items())
    other = initial_parameters(toy_settings(seed=1), 20)
    for name, array in first.items():
        assert (array == 0).all() if name.endswith("bias") else (array != other[name]).any()


# Early stopping on the validation rows


def restless(**finetune: int) -> Settings:
    """Settings for which the validation error goes up and down with many ties."""
    rates = {"learning_rate": 2.0, "max_epochs": 30, "patience": 30}
    return toy_settings(pretrain={"epochs": 1}, finetune=rates | finetune)


def test_early_stopping_waits_for_patience_and_keeps_the_earliest_best_epoch() -> None:
    """Each epoch is judged by the mean validation error of the window that ends with it."""
    data, ends, bests = toy_data(noise=0.2), set(), set()
    for seed in range(3):
        whole = train(restless() | {"seed": seed}, data)
        wrong = whole.valid_wrong
        assert len(wrong) == 30
        for window, patience in product((1, 2, 3, 8, 100), (1, 2, 4, 9, 30)):
            end = next((e for e in range(1, 31) if ended(wrong[:e], patience, window)), 30)
            best = best_epoch(wrong[:end], window)
            changes = {"window": window, "patience": patience}
            trained = train(restless(**changes) | {"seed": seed}, data)
            assert trained.valid_wrong == wrong[:end], (seed, changes)
            assert trained.best == (best, wrong[best - 1]), (seed, changes)
            snapshot = whole.snapshots[2 + best - 1]
            for name, array in trained.tensors.items():
                if name.startswith("best."):
                    network = snapshot[name.replace("best", "network")]
                    assert array.tobytes() == network.tobytes(), (seed, changes, name)
            ends.add(end)
            bests.add(best)
    assert len(ends) > 8 and len(bests) > 8 and 30 in ends  # the data distinguish the rules


def test_validation_rows_choose_the_epoch_and_train_nothing() -> None:
    data = toy_data(noise=0.2)
    labels = ((data.valid.labels + 1) % 3).astype(np.uint8)
    other = data._replace(valid=Rows(data.valid.pixels, labels))
    ours, theirs = train(restless(), data), train(restless(), other)
    assert ours.best != theirs.best
    for name, array in ours.tensors.items():
        if not name.startswith("best"):
            assert theirs.tensors[name].tobytes() == array.tobytes()


# Divergence


def diverged_from(
    checkpoint: Path, settings: Settings, moment: int, poison: Callable[[dict[str, Any]], None]
) -> Trained:
    """Stop at a moment, change the tensors and resume; return the end, which is not saved."""
    data = toy_data()
    assert train(settings, data, stop_after=moment, save_to=checkpoint).stopped
    rewrite(checkpoint, lambda _, tensors: poison(tensors))
    poisoned = checkpoint.read_bytes()
    ended = train(settings, data, start=checkpoint, stop_after=1, save_to=checkpoint)
    assert not ended.stopped and ended.diverged
    assert checkpoint.read_bytes() == poisoned
    return ended


def assert_parts(text: str, *parts: str) -> None:
    assert [part for part in parts if part not in text] == [], text


def fill(name: str, value: float) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors[name].fill(value)


def test_divergence_is_reported_in_its_step_with_phase_layer_epoch_and_the_rate_to_lower(
    tmp_path: Path,
) -> None:
    checkpoint, settings = tmp_path / "checkpoint", toy_settings()
    for chosen, moment, name, layer, epoch in (
        (settings, 2, "pretrained.1.weight", 1, 1),
        (settings, 6, "pretrained.1.visible_bias", 1, 2),
        (settings, 19 + 2, "pretrained.2.visible_bias", 2, 2),
        (toy_settings(pretrain=RBM), 2, "pretrained.1.weight", 1, 1),
    ):
        ended = diverged_from(checkpoint, chosen, moment, fill(name, 3e38))
        assert_parts(ended.diverged, "pretrain,", f"layer {layer}", f"epoch {epoch}:")
        assert_parts(ended.diverged, "lower pretrain.learning_rate", "0.1")
        assert (ended.moments, ended.snapshots) == (0, [])  # an epoch has five steps
    ended = diverged_from(checkpoint, settings, 26 + 6, fill("network.top.weight", 3e38))
    assert_parts(ended.diverged, "finetune, epoch 2:", "nan", "lower finetune.learning_rate", "0.5")
    assert "layer" not in ended.diverged and ended.best[0] == 1


def test_a_run_that_diverges_fails_and_its_checkpoint_has_finite_numbers_alone(
    dae: Callable[..., Ended], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", "0")
    steep = ("--set", "finetune.learning_rate=1000", "--set", "finetune.weight_decay=1")
    dae("train", "tiny/rect-0", *steep, "--set", "pretrain.epochs=1").failed(1, "finetune, epoch 1")
    (checkpoint,) = tiny.rglob("checkpoint.safetensors")
    assert checkpoint.parent.suffix == ".partial"
    tensors = load_file(checkpoint)
    assert "network.top.weight" in tensors  # saved during fine-tuning
    assert all(np.isfinite(array).all() for array in tensors.values())


# Complete runs, checked by their files


def test_all_test_rows_are_counted_once_with_the_parameters_of_the_best_epoch(
    dae: Callable[..., Ended], tiny: Path, tiny_data: Path
) -> None:
    """More rows than one chunk, and not a multiple of it."""
    ended = dae("train", "tiny/rect-0", "--set", "subset.test=2013", "--seed", "1").succeeded()
    folder = Path(ended.lines[-1])
    tensors = load_file(folder / "checkpoint.safetensors")
    names = [f"best.{k}.{part}" for k in ("1", "2", "top") for part in ("weight", "bias")]
    network = [torch.tensor(tensors[name]).double() for name in names]
    chosen = np.arange(2013) * 50_000 // 2013
    with np.load(tiny_data / "rect.npz") as file:
        rows, labels = torch.tensor(file["Xtest"][chosen]).double(), file["Ytest"][chosen]
    wrong = scores(network, rows).argmax(1).numpy() != labels
    assert 0 < wrong.sum() < 2013
    assert np.load(folder / "wrong_rows.npy").tobytes() == np.packbits(wrong).tobytes()
    (row,) = dae("evaluate", str(folder), "--format", "csv").rows
    assert (row["n_rows"], row["n_wrong"]) == ("2013", str(wrong.sum()))


def test_test_rows_choose_nothing(
    dae: Callable[..., Ended],
    finished: tuple[Path, Ended],
    tiny: Path,
    tiny_data: Path,
    tmp_path: Path,
) -> None:
    """With other test labels, training gives the same parameters, bit for bit."""
    with np.load(tiny_data / "rect.npz") as file:
        arrays = dict(file)
    arrays["Ytest"] = 1 - arrays["Ytest"]
    np.savez(tmp_path / "rect.npz", allow_pickle=False, **arrays)
    dae("train", "tiny/rect-25", "--data-dir", str(tmp_path)).succeeded()
    (ours,) = tiny.glob("runs/*-25-*")
    (theirs,) = finished[0].glob("runs/*-25-*")
    first, second = (load_file(run / "checkpoint.safetensors") for run in (ours, theirs))
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert (ours / "metrics.csv").read_bytes() == (theirs / "metrics.csv").read_bytes()
    bits = [np.load(run / "wrong_rows.npy") for run in (ours, theirs)]
    assert (bits[0] ^ bits[1] == 255).all()  # 400 rows, eight per byte: all of them differ
