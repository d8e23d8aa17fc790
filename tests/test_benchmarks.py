"""The benchmarks are fair, and their files show the measurements of each kind of processor."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import ours, peers, results
from benchmarks.measure import take_turns
from tests.support.tiny import write_study

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
KEPT = [
    results.Figure("machine", "another one."),
    results.Figure("cells", "PyTorch", "s", [6.0]),
    results.Figure("cells", "dae", "s", [1.0, 2.0, 30.0]),
]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("widths", [(784, 17), (784, 17, 9, 2)])
def test_a_peer_takes_the_same_steps(widths: tuple[int, ...]) -> None:
    dataset = ours.synthetic(20)  # one minibatch, in which the order of rows does not matter
    unchanging = ("corruption.destruction=0", "pretrain.learning_rate=0.05")
    training = ours.Training(widths, dataset, "torch", CPU, *unchanging)
    initial = [layer.weight.clone() for layer in training.state.layers]
    rows, labels = peers.tensors_of(dataset.train)
    model: torch.nn.Module
    loss: peers.Loss = peers.label_loss
    weights: list[torch.Tensor]
    if len(widths) == 2:
        model = tied = peers.TiedAutoencoder(*widths)
        clean = partial(peers.in_memory, rows, batch=20)
        loss, weights = peers.reconstruction_loss, [tied.weight]
        batches: peers.Batches = partial(peers.corrupted, clean, 0)
    else:
        model, batches = peers.classifier(widths), partial(peers.in_memory, rows, labels, batch=20)
        linears = [part for part in model if isinstance(part, torch.nn.Linear)]
        weights = [linear.weight for linear in linears]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for weight, first in zip(weights, initial, strict=False):
            weight.copy_(first)
    for steps in (1, 2):  # two turns
        training(steps)
        list(islice(peers.train(model, batches, loss, 0.05), steps))
    trained = training.state.network or training.state.layers[0]
    for mine, theirs in zip(trained.parameters().values(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-4, atol=1e-6)


def test_an_exception_in_training_ends_the_turn() -> None:
    whole = ours.synthetic(20)
    nothing = replace(whole.train, pixels=np.full((20, 784), np.nan, np.float32), scale=1.0)
    training = ours.Training((784, 3), replace(whole, train=nothing), "torch", CPU)
    with pytest.raises(Exception, match="diverged"):
        training(2)


def test_a_peer_draws_new_masks_that_destroy_an_exact_count() -> None:
    clean = torch.ones(50, 33)
    masks = [next(peers.corrupted(lambda: [[clean]], 8))[0] == 0 for _ in range(2)]
    assert all(mask.sum(dim=1).tolist() == [8] * 50 for mask in masks)
    assert not torch.equal(*masks)


def test_contenders_warm_up_and_then_take_one_turn_per_round_in_rotated_order() -> None:
    called: list[str] = []

    def turn(name: str) -> float:
        called.append(name)
        return len(called)

    values = take_turns({name: partial(turn, name) for name in "abc"}, 3)
    assert "".join(called) == "abc" + "bca" + "cab" + "abc"
    assert values == {"a": [6, 8, 10], "b": [4, 9, 11], "c": [5, 7, 12]}


@pytest.mark.parametrize(
    ("name", "numbers", "kind"),
    [
        ("AMD EPYC", (26, 2), "AMD EPYC (Zen 5)"),
        ("AMD EPYC", (25, 0x11), "AMD EPYC (Zen 4)"),
        ("AMD EPYC 9754 128-Core Processor", (25, 0xA0), "AMD EPYC 9754 128-Core (Zen 4)"),
        ("AMD EPYC", (25, 1), "AMD EPYC (Zen 3)"),
        ("Intel(R) Xeon(R) Processor @ 2.10GHz", (6, 143), "Intel Xeon (Sapphire Rapids)"),
        ("Intel(R) Xeon(R) CPU", (6, 1), "Intel Xeon (family 6, model 1)"),
    ],
)
def test_a_kind_of_processor_is_its_generation(
    name: str, numbers: tuple[int, int], kind: str
) -> None:
    assert results.kind_of_processor(name, *numbers) == kind


def test_the_page_shows_the_committed_figures(tmp_path: Path) -> None:
    results.write(tmp_path, results.read(ROOT / "benchmarks" / "results.csv"))
    for name in ("results.csv", "RESULTS.md"):
        committed = (ROOT / "benchmarks" / name).read_text(encoding="utf-8")
        assert (tmp_path / name).read_text(encoding="utf-8") == committed


def test_a_page_has_medians_and_ratios() -> None:
    figures = [
        *KEPT,
        results.Figure("model", results.PRODUCTS, "GFLOP", [0.1]),
        results.Figure("model", "PyTorch, DataLoader", "ms", [9.0, 4.0, 5.0]),
        results.Figure("model", "PyTorch, data in memory", "ms", [8.0, 4.0, 4.0]),
        results.Figure("model", "dae", "ms", [2.0, 2.0, 1.0]),
        results.Figure("model", "sgemm, slow", "GFLOP/s", [10.0, 10.0, 10.0]),
        results.Figure("model", "sgemm, fast", "GFLOP/s", [100.0, 100.0, 100.0]),
    ]
    text = results.section("A processor", figures)
    for line in (
        "another one.",
        "| dae, ms | 2.00 |",
        "| products at the best sgemm, ms | 1.00 |",
        "| **best plain PyTorch / dae** | **4.00** |",
        "| **dae, share of the best sgemm** | **50.0 %** |",
        "- cells, PyTorch: 6.00 s",
        "- these cells, PyTorch / dae: 3.00",
    ):
        assert line in text.splitlines()


def module(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the benchmarks without compilers."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "CXX": "none", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_replaces_only_the_figures_of_its_own_kind_of_processor(
    tmp_path: Path, tiny_data: Path
) -> None:
    kind, _ = results.this_machine("torch")
    study = write_study(tmp_path)
    results.write(tmp_path, {"another": KEPT, kind: [results.Figure("old", "old", "MiB", [1.0])]})
    options = ("--rounds=1", f"--study={study}", f"--experiment={study / 'rect-25.yaml'}")
    ended = module(
        "benchmarks", *options, "--engine=torch", f"--out={tmp_path}", DAE_DATA_DIR=str(tiny_data)
    )
    assert ended.returncode == 0, ended.stderr
    runs = results.read(tmp_path / "results.csv")
    assert list(runs) == sorted([kind, "another"])
    assert [figure.contender for figure in runs["another"]] == ["another one.", "PyTorch", "dae"]
    measures = {figure.measure for figure in runs[kind]} - {"machine"}
    assert measures == {
        "pretraining 784-1000",
        "pretraining 784-2000",
        "fine-tuning 784-1000-1000-1000-2",
        "cells of tiny",
        "peak memory of a worker",
    }
    times = [figure for figure in runs[kind] if figure.unit in ("ms", "GFLOP/s", "GB/s", "MiB")]
    assert len(times) == 3 * (3 + 3 + 1) + 1 and all(min(f.values) > 0 for f in times)
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert f"## {kind}" in text and "## another" in text


@pytest.mark.slow
def test_the_script_for_cuda_measures_on_the_given_device(tmp_path: Path) -> None:
    ended = module("benchmarks.cuda", "--device=cpu", "--rounds=1", f"--out={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert "best plain PyTorch / dae" in ended.stdout
    assert list(results.read(tmp_path / "results.csv")) == ["cpu"]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_the_script_for_cuda_reports_if_there_is_no_cuda_device() -> None:
    ended = module("benchmarks.cuda")
    assert ended.returncode == 2 and "no CUDA device" in ended.stderr
