"""Contents of checkpoint.safetensors, and rejection of invalid or untrusted files."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.entry_points.training import DaeError, read, rewrite, toy_data, toy_settings, train

pytestmark = pytest.mark.usefixtures("one_thread")

DATA = toy_data()
SETTINGS = toy_settings()
Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Checkpoint of a finished run of the toy experiment, including its last network."""
    path = tmp_path_factory.mktemp("whole") / "checkpoint.safetensors"
    moments = train(SETTINGS, DATA).moments
    assert train(SETTINGS, DATA, stop_after=moments, save_to=path).phase == "done"
    return path.read_bytes()


@pytest.fixture
def checkpoint(whole: bytes, tmp_path: Path) -> Path:
    """A copy of this checkpoint."""
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(whole)
    return path


def refused(path: Path, chosen: dict[str, Any] = SETTINGS, *parts: str, **how: Any) -> None:
    with pytest.raises(DaeError) as caught:
        read(path, chosen, DATA, **how)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert text.startswith(f"{path}: ") and text.isprintable()
    for part in parts:
        assert part in text, text


# Contents


def test_nothing_is_pickled_the_file_is_a_header_and_raw_numbers(checkpoint: Path) -> None:
    raw = checkpoint.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert list(metadata) == ["dae"]
    state = json.loads(metadata["dae"])
    assert state["format"] == 2 and state["data_sha256"] == "0" * 64 and state["interim"] is None
    assert state["experiment"]["model"] == {"hidden": [6, 5], "tied": True, "init": "glorot"}
    assert (state["phase"], state["layer"], state["epoch"]) == ("done", 2, 4)
    assert len(state["history"]) == 8
    sizes = [int(np.prod(entry["shape"])) for entry in header.values()]
    assert {entry["dtype"] for entry in header.values()} == {"F32"}
    assert header["best.top.weight"]["shape"] == [3, 5]
    assert len(raw) == 8 + length + 4 * sum(sizes)


# Rejected files


def test_other_settings_and_other_data_are_refused(checkpoint: Path) -> None:
    for changes in (
        {"model": {"hidden": (6, 4)}},
        {"model": {"tied": False}},
        {"model": {"init": "tutorial"}},
        {"corruption": {"destruction": 0.5}},
        {"pretrain": {"kind": "rbm"}},
        {"finetune": {"window": 2}},
        {"seed": 1},
    ):
        refused(checkpoint, toy_settings(**changes))
    refused(checkpoint, SETTINGS, data_sha256="1" * 64)
    assert read(checkpoint, SETTINGS, DATA).phase == "done"


