"""What lies in a run's folder and may be a stranger's: valid examples, and reading them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.machines import Trial
from dae_cli.baselines.svm import fit_svm
from dae_cli.baselines.svm_file import ExpectedSvm, load_svm, save_svm, training_images
from dae_cli.baselines.trials import read_trials, trials_csv
from dae_cli.config.schema import Experiment, SvmExperiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.registry import REGISTRY
from dae_cli.study.rows import RunRow, read_rows, rows_to_csv
from dae_cli.study.run.provenance import Environment, continued
from dae_cli.study.run.records import Status, read_record
from dae_cli.training.checkpoint import Expected, load_checkpoint, save_checkpoint
from dae_cli.training.state import (
    EpochRecord,
    GeneratorState,
    Interim,
    TrainingState,
    initial_state,
    network_from,
)
from tests.fuzz.mutations import WORDS, Mutate, bytes_and

D, CLASSES, DATA = 4, REGISTRY["convex"].n_classes, "d" * 64
CPU = torch.device("cpu")
EXPERIMENT = Experiment.model_validate(
    {
        "dataset": "convex",
        "model": {"hidden": (3, 2)},
        "corruption": {"destruction": 0.25},
        "pretrain": {"learning_rate": 0.1, "epochs": 2},
        "finetune": {"learning_rate": 0.1, "max_epochs": 4, "patience": 4},
    }
)
EXPECTED = Expected(EXPERIMENT, DATA, D, CLASSES)


def _rows(n: int) -> Split:
    pixels = (np.arange(n * D).reshape(n, D) * 37 % 251).astype(np.uint8)
    return Split(pixels, (np.arange(n) % 2).astype(np.uint8), 1 / 255)


SVM_ROWS = Dataset("convex", CLASSES, _rows(30), _rows(10), _rows(12), "original", DATA)
EXPECTED_SVM = ExpectedSvm(
    SvmExperiment.model_validate({"dataset": "convex", "svm": {"kernel": "rbf"}}), DATA, SVM_ROWS
)


def read_checkpoint(data: bytes, folder: Path) -> None:
    """Load a checkpoint; what is accepted can be computed with."""
    path = folder / "checkpoint.safetensors"
    path.write_bytes(data)
    state = load_checkpoint(path, EXPECTED, CPU)
    assert [tuple(a.weight.shape) for a in state.autoencoders] == [(3, D), (2, 3)]
    for network in (state.network, state.best):
        assert network is None or tuple(network.top.weight.shape) == (CLASSES, 2)
    save_checkpoint(path, state, EXPECTED)
    assert load_checkpoint(path, EXPECTED, CPU).history == state.history


def read_svm(data: bytes, folder: Path) -> None:
    """Read the checkpoint of an SVM, and label rows with it."""
    path = folder / "svm.safetensors"
    path.write_bytes(data)
    load_svm(path, EXPECTED_SVM).predict(SVM_ROWS.test.as_float())


def read_svm_trials(data: bytes, folder: Path) -> None:
    """Read trials.csv, and write it again."""
    path = folder / "trials.csv"
    path.write_bytes(data)
    trials_csv(read_trials(path, "rbf", 30, 10))


def read_status(data: bytes, folder: Path) -> None:
    """Read status.json."""
    path = folder / "status.json"
    path.write_bytes(data)
    status = read_record(path, Status)
    assert status.minutes >= 0
    assert status.result is None or 0 <= status.result.n_wrong <= status.result.n_test


def read_environment(data: bytes, folder: Path) -> None:
    """Read environment.json, and go on from it."""
    path = folder / "environment.json"
    path.write_bytes(data)
    env = read_record(path, Environment)
    assert continued(env, env).commits == env.commits


def read_runs(data: bytes, folder: Path) -> None:
    """Read runs.csv."""
    path = folder / "runs.csv"
    path.write_bytes(data)
    rows_to_csv(read_rows(path, RunRow), RunRow)


@cache
def checkpoints() -> list[bytes]:
    """One of each phase: fresh, in an epoch, fine-tuned, done."""
    fresh = initial_state(EXPERIMENT, D, torch.float32)
    noise = GeneratorState((1, 2, 3, 4), 0, 0)
    begun = replace(
        fresh, epoch=1, history=[EpochRecord("pretrain", 1, 1, 0.5)], interim=Interim(3, 1.5, noise)
    )
    pretrained = [
        EpochRecord("pretrain", layer, epoch, 0.25) for layer in (1, 2) for epoch in (1, 2)
    ]
    tuned = replace(
        fresh,
        phase="finetune",
        layer=2,
        epoch=1,
        network=network_from(fresh.autoencoders, CLASSES),
        best=network_from(fresh.autoencoders, CLASSES),
        best_wrong=7,
        best_epoch=1,
        history=[*pretrained, EpochRecord("finetune", None, 1, 0.75, 7, 0.35)],
    )
    return [_saved(s) for s in (fresh, begun, tuned, replace(tuned, phase="done", network=None))]


def _saved(state: TrainingState) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        save_checkpoint(path, state, EXPECTED)
        return path.read_bytes()


@cache
def svms() -> list[bytes]:
    """A machine of a few rows."""
    images = training_images(SVM_ROWS)
    labels = np.concatenate([SVM_ROWS.train.labels, SVM_ROWS.valid.labels])
    svm = fit_svm(images, labels, Kernel("rbf", 0.1), 1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "svm"
        save_svm(path, svm, EXPECTED_SVM.experiment, DATA)
        return [path.read_bytes()]


def svm_trials() -> list[bytes]:
    """No trial, and two."""
    first = Trial(Kernel("rbf", 0.01), 1.0, 3, 10, 20, True, 0.5)
    second = Trial(Kernel("rbf", 10**-0.5), 100.0, 0, 10, 30, False, 7.0)
    return [trials_csv(trials).encode() for trials in ([], [first, second])]


def statuses() -> list[bytes]:
    """Of a run that goes on, has failed, is done."""
    told: dict[str, Any] = {
        "state": "running",
        "run": "convex-sda2-25-s0-0a1b2c3d",
        "cell": "convex-25",
        "data": {"origin": "original", "sha256": DATA, "source": "a test"},
        "minutes": 1.5,
        "written": "2000-01-01T00:00:00+00:00",
    }
    result = {"n_test": 9, "n_wrong": 2, "valid_error_percent": 1.5, "best_epoch": 1, "epochs": 2}
    every = (told, told | {"state": "failed", "error": "no"}, told | {"state": "done"})
    return [json.dumps(status | {"result": result}).encode() for status in every]


def environments() -> list[bytes]:
    """Of a run of one session, and of one that went on elsewhere."""
    env = Environment(
        dae="0.1.0",
        commit="abc",
        python="3.11",
        packages={"torch": "2", "numpy": "2"},
        platform="Linux",
        cpu="a processor",
        cores=2,
        threads=1,
        device="cpu",
        engine="torch",
        blas="",
        command="dae replicate icml2008",
    )
    later = continued(env, env.model_copy(update={"commit": "def"}))
    return [json.dumps(e.as_dict()).encode() for e in (env, later)]


def runs_csvs() -> list[bytes]:
    """No run, and two, one of which failed."""
    row = RunRow("convex-25", "convex-1", "convex", "original", DATA, "SdA-3", 25.0, 0, 9, 2, 22.22)
    failed = RunRow(
        "convex-50", "convex-2", "convex", "original", DATA, "SdA-3", 50.0, 0, error="x"
    )
    return [rows_to_csv(rows, RunRow).encode() for rows in ([], [row, failed])]


JSON_WORDS = (
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 25, b'"\\u0000"', b'"\\ud800"', b"{}"),
    *(
        b"[]",
        b"[" * 3000,
        b'"\\u001b[31m"',
        b'"\\u001b":1,',
        b",",
        b":",
        b'"',
        b"finetune",
        b"done",
    ),
    *(b"F64", b"I32", b"BF16", b"dae", b"__metadata__", b"data_offsets", b"shape", b"0.5"),
)


def header_and(inner: Mutate) -> Mutate:
    """Return a mutation of a safetensors file, or of its header, its length being right."""
    outer = bytes_and(WORDS["idx"])

    def mutate(data: bytes, random: Random) -> bytes:
        length = int.from_bytes(data[:8], "little")
        if length > len(data) - 8 or random.random() < 0.2:
            return outer(data, random)
        header, numbers = data[8 : 8 + length], data[8 + length :]
        try:
            told = json.loads(header)
            position = told["__metadata__"]["dae"].encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            position = b""
        if position and random.random() < 0.7:
            changed = inner(position, random).decode("utf-8", "replace")
            told["__metadata__"]["dae"] = changed
            header = json.dumps(told).encode()
        else:
            header = inner(header, random)
        return len(header).to_bytes(8, "little") + header + numbers

    return mutate
