"""Any experiment, stopped after any steps, ends at the same bits: drawn by hypothesis."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine, engine_for
from dae_cli.training.checkpoint import Expected, load_checkpoint, save_checkpoint
from dae_cli.training.hooks import NoHooks
from dae_cli.training.state import TrainingState, initial_state
from dae_cli.training.train import train

CPU = torch.device("cpu")
D, CLASSES, ROWS = 20, 3, 47

Content = Callable[[TrainingState], dict[str, Any]]


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


def _corruptions() -> st.SearchStrategy[dict[str, Any]]:
    fraction = st.sampled_from([0.1, 0.25, 0.5, 0.9])
    destroying = st.fixed_dictionaries(
        {"kind": st.sampled_from(["masking", "salt-and-pepper"]), "destruction": fraction}
    )
    gaussian = st.fixed_dictionaries(
        {"kind": st.just("gaussian"), "sigma": st.sampled_from([0.1, 1.0])}
    )
    return st.one_of(st.just({}), destroying, gaussian)


def _as_rbms(settings: dict[str, Any]) -> dict[str, Any]:
    """The same experiment with RBMs in place of autoencoders."""
    chain = {"kind": "rbm", "gibbs_steps": 1 + settings["seed"] % 2, "loss": "cross-entropy"}
    chain["persistent"] = settings["seed"] % 3 > 0
    chain["sample_visible"] = settings["seed"] % 5 > 0
    return settings | {
        "model": settings["model"] | {"tied": True},
        "corruption": {},
        "pretrain": settings["pretrain"] | chain,
    }


_autoencoders = st.fixed_dictionaries(
    {
        "dataset": st.just("convex"),
        "seed": st.integers(0, 2**32 - 1),
        "model": st.fixed_dictionaries(
            {
                "hidden": st.lists(st.integers(1, 9), min_size=1, max_size=3),
                "tied": st.booleans(),
                "init": st.sampled_from(["glorot", "tutorial"]),
            }
        ),
        "corruption": _corruptions(),
        "pretrain": st.fixed_dictionaries(
            {
                "loss": st.sampled_from(["cross-entropy", "squared-error"]),
                "learning_rate": st.sampled_from([0.001, 0.02]),
                "epochs": st.integers(0, 2),
                "batch_size": st.integers(1, ROWS),
            }
        ),
        "finetune": st.fixed_dictionaries(
            {
                "learning_rate": st.sampled_from([0.01, 0.3]),
                "max_epochs": st.integers(1, 3),
                "patience": st.integers(1, 3),
                "window": st.integers(1, 3),
                "batch_size": st.integers(1, ROWS),
            }
        ),
    }
)
experiments = (_autoencoders | _autoencoders.map(_as_rbms)).map(Experiment.model_validate)


def _trained(
    experiment: Experiment, toy: Dataset, engine: Engine, stops: list[int], folder: Path
) -> TrainingState:
    """Train, stopping after each number of steps in turn, and going on from the checkpoint."""
    expected = Expected(experiment, "0" * 64, D, CLASSES)
    path = folder / "checkpoint.safetensors"
    state = initial_state(experiment, D, torch.float32)
    for steps in stops:
        try:
            train(experiment, toy, state, engine, StopAfter(steps, path, expected))
            return state
        except Stopped:
            state = load_checkpoint(path, expected, CPU)
    train(experiment, toy, state, engine, NoHooks())
    return state


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    experiment=experiments,
    stops=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    engine=st.sampled_from(["torch", "blas"]),
)
def test_any_experiment_stopped_after_any_steps_ends_at_the_same_bits(
    toy: Dataset, content: Content, experiment: Experiment, stops: list[int], engine: Any
) -> None:
    chosen = engine_for(engine, CPU)
    with tempfile.TemporaryDirectory() as folder:
        stopped = _trained(experiment, toy, chosen, stops, Path(folder))
        whole = _trained(experiment, toy, chosen, [], Path(folder))
    assert content(stopped) == content(whole)