def test_what_is_no_safetensors_file_of_ours_is_refused(checkpoint: Path) -> None:
    raw = checkpoint.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    three = {"weight": np.zeros(3, np.float32)}
    nested = "[" * 100_000 + "]" * 100_000
    refused(checkpoint.with_name("missing"))
    for content in (
        *(raw[:count] for count in (0, 5, 8, 100, 8 + length, len(raw) // 2, len(raw) - 1)),
        raw + b"\0",
        struct.pack("<Q", 2**63) + raw[8:],
        struct.pack("<Q", 2**33) + raw[8:],
        struct.pack("<Q", length - 1) + raw[8:],
        pickle.dumps({"weight": [0.0]}),
        b"PK\x03\x04" + bytes(500),
        safetensors.numpy.save(three),
        safetensors.numpy.save(three, {"format": "pt"}),
        *(safetensors.numpy.save(three, {"dae": text}) for text in ("no JSON", "[1]", nested)),
    ):
        checkpoint.write_bytes(content)
        refused(checkpoint)


def put(**values: Any) -> Change:
    return lambda header, _: header.update(values)


def tensor(name: str, value: Any) -> Change:
    return lambda _, tensors: tensors.update({name: value})


def without(name: str) -> Change:
    return lambda header, tensors: (header if name in header else tensors).pop(name)


def in_the_middle(**values: Any) -> Change:
    return lambda header, _: header["interim"].update(values)


def record(number: int, **values: Any) -> Change:
    return lambda header, _: header["history"][number].update(values)


def back_to_the_start_of_fine_tuning(header: dict[str, Any], _: object) -> None:
    header.update(phase="finetune", epoch=0, history=header["history"][:4])


def floats(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


NO_VALUES: list[tuple[str, Any]] = [
    ("format", 99),
    ("phase", "__import__"),
    *(("epoch", value) for value in (-1, "4", 4.0)),
    ("interim", {"steps": 1, "cost": float("nan")}),
    ("interim", {"steps": 1, "cost": 0.0, "noise": {"words": [1, 2, 3]}}),
    ("more", 1),
]
NO_PLACES: list[tuple[str, Any]] = [
    ("phase", "pretrain"),
    *(("layer", value) for value in (1, 3, 10**9)),
    *(("epoch", value) for value in (3, 5)),
    *(("best_epoch", value) for value in (0, 5)),
    *(("best_wrong", value) for value in (0, None)),
    ("interim", {"steps": "1"}),
    ("\x1b[31m\x7f", 1),
    ("history", []),
]
COSTS = [("cost", float("nan")), ("cost", float("inf")), ("cost", "1")]
TENSORS = [
    ("pretrained.1.weight", floats(6, 21)),
    ("pretrained.1.weight", floats(120)),
    ("pretrained.2.hidden_bias", floats(4)),
    ("best.top.weight", floats(4, 5)),
    ("best.top.bias", floats(0)),
    ("network.2.bias", floats(1)),
    ("best.1.bias", np.zeros(6, np.int32)),
    ("best.1.bias", np.zeros(6, np.float16)),
    ("pretrained.1.decoder_weight", floats(20, 6)),
    ("chains", floats(10, 6)),
    ("more", floats(1)),
    ("m" * 200 + "\x1b[31m", floats(1)),
]


def test_a_position_or_tensors_that_this_run_cannot_have_are_refused(
    checkpoint: Path, whole: bytes
) -> None:
    cases: list[tuple[Change, str]] = [
        *((put(**{name: value}), name) for name, value in NO_VALUES),
        *((put(**{name: value}), "") for name, value in NO_PLACES),
        *((record(0, **{name: value}), "cost") for name, value in COSTS),
        *((tensor(name, value), name[:9]) for name, value in TENSORS),
        (record(0, layer=2), ""),
        (record(0, more=1), ""),
        (lambda header, _: header["history"].pop(), ""),
        (lambda header, _: header["history"].reverse(), ""),
        (lambda header, _: header["history"].append(dict(header["history"][-1], epoch=5)), ""),
        (back_to_the_start_of_fine_tuning, ""),
    ]
    fields = ("format", "phase", "layer", "epoch", "best_wrong", "best_epoch", "history")
    names = [name for name in safetensors.numpy.load(whole) if not name.startswith("network.")]
    cases += [(without(name), name) for name in (*fields, *names)]
    for number, (change, part) in enumerate(cases):
        checkpoint.write_bytes(whole)
        rewrite(checkpoint, change)
        try:
            refused(checkpoint, SETTINGS, part)
        except (AssertionError, pytest.fail.Exception) as error:
            error.add_note(f"case {number}: {part}")
            raise


def test_a_run_in_the_midst_of_a_phase_must_have_what_the_phase_needs(tmp_path: Path) -> None:
    path, rbms = tmp_path / "checkpoint", toy_settings(pretrain={"kind": "rbm", "persistent": True})
    for chosen, moment, name in (
        (SETTINGS, 26 + 1, "network.1.weight"),  # after the first step of fine-tuning
        (SETTINGS, 26 + 6, "network.2.bias"),  # after its first epoch
        (SETTINGS, 26 + 6, "best.top.bias"),
        (rbms, 2, "chains"),
        (rbms, 13 + 6, "chains"),
    ):
        stopped = train(chosen, DATA, stop_after=moment, save_to=path)
        assert name in stopped.tensors
        rewrite(path, without(name))
        refused(path, chosen, name)
        train(chosen, DATA, stop_after=moment, save_to=path)
        rewrite(path, tensor(name, np.zeros((9, 9), np.float32)))
        refused(path, chosen, name, "9, 9", str(list(stopped.tensors[name].shape)))
    # There are no chains between layers.
    assert "chains" not in train(rbms, DATA, stop_after=13, save_to=path).tensors
    assert read(path, rbms, DATA).layer == 1


def test_the_middle_of_an_epoch_that_this_run_cannot_be_in_is_refused(tmp_path: Path) -> None:
    """Otherwise steps would be skipped silently or NumPy would raise an OverflowError."""
    path = tmp_path / "checkpoint"
    for moment, change in (
        (3, {"steps": -1}),
        (3, {"steps": 10**9}),
        (3, {"noise": None}),
        (3, {"noise": {"words": [2**70] * 4, "has_uint32": 0, "uinteger": 0}}),
        (3, {"noise": {"words": [-1] * 4, "has_uint32": 0, "uinteger": 0}}),
        (3, {"noise": {"words": [1] * 4, "has_uint32": 0, "uinteger": 2**40}}),
    ):
        train(SETTINGS, DATA, stop_after=moment, save_to=path)
        rewrite(path, in_the_middle(**change))
        refused(path)


def test_a_tensor_with_a_number_that_is_not_finite_is_refused(checkpoint: Path) -> None:
    rewrite(checkpoint, lambda _, tensors: tensors["best.2.weight"].fill(np.nan))
    refused(checkpoint, SETTINGS, "best.2.weight")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bytes_changed_anywhere_are_refused_or_read_and_never_crash(
    checkpoint: Path, whole: bytes, data: st.DataObject
) -> None:
    (length,) = struct.unpack("<Q", whole[:8])
    where = data.draw(st.integers(0, 8 + length - 1))
    cut = data.draw(st.integers(0, 8))
    raw = whole[:where] + data.draw(st.binary(max_size=8)) + whole[where + cut :]
    checkpoint.write_bytes(raw)
    try:
        assert read(checkpoint, SETTINGS, DATA).tensors
    except DaeError as error:
        assert error.exit_code == 2
        assert str(error).startswith(f"{checkpoint}: ") and str(error).isprintable()
