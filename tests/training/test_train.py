"""A whole run: the same seed gives the same bytes, stopped and resumed or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset
from dae_cli.engines.engine import Engine
from dae_cli.errors import ConfigError
from dae_cli.training.checkpoint import Expected, load_checkpoint, save_checkpoint
from dae_cli.training.hooks import NoHooks
from dae_cli.training.state import TrainingState
from dae_cli.training.train import chosen_device
from dae_cli.training.version import NUMERICS_VERSION

CPU = torch.device("cpu")
MakeExperiment = Callable[..., Experiment]
MakeDataset = Callable[..., Dataset]
Run = Callable[..., TrainingState]
Content = Callable[[TrainingState], dict[str, Any]]

MODELS: dict[str, dict[str, Any]] = {
    "masking": {"corruption": {"destruction": 0.25}},
    "untied": {"model": {"tied": False, "init": "tutorial"}},
    "squared-error": {
        "corruption": {"kind": "gaussian", "sigma": 0.3},
        "pretrain": {"loss": "squared-error", "learning_rate": 0.01},
    },
    "one-by-one": {
        "corruption": {"kind": "salt-and-pepper", "destruction": 0.25},
        "model": {"hidden": (7, 5)},  # odd: in the file, tensors lie at odd multiples of 4
        "pretrain": {"batch_size": 1},
        "finetune": {"batch_size": 1},
    },
    "unpretrained": {"pretrain": {"epochs": 0}},
}
each_model = pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)


def expected_of(experiment: Experiment) -> Expected:
    """A run of the toy data set: 20 components, three classes."""
    return Expected(experiment, "0" * 64, 20, 3)


@dataclass
class Saver(NoHooks):
    """Hooks that save a checkpoint after every epoch, each under a name of its own."""

    folder: Path
    expected: Expected
    saved: list[Path] = field(default_factory=list)

    def epoch_done(self, state: TrainingState) -> None:
        self.saved.append(self.folder / f"{len(self.saved)}.safetensors")
        save_checkpoint(self.saved[-1], state, self.expected)


class Stop(Exception):
    """The run is killed here."""


@dataclass
class Stopper(NoHooks):
    """Hooks that save one checkpoint over and over, and stop the run after some epochs."""

    path: Path
    expected: Expected
    epochs: int

    def epoch_done(self, state: TrainingState) -> None:
        save_checkpoint(self.path, state, self.expected)
        self.epochs -= 1
        if self.epochs == 0:
            raise Stop


@each_model
def test_the_same_seed_gives_the_same_bytes(
    make_experiment: MakeExperiment,
    run: Run,
    content: Content,
    engine: Engine,
    changes: dict[str, Any],
) -> None:
    experiment = make_experiment(**changes)
    first, second = (run(experiment, engine=engine) for _ in range(2))
    assert content(first) == content(second)


def test_another_seed_gives_another_run(make_experiment: MakeExperiment, run: Run) -> None:
    states = [run(make_experiment(seed=seed)) for seed in (0, 1)]
    names = states[0].tensors().keys()
    first, second = (state.tensors() for state in states)
    assert all(not torch.equal(first[name], second[name]) for name in names)
    assert states[0].history != states[1].history


def test_chance_drawn_elsewhere_does_not_move_a_run(
    make_experiment: MakeExperiment, run: Run, content: Content
) -> None:
    torch.manual_seed(1)
    first = content(run(make_experiment()))
    torch.manual_seed(2)
    assert content(run(make_experiment())) == first


@each_model
def test_a_run_resumed_after_any_epoch_equals_the_uninterrupted_one_bit_for_bit(
    make_experiment: MakeExperiment,
    run: Run,
    content: Content,
    engine: Engine,
    tmp_path: Path,
    changes: dict[str, Any],
) -> None:
    experiment = make_experiment(**changes)
    saver = Saver(tmp_path, expected_of(experiment))
    whole = content(run(experiment, hooks=saver, engine=engine))
    assert len(saver.saved) == len(whole["history"]) >= 4
    for path in saver.saved:
        resumed = run(
            experiment, state=load_checkpoint(path, expected_of(experiment), CPU), engine=engine
        )
        assert content(resumed) == whole, path.name


def test_a_run_killed_after_every_single_epoch_equals_the_uninterrupted_one(
    make_experiment: MakeExperiment, run: Run, content: Content, engine: Engine, tmp_path: Path
) -> None:
    experiment, path = make_experiment(finetune={"max_epochs": 20, "patience": 3}), tmp_path / "c"
    whole = content(run(experiment, engine=engine))
    state: TrainingState | None = None
    for epochs in range(1, 100):
        try:
            state = run(
                experiment,
                state=state,
                hooks=Stopper(path, expected_of(experiment), 1),
                engine=engine,
            )
            break
        except Stop:
            state = load_checkpoint(path, expected_of(experiment), CPU)
            assert len(state.history) == epochs
    assert state is not None and content(state) == whole


@dataclass
class StepSaver(Saver):
    """Hooks that save a checkpoint after every step, and at the end of every phase."""

    def due(self) -> bool:
        return True

    def keep(self, state: TrainingState) -> None:
        self.epoch_done(state)

    phase_done = keep


@each_model
def test_a_run_resumed_after_any_step_equals_the_uninterrupted_one_bit_for_bit(
    make_experiment: MakeExperiment,
    run: Run,
    content: Content,
    engine: Engine,
    tmp_path: Path,
    changes: dict[str, Any],
) -> None:
    changes = changes | {"finetune": changes.get("finetune", {}) | {"max_epochs": 2}}
    experiment = make_experiment(**changes)
    saver = StepSaver(tmp_path, expected_of(experiment))
    whole = content(run(experiment, hooks=saver, engine=engine))
    assert whole == content(run(experiment, engine=engine))
    places = []
    for path in saver.saved:
        state = load_checkpoint(path, expected_of(experiment), CPU)
        places.append((state.phase, state.layer, state.epoch, state.interim is not None))
        assert content(run(experiment, state=state, engine=engine)) == whole, path.name
    pretrained = [p for p in places if p[0] == "pretrain"]
    steps = -(-47 // experiment.pretrain.batch_size)
    assert len([p for p in places if p[3]]) == steps * len(whole["history"])
    if pretrained:
        assert ("pretrain", 1, 0, False) in places  # between the layers
        assert ("finetune", 2, 0, False) in places  # between pretraining and fine-tuning
    assert places[-1][0] == "done"


@pytest.mark.parametrize("kind", ["masking", "salt-and-pepper", "gaussian"])
def test_the_noise_of_an_epoch_goes_on_where_it_was_left(
    make_experiment: MakeExperiment, run: Run, content: Content, tmp_path: Path, kind: str
) -> None:
    strength = {"sigma": 0.3} if kind == "gaussian" else {"destruction": 0.4}
    experiment = make_experiment(
        corruption={"kind": kind, "destruction": 0.0} | strength, finetune={"max_epochs": 1}
    )
    saver = StepSaver(tmp_path, expected_of(experiment))
    whole = content(run(experiment, hooks=saver))
    for path in saver.saved[:12]:
        state = load_checkpoint(path, expected_of(experiment), CPU)
        assert content(run(experiment, state=state)) == whole, path.name


def test_a_run_that_is_done_is_not_trained_further(
    make_experiment: MakeExperiment, run: Run, content: Content, tmp_path: Path
) -> None:
    experiment = make_experiment()
    state = run(experiment)
    before, saver = content(state), Saver(tmp_path, expected_of(experiment))
    assert before["position"][0] == "done"
    assert content(run(experiment, state=state, hooks=saver)) == before
    assert saver.saved == []


def test_phases_and_epochs_follow_one_another_in_the_history(
    make_experiment: MakeExperiment, run: Run, tmp_path: Path
) -> None:
    experiment = make_experiment()
    saver = Saver(tmp_path, expected_of(experiment))
    history = run(experiment, hooks=saver).history
    assert [(r.phase, r.layer, r.epoch) for r in history] == [
        *(("pretrain", layer, epoch) for layer in (1, 2) for epoch in (1, 2)),
        *(("finetune", None, epoch) for epoch in (1, 2, 3, 4)),
    ]
    assert len(saver.saved) == len(history)


def test_a_minibatch_larger_than_the_training_set_is_one_minibatch(
    make_experiment: MakeExperiment, run: Run
) -> None:
    sizes = ({"batch_size": 47}, {"batch_size": 500})
    histories = [run(make_experiment(pretrain=s, finetune=s)).history for s in sizes]
    assert histories[0] == histories[1]


def test_auto_takes_cuda_where_there_is_one_and_else_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)  # only if asked for
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert chosen_device("auto").type == expected
        assert chosen_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_asked_for_and_not_there_is_an_error_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    there = torch.cuda if name == "cuda" else torch.backends.mps
    monkeypatch.setattr(there, "is_available", lambda: True)
    assert chosen_device(name).type == name
    monkeypatch.setattr(there, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        chosen_device(name)
    assert str(caught.value) == (
        f"--device {name}: torch sees no {name.upper()} device here; use --device cpu or auto"
    )


def test_the_version_of_the_numerics_is_a_number_to_be_raised() -> None:
    assert type(NUMERICS_VERSION) is int and NUMERICS_VERSION >= 1
