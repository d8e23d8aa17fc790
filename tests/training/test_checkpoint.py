"""Checkpoints: all of a state, whole or not at all, and nothing that executes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from dae_cli.config.schema import Experiment
from dae_cli.errors import RunFolderError
from dae_cli.training.checkpoint import load_checkpoint, save_checkpoint
from dae_cli.training.state import TrainingState, initial_state

CPU = torch.device("cpu")
MakeExperiment = Callable[..., Experiment]
Run = Callable[..., TrainingState]
Content = Callable[[TrainingState], dict[str, Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture
def experiment(make_experiment: MakeExperiment) -> Experiment:
    return make_experiment()


@pytest.fixture
def done(run: Run, experiment: Experiment) -> TrainingState:
    """A finished run."""
    return run(experiment)


@pytest.fixture
def rewrite(path: Path) -> Callable[..., None]:
    """Write the checkpoint again with another header or other tensors."""

    def write(change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> None:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["dae"])
        tensors = safetensors.torch.load(path.read_bytes())
        change(header, tensors)
        safetensors.torch.save_file(tensors, path, metadata={"dae": json.dumps(header)})

    return write


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_everything_comes_back_bit_for_bit(
    make_experiment: MakeExperiment, run: Run, path: Path, content: Content, tied: bool
) -> None:
    experiment = make_experiment(model={"tied": tied}, pretrain={"loss": "squared-error"})
    state = run(experiment)
    save_checkpoint(path, state)
    back = load_checkpoint(path, experiment, CPU)
    assert content(back) == content(state)
    assert [a.loss for a in back.autoencoders] == ["squared-error"] * 2
    assert back.best_wrong is not None and back.history


def test_a_state_before_fine_tuning_comes_back_without_a_network(
    experiment: Experiment, path: Path, content: Content
) -> None:
    state = initial_state(experiment, 20, torch.float32)
    save_checkpoint(path, state)
    back = load_checkpoint(path, experiment, CPU)
    assert content(back) == content(state)
    assert (back.network, back.best, back.best_wrong, back.history) == (None, None, None, [])


def test_nothing_is_pickled_the_file_is_a_safetensors_header_and_raw_numbers(
    done: TrainingState, path: Path
) -> None:
    save_checkpoint(path, done)
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    assert header.pop("__metadata__").keys() == {"dae"}
    assert header.keys() == done.tensors().keys()
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
    numbers = 4 * sum(tensor.numel() for tensor in done.tensors().values())
    assert len(raw) == 8 + length + numbers


def test_the_same_state_gives_the_same_bytes(done: TrainingState, path: Path) -> None:
    other = path.with_name("other.safetensors")
    save_checkpoint(path, done)
    save_checkpoint(other, done)
    assert path.read_bytes() == other.read_bytes()


def test_a_failed_save_leaves_the_old_checkpoint(
    experiment: Experiment,
    done: TrainingState,
    path: Path,
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_checkpoint(path, done)
    before = path.read_bytes()

    def full_disk(tensors: object, filename: Path, metadata: object) -> None:
        filename.write_bytes(b"half a checkpo")
        raise OSError("no space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(path, initial_state(experiment, 20, torch.float32))
    assert path.read_bytes() == before
    assert content(load_checkpoint(path, experiment, CPU)) == content(done)


def test_a_save_replaces_what_a_failed_one_left_and_leaves_one_file(
    done: TrainingState, path: Path, experiment: Experiment, content: Content
) -> None:
    path.with_name(path.name + ".partial").write_bytes(b"half a checkpo")
    save_checkpoint(path, initial_state(experiment, 20, torch.float32))
    save_checkpoint(path, done)
    assert list(path.parent.iterdir()) == [path]
    assert content(load_checkpoint(path, experiment, CPU)) == content(done)


def test_loaded_tensors_lie_aligned_in_memory_of_their_own(
    experiment: Experiment, done: TrainingState, path: Path
) -> None:
    # In the file they lie at any multiple of 4, and the last bit of a product depends on it.
    save_checkpoint(path, done)
    before = path.read_bytes()
    tensors = load_checkpoint(path, experiment, CPU).tensors().values()
    assert all(tensor.data_ptr() % 64 == 0 for tensor in tensors)
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)
    for tensor in tensors:
        tensor += 1
    assert path.read_bytes() == before


def refused(path: Path, experiment: Experiment) -> str:
    with pytest.raises(RunFolderError) as raised:
        load_checkpoint(path, experiment, CPU)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(str(path))
    return str(raised.value).removeprefix(str(path))


def test_a_missing_file_is_named(path: Path, experiment: Experiment) -> None:
    assert refused(path, experiment) == ": no such checkpoint"


@pytest.mark.parametrize("keep", [0, 5, 8, 100, 0.5, -1])
def test_a_truncated_file_is_refused_with_what_to_do(
    done: TrainingState, path: Path, experiment: Experiment, keep: float
) -> None:
    save_checkpoint(path, done)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if keep == 0.5 else int(keep)])
    text = refused(path, experiment)
    assert text.startswith(": not a checkpoint of this experiment (")
    assert text.endswith("; delete the run's folder, or run again with --force")


@pytest.mark.parametrize("junk", [b"\x80\x04\x95 a pickle .", b"PK\x03\x04" + bytes(500)])
def test_a_pickle_or_an_archive_is_refused_unread(
    path: Path, experiment: Experiment, junk: bytes
) -> None:
    path.write_bytes(junk)
    assert "not a checkpoint of this experiment" in refused(path, experiment)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"dae": "no JSON"}, {"dae": "[1]"}])
def test_safetensors_of_another_program_are_refused(
    path: Path, experiment: Experiment, metadata: dict[str, str] | None
) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    assert "not a checkpoint of this experiment" in refused(path, experiment)


def test_another_format_is_refused_with_both_numbers(
    done: TrainingState, path: Path, experiment: Experiment, rewrite: Callable[..., None]
) -> None:
    save_checkpoint(path, done)
    rewrite(lambda header, tensors: header.update(format=99))
    assert "(format 99, expected 1)" in refused(path, experiment)


@pytest.mark.parametrize(
    "name", ["pretrained.2.weight", "pretrained.1.visible_bias", "best.2.bias"]
)
def test_a_missing_tensor_is_refused_by_name(
    done: TrainingState,
    path: Path,
    experiment: Experiment,
    rewrite: Callable[..., None],
    name: str,
) -> None:
    save_checkpoint(path, done)
    rewrite(lambda header, tensors: tensors.pop(name))
    assert name in refused(path, experiment)


@pytest.mark.parametrize("key", ["phase", "layer", "epoch", "best_wrong", "best_epoch", "history"])
def test_a_missing_position_is_refused_by_name(
    done: TrainingState,
    path: Path,
    experiment: Experiment,
    rewrite: Callable[..., None],
    key: str,
) -> None:
    save_checkpoint(path, done)
    rewrite(lambda header, tensors: header.pop(key))
    assert f"('{key}')" in refused(path, experiment)


@pytest.mark.parametrize("hidden", [(6,), (6, 4), (7, 5), (6, 5, 4)], ids=str)
def test_a_checkpoint_of_other_layers_is_refused(
    done: TrainingState, path: Path, make_experiment: MakeExperiment, hidden: tuple[int, ...]
) -> None:
    save_checkpoint(path, done)
    text = refused(path, make_experiment(model={"hidden": hidden}))
    assert text.startswith(": not a checkpoint of this experiment (")


def test_a_tied_checkpoint_is_refused_for_an_untied_model_and_the_other_way_round(
    make_experiment: MakeExperiment, path: Path
) -> None:
    for saved in (True, False):
        experiment = make_experiment(model={"tied": saved})
        save_checkpoint(path, initial_state(experiment, 20, torch.float32))
        text = refused(path, make_experiment(model={"tied": not saved}))
        assert f"model.tied, {str(not saved).lower()}" in text
