"""`--engine` and `--device` as a user sees them: used, recorded, resumed with, rejected."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.entry_points.runs import saved_checkpoints
from tests.entry_points.training import has_engine
from tests.support.children import ROOT, Child
from tests.support.commands import Ended
from tests.support.interrupts import signal_itself
from tests.support.tiny import change_json, read_csv, read_json, snapshot, write_study

pytestmark = pytest.mark.timeout(300)

Dae = Callable[..., Ended]
COMMANDS = (("train", "tiny/rect-25"), ("replicate", "tiny"))
LONG = {"learning_rate": 0.001, "epochs": 60}
"""Settings for enough steps to interrupt the run."""


def environment(results: Path, cell: str = "25") -> dict[str, Any]:
    """Return environment.json of the only run of a cell, complete or not."""
    (path,) = results.glob(f"runs/rect-*-{cell}-*/environment.json")
    return read_json(path)


def edit_environment(folder: Path, **values: Any) -> None:
    """Change values in the environment.json of a run."""
    change_json(folder / "environment.json", lambda environment: environment.update(values))


def has_three_epochs(folder: Path) -> bool:
    """Return whether a run in a folder has saved three epochs of its first layer."""
    texts = [path.read_text() for path in folder.rglob("*.partial/metrics.csv")]
    return any("\npretrain,1,3," in text for text in texts)


@pytest.fixture
def compiled() -> str:
    """Return the engine that is not the reference, or skip if this machine lacks it."""
    if not has_engine("compiled"):
        pytest.skip("this machine cannot compile kernels")
    return "compiled"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    """Stop a run of tiny/rect-25 with the engine torch by Ctrl-C; return the current folder."""
    folder = tmp_path_factory.mktemp("interrupted")
    cell = {"corruption": {"destruction": 0.25}, "pretrain": LONG}
    write_study(folder, cells={"rect-0": {"corruption": {"destruction": 0.0}}, "rect-25": cell})
    environment = {"DAE_DATA_DIR": str(tiny_data), "DAE_CHECKPOINT_SECONDS": "0"}
    stop = functools.partial(has_three_epochs, folder)
    prepare = (functools.partial(signal_itself, signal.SIGINT, stop),)
    words = ("train", "tiny/rect-25", "--engine", "torch")
    with contextlib.chdir(folder):
        assert Child(*words, environment=environment, prepare=prepare).wait().code == 130
    return folder


@pytest.fixture
def stopped(tiny: Path, tmp_path: Path, interrupted: Path) -> Path:
    """Copy the interrupted study; return the folder of the stopped run."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    (partial,) = tiny.glob("runs/*.partial")
    return partial


# Used and recorded


def test_the_engine_asked_for_is_recorded_in_every_table(
    dae: Dae, tiny: Path, compiled: str
) -> None:
    dae("train", "tiny/rect-25", "--engine", compiled, "--device", "auto").succeeded()
    assert (environment(tiny)["engine"], environment(tiny)["device"]) == (compiled, "cpu")
    dae("train", "tiny/rect-0", "--engine", "torch", "--device", "cpu").succeeded()
    dae("replicate", "tiny", "--engine", "auto").succeeded()
    for name in ("runs.csv", "table.csv"):
        rows = [(r["cell"], r["engine"], r["device"]) for r in read_csv(tiny / name)]
        assert rows == [("rect-0", "torch", "cpu"), ("rect-25", compiled, "cpu")]
    report = (tiny / "REPORT.md").read_text(encoding="utf-8")
    assert compiled in report and "torch" in report


def test_auto_is_compiled_on_a_cpu_that_it_supports(dae: Dae, tiny: Path, compiled: str) -> None:
    ended = dae("replicate", "tiny", "--engine", "auto", "--device", "cpu").succeeded()
    assert "engine:" not in ended.err
    assert [row["engine"] for row in read_csv(tiny / "runs.csv")] == [compiled] * 2
    assert environment(tiny)["engine"] == compiled


# Resuming


def test_a_stopped_run_is_resumed_with_its_own_engine(
    dae: Dae, stopped: Path, tiny: Path, compiled: str
) -> None:
    rows = read_csv(stopped / "metrics.csv")  # up to the checkpoint
    assert [row["epoch"] for row in rows[:3]] == ["1", "2", "3"]
    dae("train", "tiny/rect-0", "--engine", compiled).succeeded()
    ended = dae("replicate", "tiny", "--engine", "auto", "--dry-run").succeeded()
    assert "1 of 2 to run" in ended.out
    # A file that a killed process left half-written is removed.
    (stopped / ".status.json@elsewhere-123-0a0b0c0d.part").write_text("{", encoding="utf-8")
    dae("replicate", "tiny", "--engine", "auto").succeeded()
    engines = [(row["cell"], row["engine"]) for row in read_csv(tiny / "runs.csv")]
    assert engines == [("rect-0", compiled), ("rect-25", "torch")]
    assert not stopped.exists()
    resumed = snapshot(stopped.with_suffix(""))
    dae("train", "tiny/rect-25", "--engine", "torch", "--force").succeeded()
    whole = snapshot(stopped.with_suffix(""))
    assert whole.keys() == resumed.keys()
    for name in whole.keys() - {"status.json", "environment.json"}:
        assert resumed[name] == whole[name], name


def test_another_engine_or_device_for_a_stopped_run_is_refused_with_the_remedies(
    dae: Dae, stopped: Path, compiled: str
) -> None:
    before = snapshot(stopped, [".safetensors"])
    for command in (("train", "tiny/rect-25", "--resume"), ("replicate", "tiny")):
        ended = dae(*command, "--engine", compiled)
        ended.failed(2, "rect-25, seed 0", "torch", "cpu", compiled, "--engine", "--force")
        assert ended.out == "" and "rect-0" not in ended.message
    resume = ("train", "tiny/rect-25", "--resume")
    if torch.cuda.is_available():
        edit_environment(stopped, device="NVIDIA H100")
        ended = dae(*resume, "--device", "cpu").failed(2, "rect-25, seed 0", "NVIDIA H100", "cpu")
        assert "--device auto" in ended.message and "--force" in ended.message
        edit_environment(stopped, device="cpu")
    assert snapshot(stopped, [".safetensors"]) == before
    dae(*resume, "--engine", "torch", "--device", "cpu").succeeded()


@pytest.mark.parametrize("begun", [{"engine": "blas"}, {"device": "NVIDIA H100"}])
def test_a_stopped_run_without_its_engine_or_device_is_refused_for_any_option(
    dae: Dae, stopped: Path, begun: dict[str, str]
) -> None:
    if "device" in begun and torch.cuda.is_available():
        pytest.skip("the run could be resumed on this machine")
    edit_environment(stopped, **begun)
    before = snapshot(stopped)
    for options in ((), ("--engine", "auto"), ("--device", "cpu")):
        ended = dae("train", "tiny/rect-25", "--resume", *options)
        ended.failed(2, "rect-25, seed 0", *begun.values(), "here", str(stopped), "delete")
    assert snapshot(stopped) == before
    ended = dae("replicate", "tiny", "--device", "auto")
    ended.failed(1, *begun.values(), stopped.name)
    assert "1 failed" in ended.out


def test_a_stopped_run_without_a_recorded_engine_is_refused(dae: Dae, stopped: Path) -> None:
    path = stopped / "environment.json"
    for text in ("", "[]", "{}", "[" * 100_000, '{"engine": "torch"}'):
        path.write_text(text, encoding="utf-8")
        ended = dae("train", "tiny/rect-25", "--resume", "--engine", "auto")
        ended.failed(2, "rect-25, seed 0", path.name, stopped.name, "delete")
    path.unlink()
    dae("train", "tiny/rect-25", "--resume").failed(2, path.name, "delete")
    (stopped / "checkpoint.safetensors").unlink()  # without a checkpoint the run starts again
    dae("train", "tiny/rect-25", "--engine", "torch", "--set", "pretrain.epochs=1").succeeded()


# Finished runs


def test_a_finished_run_does_not_count_as_one_of_another_engine_or_device(
    dae: Dae, done: Path, compiled: str
) -> None:
    kinds = (".safetensors", ".npy", "metrics.csv")
    before = snapshot(done, kinds)
    for command in COMMANDS:
        ended = dae(*command, "--engine", compiled)
        ended.failed(2, "rect-25, seed 0", "torch", "cpu", compiled, "--engine", "--force", "--out")
        assert ("rect-0, seed 0" in ended.message) == (command[0] == "replicate")
        for engine in ("auto", "torch"):
            dae(*command, "--engine", engine).succeeded()
    (folder,) = done.glob("runs/*-25-*")
    edit_environment(folder, device="NVIDIA H100", engine="blas")  # of earlier versions
    parts = ("rect-25, seed 0", "blas", "NVIDIA H100", "cpu", "--device auto")
    for command in COMMANDS:
        dae(*command, "--device", "cpu").failed(2, *parts)
        dae(*command, "--device", "auto", "--engine", "auto").succeeded()
    row = read_csv(done / "runs.csv")[1]
    assert (row["engine"], row["device"]) == ("blas", "NVIDIA H100") and "scipy" in row["versions"]
    assert snapshot(done, kinds) == before
    dae("train", "tiny/rect-25", "--engine", compiled, "--force").succeeded()
    assert environment(done)["engine"] == compiled


# Rejected before any work


def test_an_unavailable_engine_or_device_is_refused_before_anything_is_done(
    dae: Dae, done: Path
) -> None:
    before = snapshot(done)
    for words in COMMANDS:
        command = (*words, "--force")
        for device in ("cuda", "mps"):
            ended = dae(*command, "--engine", "compiled", "--device", device)
            assert ended.failed(2, "--device").out == ""
            there = {"cuda": torch.cuda, "mps": torch.backends.mps}[device]
            if not there.is_available():
                for engine in ("auto", "torch"):
                    ended = dae(*command, "--engine", engine, "--device", device)
                    ended.failed(2, f"--device {device}", "--device cpu", "auto")
                    assert ended.out == ""
        for name in ("abacus", "blas"):
            ended = dae(*command, "--engine", name)
            ended.failed(2, "--engine", name, "'auto', 'torch', 'compiled'")
        dae(*command, "--device", "abacus").failed(2, "--device", "abacus", "cpu")
    assert snapshot(done) == before


SCRIPT = """
import json
import sys

{first}
from tests.support.commands import dae

print(json.dumps([dae(*words) for words in json.loads(sys.stdin.read())]))
"""
NOT_COMPILED = {
    "numba": ('sys.modules["numba"] = None', {}),
    "NUMBA_DISABLE_JIT": ("", {"NUMBA_DISABLE_JIT": "1"}),
    "fused multiply-add": ("", {"NUMBA_CPU_FEATURES": ""}),
}
"""Reasons why nothing is compiled: first statement and environment of the process."""


@pytest.mark.parametrize(
    "why",
    [
        pytest.param("numba", marks=pytest.mark.slow),
        pytest.param("NUMBA_DISABLE_JIT", marks=pytest.mark.slow),
        "fused multiply-add",
    ],
)
def test_if_nothing_can_be_compiled_auto_is_torch_with_a_note_and_the_same_numbers(
    done: Path, finished: tuple[Path, Ended], why: str
) -> None:
    if "multiply" in why and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("every other processor has it")
    first, environment = NOT_COMPILED[why]
    (other,) = done.glob("runs/*-0-s0-*")
    partial = other.rename(f"{other}.partial")
    edit_environment(partial, engine="compiled")
    commands = [
        ("train", "tiny/rect-25", "--force", "--engine", "compiled"),
        ("train", "tiny/rect-0", "--resume", "--engine", "auto"),
        ("train", "tiny/rect-25", "--force", "--engine", "auto", "--device", "cpu"),
    ]
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    asked, recorded, computed = (Ended(*ended) for ended in json.loads(printed))
    asked.failed(2, "--engine compiled", why, "--engine auto")
    recorded.failed(2, "rect-0, seed 0", "compiled", why, partial.name, "delete")
    assert [line for line in computed.err.splitlines() if "engine torch" in line and why in line]
    run = Path(computed.succeeded().lines[-1]).name
    for name in ("checkpoint.safetensors", "wrong_rows.npy", "metrics.csv"):
        ours, theirs = (folder / "runs" / run / name for folder in (done, finished[0]))
        assert ours.read_bytes() == theirs.read_bytes()


def test_checkpoints_are_saved_after_each_phase_or_at_the_given_interval(
    dae: Dae, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ("--set", "pretrain.epochs=1", "--set", "finetune.max_epochs=1", "--force")
    steps, epochs, phases, last = 2 * 5 + 25, 3, 3, 1
    saved = saved_checkpoints(monkeypatch)
    for seconds, number in (("", phases + last), ("0", steps + epochs + phases + last)):
        monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", seconds)
        saved.clear()
        dae("train", "tiny/rect-25", *short).succeeded()
        assert len(saved) == number
