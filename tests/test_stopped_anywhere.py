"""Training that is stopped at any step and resumed ends at the same bits as without a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def assert_same_bits(chosen: dict[str, Any], engine: str, every: int, checkpoint: Path) -> None:
    """Stop after every `every` moments, resume, and compare with uninterrupted training."""
    whole = train(chosen, DATA, engine)
    start: Path | None = None
    while train(chosen, DATA, engine, start=start, stop_after=every, save_to=checkpoint).stopped:
        start = checkpoint
    assert start == checkpoint
    assert train(chosen, DATA, engine, start=checkpoint).bits == whole.bits, (chosen, every)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_a_run_can_be_stopped_after_any_step(tmp_path: Path, engine: str) -> None:
    """The bits are the same if it is stopped after every step, every two or every seven."""
    if not has_engine(engine):
        pytest.skip(f"the engine {engine} is not available")
    checkpoint = tmp_path / "checkpoint.safetensors"
    for kind in KINDS:
        chosen = toy_settings(**kind)
        chosen["pretrain"] |= FEW
        chosen["finetune"] |= FEW | TUNING
        assert train(chosen, DATA, engine).moments == MOMENTS
        for every in (1, 2, 7):
            assert_same_bits(chosen, engine, every, checkpoint)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    hidden=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    pretraining=st.fixed_dictionaries(
        {"epochs": st.integers(0, 2), "batch_size": st.integers(1, 23)}
    ),
    tuning=st.fixed_dictionaries(
        {
            "max_epochs": st.integers(1, 3),
            "batch_size": st.integers(1, 23),
            "patience": st.integers(1, 3),
            "window": st.integers(1, 3),
        }
    ),
    every=st.integers(1, 40),
)
def test_a_run_with_any_settings_can_be_stopped_after_any_moment(
    tmp_path: Path,
    kind: dict[str, Any],
    hidden: list[int],
    pretraining: dict[str, int],
    tuning: dict[str, int],
    every: int,
) -> None:
    chosen = toy_settings(**kind)
    chosen["model"] |= {"hidden": tuple(hidden)}
    chosen["pretrain"] |= {"learning_rate": 0.02} | pretraining
    chosen["finetune"] |= tuning
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.unlink(missing_ok=True)
    if every < train(chosen, DATA).moments:
        assert_same_bits(chosen, "torch", every, checkpoint)


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    checkpoint, chosen = tmp_path / "checkpoint.safetensors", toy_settings()
    whole = train(chosen, DATA)
    assert train(chosen, DATA, stop_after=whole.moments, save_to=checkpoint).phase == "done"
    again = train(chosen, DATA, start=checkpoint)
    assert (again.bits, again.moments) == (whole.bits, 0)
