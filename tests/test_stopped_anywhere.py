"""Training that is stopped after any steps and goes on ends at the bits of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.entry_points.training import has_engine, toy_data, toy_settings, train

pytestmark = pytest.mark.usefixtures("one_thread")

DATA = toy_data(train=23, valid=11, noise=0.2)
CLEAN = {"destruction": 0.0}
RBM = {"kind": "rbm", "persistent": True, "gibbs_steps": 2}
SQUARED = {"loss": "squared-error", "contraction": 0.1}
KINDS: list[dict[str, Any]] = [
    {"corruption": {"kind": "salt-and-pepper", "destruction": 0.25}},
    {"model": {"tied": False}, "pretrain": {"weight_decay": 0.01}},
    {"corruption": {"kind": "gaussian", "sigma": 0.3}, "pretrain": SQUARED},
    {"corruption": CLEAN, "pretrain": RBM},
    {"corruption": CLEAN, "pretrain": {"kind": "rbm", "sample_visible": False}},
]
FEW = {"batch_size": 9, "learning_rate": 0.02}
TUNING = {"max_epochs": 2, "window": 2, "decrease": 0.1, "weight_decay": 0.01}
MOMENTS = 2 * (2 * (3 + 1) + 1) + 2 * (3 + 1) + 1
"""Two layers of two epochs of three steps, two epochs of fine-tuning; the ends of each."""


def hold_to_the_bits(settings: dict[str, Any], engine: str, every: int, checkpoint: Path) -> None:
    """Stop every so many moments and go on from the checkpoint; compare with the whole."""
    whole = train(settings, DATA, engine)
    start: Path | None = None
    while train(settings, DATA, engine, start=start, stop_after=every, save_to=checkpoint).stopped:
        start = checkpoint
    assert start == checkpoint
    assert train(settings, DATA, engine, start=checkpoint).bits == whole.bits, (settings, every)


@pytest.mark.xdist_group("compiled")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["torch", "blas", "compiled"])
def test_there_is_no_step_after_which_a_run_cannot_be_stopped(tmp_path: Path, engine: str) -> None:
    """It ends at the same bits, whether it is stopped after each step, two or seven of them."""
    if not has_engine(engine):
        pytest.skip(f"the engine {engine} cannot be had here")
    checkpoint = tmp_path / "checkpoint.safetensors"
    for kind in KINDS:
        settings = toy_settings(**kind)
        settings["pretrain"] |= FEW
        settings["finetune"] |= FEW | TUNING
        assert train(settings, DATA, engine).moments == MOMENTS
        for every in (1, 2, 7):
            hold_to_the_bits(settings, engine, every, checkpoint)


def test_runs_of_other_shapes_can_be_stopped_after_each_step(tmp_path: Path) -> None:
    for changes in (
        {"model": {"hidden": (1,)}, "pretrain": {"batch_size": 1}, "finetune": {"batch_size": 1}},
        {"model": {"hidden": (5, 1, 3)}, "finetune": {"batch_size": 24}},
        {"pretrain": {"epochs": 0}, "finetune": {"learning_rate": 2.0, "patience": 1}},
    ):
        hold_to_the_bits(toy_settings(**changes), "torch", 1, tmp_path / "checkpoint.safetensors")


def test_a_run_that_is_done_is_not_trained_further(tmp_path: Path) -> None:
    checkpoint, settings = tmp_path / "checkpoint.safetensors", toy_settings()
    whole = train(settings, DATA)
    assert train(settings, DATA, stop_after=whole.moments, save_to=checkpoint).phase == "done"
    again = train(settings, DATA, start=checkpoint)
    assert (again.bits, again.moments) == (whole.bits, 0)
