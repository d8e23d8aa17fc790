"""Checkpoints: all of a state, whole or not at all, and nothing that executes."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from dae_cli.config.schema import Experiment
from dae_cli.errors import OutputError, RunFolderError
from dae_cli.models.autoencoder import Autoencoder
from dae_cli.training.checkpoint import Expected, load_checkpoint, save_checkpoint
from dae_cli.training.state import TrainingState, initial_state

CPU = torch.device("cpu")
DATA = "d" * 64
NOT_THIS = ": not a checkpoint of this run ("
MakeExperiment = Callable[..., Experiment]
Run = Callable[..., TrainingState]
Content = Callable[[TrainingState], dict[str, Any]]


def expected_of(experiment: Experiment) -> Expected:
    """A run of the toy data set: 20 components, three classes."""
    return Expected(experiment, DATA, 20, 3)


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
    save_checkpoint(path, state, expected_of(experiment))
    back = load_checkpoint(path, expected_of(experiment), CPU)
    assert content(back) == content(state)
    losses = [a.loss for a in back.autoencoders if isinstance(a, Autoencoder)]
    assert losses == ["squared-error"] * 2
    assert back.best_wrong is not None and back.history


def test_a_state_before_fine_tuning_comes_back_without_a_network(
    experiment: Experiment, path: Path, content: Content
) -> None:
    state = initial_state(experiment, 20, torch.float32)
    save_checkpoint(path, state, expected_of(experiment))
    back = load_checkpoint(path, expected_of(experiment), CPU)
    assert content(back) == content(state)
    assert (back.network, back.best, back.best_wrong, back.history) == (None, None, None, [])


def test_nothing_is_pickled_the_file_is_a_safetensors_header_and_raw_numbers(
    done: TrainingState, path: Path, experiment: Experiment
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    assert header.pop("__metadata__").keys() == {"dae"}
    assert header.keys() == done.tensors().keys()
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
    numbers = 4 * sum(tensor.numel() for tensor in done.tensors().values())
    assert len(raw) == 8 + length + numbers


def test_the_same_state_gives_the_same_bytes(
    done: TrainingState, path: Path, experiment: Experiment
) -> None:
    other = path.with_name("other.safetensors")
    save_checkpoint(path, done, expected_of(experiment))
    save_checkpoint(other, done, expected_of(experiment))
    assert path.read_bytes() == other.read_bytes()


def test_a_failed_save_leaves_the_old_checkpoint(
    experiment: Experiment,
    done: TrainingState,
    path: Path,
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        save_checkpoint(path, initial_state(experiment, 20, torch.float32), expected_of(experiment))
    monkeypatch.undo()
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before
    assert content(load_checkpoint(path, expected_of(experiment), CPU)) == content(done)


def test_loaded_tensors_lie_aligned_in_memory_of_their_own(
    experiment: Experiment, done: TrainingState, path: Path
) -> None:
    # In the file they lie at any multiple of 4, and the last bit of a product depends on it.
    save_checkpoint(path, done, expected_of(experiment))
    before = path.read_bytes()
    tensors = load_checkpoint(path, expected_of(experiment), CPU).tensors().values()
    assert all(tensor.data_ptr() % 64 == 0 for tensor in tensors)
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == len(tensors)
    for tensor in tensors:
        tensor += 1
    assert path.read_bytes() == before


def refused(path: Path, experiment: Experiment) -> str:
    with pytest.raises(RunFolderError) as raised:
        load_checkpoint(path, expected_of(experiment), CPU)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(str(path))
    return str(raised.value).removeprefix(str(path))


def test_a_missing_file_is_named(path: Path, experiment: Experiment) -> None:
    assert refused(path, experiment) == ": no such checkpoint"


@pytest.mark.parametrize("keep", [0, 5, 8, 100, 0.5, -1])
def test_a_truncated_file_is_refused_with_what_to_do(
    done: TrainingState, path: Path, experiment: Experiment, keep: float
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if keep == 0.5 else int(keep)])
    text = refused(path, experiment)
    assert text.startswith(": not a checkpoint of this run (")
    assert text.endswith("; remove the run's folder to have it made anew")


@pytest.mark.parametrize("junk", [b"\x80\x04\x95 a pickle .", b"PK\x03\x04" + bytes(500)])
def test_a_pickle_or_an_archive_is_refused_unread(
    path: Path, experiment: Experiment, junk: bytes
) -> None:
    path.write_bytes(junk)
    assert "not a checkpoint of this run" in refused(path, experiment)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"dae": "no JSON"}, {"dae": "[1]"}])
def test_safetensors_of_another_program_are_refused(
    path: Path, experiment: Experiment, metadata: dict[str, str] | None
) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    assert "not a checkpoint of this run" in refused(path, experiment)


def test_another_format_is_refused_with_both_numbers(
    done: TrainingState, path: Path, experiment: Experiment, rewrite: Callable[..., None]
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    rewrite(lambda header, tensors: header.update(format=99))
    assert "(format: Input should be 1 or 2)" in refused(path, experiment)


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
    save_checkpoint(path, done, expected_of(experiment))
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
    save_checkpoint(path, done, expected_of(experiment))
    rewrite(lambda header, tensors: header.pop(key))
    assert f"({key}: Field required)" in refused(path, experiment)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"hidden": (6, 4)}},
        {"model": {"tied": False}},
        {"corruption": {"destruction": 0.5}},
        {"seed": 1},
    ],
    ids=str,
)
def test_a_checkpoint_of_other_settings_is_refused(
    done: TrainingState,
    path: Path,
    experiment: Experiment,
    make_experiment: MakeExperiment,
    changes: dict[str, Any],
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    assert "made with other settings or on other data" in refused(path, make_experiment(**changes))


def test_a_checkpoint_of_other_data_is_refused(
    done: TrainingState, path: Path, experiment: Experiment
) -> None:
    save_checkpoint(path, done, Expected(experiment, "e" * 64, 20, 3))
    assert "made with other settings or on other data" in refused(path, experiment)


def _resized(name: str, *shape: int) -> Callable[..., None]:
    def change(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = torch.zeros(*shape)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_resized("pretrained.1.weight", 6, 21), r"F32 [6, 21], expected [6, 20]"),
        (_resized("pretrained.2.hidden_bias", 4), r"F32 [4], expected [5]"),
        (_resized("best.top.weight", 4, 5), r"F32 [4, 5], expected [3, 5]"),
        (_resized("best.top.bias", 0), r"F32 [0], expected [3]"),
        (_resized("more", 1), "it has 'more', which this run has not"),
        (lambda h, t: t.update({"best.1.bias": t["best.1.bias"].to(torch.int32)}), "I32 [6]"),
        (lambda h, t: h.update(layer=1), "position"),
        (lambda h, t: h.update(layer=10**9), "position"),
        (lambda h, t: h.update(epoch=5), "position"),
        (lambda h, t: h.update(epoch=-1), "epoch: Input should be greater"),
        (lambda h, t: h.update(epoch="4"), "epoch: Input should be a valid integer"),
        (lambda h, t: h.update(phase="__import__"), "phase: Input should be"),
        (lambda h, t: h.update(best_epoch=0), "position"),
        (lambda h, t: h.update(best_wrong=0), "position"),
        (lambda h, t: h["history"].pop(), "position"),
        (lambda h, t: h["history"].reverse(), "position"),
        (lambda h, t: h.update(more=1), "more: Extra inputs are not permitted"),
        (lambda h, t: h.update(phase="finetune", epoch=0, history=h["history"][:4]), "position"),
    ],
)
def test_what_a_strangers_checkpoint_may_hold_is_refused_before_it_is_computed_with(
    done: TrainingState,
    path: Path,
    experiment: Experiment,
    rewrite: Callable[..., None],
    change: Callable[..., None],
    told: str,
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    rewrite(change)
    text = refused(path, experiment)
    assert text.startswith(NOT_THIS)
    assert told in text


def test_no_key_of_a_strangers_checkpoint_drives_the_terminal(
    done: TrainingState, path: Path, experiment: Experiment, rewrite: Callable[..., None]
) -> None:
    save_checkpoint(path, done, expected_of(experiment))
    rewrite(lambda header, tensors: header.update({"\x1b[31m\x7f": 1}))
    text = refused(path, experiment)
    assert "Extra inputs are not permitted" in text
    assert text.isprintable()


@pytest.mark.parametrize("depth", [300, 100_000])
def test_deeply_nested_json_is_refused(path: Path, experiment: Experiment, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    safetensors.torch.save_file({"w": torch.zeros(3)}, path, metadata={"dae": nested})
    assert refused(path, experiment).startswith(NOT_THIS)


def test_a_checkpoint_of_format_1_is_read_as_one_at_the_end_of_an_epoch(
    done: TrainingState,
    path: Path,
    experiment: Experiment,
    rewrite: Callable[..., None],
    content: Content,
) -> None:
    def as_before(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        for name in ("experiment", "data_sha256", "interim"):
            del header[name]
        header["format"] = 1

    save_checkpoint(path, done, expected_of(experiment))
    rewrite(as_before)
    assert content(load_checkpoint(path, expected_of(experiment), CPU)) == content(done)
