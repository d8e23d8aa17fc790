from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import ours, peers
from benchmarks.cells import share, shares, whole_of, without_training, work, write_study
from benchmarks.peer_cell import count_wrong, finetuned, pretrained
from benchmarks.plan import FULL, NORMAL
from dae_cli.config.experiments import load_resolved, resolve_experiment, resolve_study
from dae_cli.config.schema import Experiment, SubsetSettings


def test_both_sides_do_a_twentieth_of_all_seven_cells() -> None:
    parts = shares(NORMAL)
    assert list(parts) == [cell.cell for cell in resolve_study("icml2008").cells]
    part = share(resolve_experiment("icml2008/convex-25").network, 61, NORMAL)
    assert (part.pretrain.epochs, part.finetune.max_epochs) == (2, 3)
    assert part.finetune.patience == 3  # nothing stops early: the number of updates is fixed
    assert part.subset == SubsetSettings(train=6000, valid=2000, test=2500)
    assert part.model.hidden == (1000, 1000, 1000)


def test_the_whole_is_the_cell_with_a_fixed_number_of_epochs() -> None:
    cell = resolve_experiment("icml2008/rect-img-50").network
    whole = share(cell, 74, FULL)
    assert whole.subset is None
    assert whole.pretrain == cell.pretrain
    assert (whole.finetune.max_epochs, whole.finetune.patience) == (74, 74)


def test_our_command_can_run_what_is_written(tmp_path: Path) -> None:
    parts = shares(NORMAL)
    folder = write_study(parts, tmp_path)
    study = resolve_study(str(folder))
    assert {cell.cell: cell.network for cell in study.cells} == parts
    assert load_resolved(folder / "convex-25.yaml") == parts["convex-25"]


def test_work_counts_the_multiplications_of_every_phase() -> None:
    cell = resolve_experiment("icml2008/convex-0").network
    sums = 784 * 1000 + 2 * 1000 * 1000
    part = share(cell, 40, NORMAL)
    assert work(part) == sums * (5 * 2 * 6000 + 2 * (3 * 6000 + 2000) + 2500)
    assert work(share(cell, 40, FULL)) == sums * (5 * 40 * 6000 + 40 * (18000 + 2000) + 50000)


@pytest.fixture
def small() -> Experiment:
    return ours.experiment((7, 5), batch=10, epochs=2)


def test_the_peer_trains_each_layer_on_the_clean_code_below(
    small: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, int]] = []
    real = peers.pretrain_in_memory

    def spy(*arguments: object) -> object:
        seen.append((arguments[1], arguments[5]))  # type: ignore[arg-type]
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("benchmarks.peer_cell.pretrain_in_memory", spy)
    rows = torch.rand(25, 12)
    first, second = pretrained(small, rows)
    (below, destroyed), (codes, destroyed_above) = seen
    assert torch.equal(below, rows) and destroyed == 3
    torch.testing.assert_close(codes, first.encode(rows).detach())
    assert destroyed_above == round(0.25 * 7)
    assert second.weight.shape == (5, 7)
    assert first.hidden_bias.abs().sum() > 0


def test_the_peer_finetunes_from_the_pretrained_layers(small: Experiment) -> None:
    dataset = ours.as_dataset(ours.synthetic(25, 12), others=5)
    layers = pretrained(small, torch.from_numpy(dataset.train.as_float()))
    still = small.model_copy(
        update={"finetune": small.finetune.model_copy(update={"learning_rate": 1e-12})}
    )
    model = finetuned(still, layers, dataset.train, dataset.valid, dataset)
    linears = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    for layer, linear in zip(layers, linears, strict=False):
        torch.testing.assert_close(layer.weight, linear.weight)
        torch.testing.assert_close(layer.hidden_bias, linear.bias)
    assert len(linears) == 3


def test_every_row_is_counted_once() -> None:
    labels = torch.from_numpy(np.arange(2500) % 2)
    scores = torch.nn.functional.one_hot((labels + (torch.arange(2500) < 7)) % 2, 2).float()
    assert count_wrong(torch.nn.Identity(), scores, labels) == 7


def test_a_quick_run_is_tiny() -> None:
    tiny = replace(NORMAL, mode="quick", units=3)
    part = share(resolve_experiment("icml2008/convex-25").network, 61, tiny)
    assert part.model.hidden == (3, 3, 3)
    assert part.subset == SubsetSettings(train=50, valid=20, test=20)


def test_what_does_not_grow_counts_once_in_the_whole() -> None:
    assert whole_of(part=30.0, fixed=10.0, share=20) == 10 + 20 * 20
    assert whole_of(part=30.0, fixed=10.0, share=1) == 30


def test_without_training_a_cell_has_one_minibatch_and_the_same_network() -> None:
    cell = share(resolve_experiment("icml2008/convex-25").network, 40, NORMAL)
    bare = without_training(cell)
    assert bare.subset is not None
    assert (bare.subset.train, bare.subset.valid, bare.subset.test) == (20, 20, 20)
    assert bare.model_copy(update={"subset": cell.subset}) == cell
