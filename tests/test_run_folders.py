"""The folder of a run: its files, their consistency, and its row."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open

from tests.entry_points.runs import corruption_in_words
from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.tiny import (
    N_TEST_ROWS,
    change_json,
    read_csv,
    read_json,
    run_of,
    snapshot,
    stop,
    write_study,
)

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    *("config.yaml", "status.json", "metrics.csv", "checkpoint.safetensors"),
    *("environment.json", "filters.png", "wrong_rows.npy"),
}
COLUMNS = [
    *("cell", "run", "dataset", "data_origin", "trust", "data_sha256", "model"),
    *("destruction_percent", "corruption.destruction"),
    *("seed", "n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent"),
    *("best_epoch", "epochs", "paper_error_percent", "paper_half_width_95", "paper_model"),
    *("verdict", "remark", "minutes", "device", "engine", "threads", "versions", "commit"),
    *("numerics", "config_sha256", "error"),
]
CELLS = {"rect-0": 0.0, "rect-25": 0.25}

Dae = Callable[..., Ended]
Patch = pytest.MonkeyPatch
Finished = tuple[Path, Ended]
Start = Callable[..., Child]

pytestmark = pytest.mark.usefixtures("tiny")


def wrong_by_hand(folder: Path, data: Path, split: str) -> NDArray[np.bool_]:
    """Return which rows the saved network gets wrong, computed here from the checkpoint.

    The subset of a split is evenly spaced.
    """
    subset = yaml.safe_load((folder / "config.yaml").read_text())["subset"]
    names = ("Xtest", "Ytest") if split == "test" else ("X", "Y")
    with np.load(data / "rect.npz") as arrays:
        images, labels = (arrays[name] for name in names)
    first, end = {"train": (0, 1000), "valid": (1000, 1200), "test": (0, 50_000)}[split]
    rows = first + np.arange(subset[split]) * (end - first) // subset[split]
    with safe_open(folder / "checkpoint.safetensors", framework="np") as file:
        best = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
    values = images[rows].reshape(len(rows), 784).astype(np.float64)
    for layer in ("1", "2", "top"):
        values = values @ best[f"best.{layer}.weight"].T + best[f"best.{layer}.bias"]
        if layer != "top":
            values = 1 / (1 + np.exp(-values))
    wrong: NDArray[np.bool_] = values.argmax(axis=1) != labels[rows]
    return wrong


# Files of a finished run


def test_the_folder_is_named_after_settings_and_data_and_has_these_files(
    finished: Finished,
) -> None:
    results, _ = finished
    rows = {row["cell"]: row for row in read_csv(results / "runs.csv")}
    assert len(list((results / "runs").iterdir())) == 2
    for cell, start in (("rect-0", "rect-saa2-0-s0"), ("rect-25", "rect-sda2-25-s0")):
        folder = run_of(results, cell)
        assert {path.name for path in folder.iterdir()} == FILES
        assert all(path.stat().st_size for path in folder.iterdir())
        corruption = {"kind": "masking", "destruction": CELLS[cell]}
        pretraining = {"loss": "cross-entropy", "learning_rate": 0.1, "epochs": 2, "batch_size": 20}
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config == {
            "dataset": "rect",
            "model": {"hidden": [12, 10], "tied": True, "init": "glorot"},
            "corruption": corruption,
            "pretrain": pretraining,
            "finetune": {"learning_rate": 1.0, "max_epochs": 4, "patience": 4, "batch_size": 4},
            "subset": {"train": 100, "valid": 50, "test": 400},
            "seed": 0,
        }
        # sigma applies to another kind of corruption, but was always recorded.
        recorded = config | {"corruption": corruption | {"sigma": 0.0}}
        numerics = read_json(folder / "environment.json")["numerics"]
        plain = json.dumps({"experiment": recorded, "numerics": numerics}, sort_keys=True)
        digest = hashlib.sha256(plain.encode()).hexdigest()
        both = hashlib.sha256((digest + rows[cell]["data_sha256"]).encode()).hexdigest()
        assert folder.name == rows[cell]["run"] == f"{start}-{both[:8]}"
        assert rows[cell]["config_sha256"] == digest


def test_the_status_has_every_column_of_the_row_and_the_origin_of_the_data(
    finished: Finished, tiny_data: Path
) -> None:
    results, _ = finished
    rows = {row["cell"]: row for row in read_csv(results / "runs.csv")}
    for cell in CELLS:
        folder = run_of(results, cell)
        status = read_json(folder / "status.json")
        row = {name: text for name, text in rows[cell].items() if text}
        del row["corruption.destruction"]  # config.yaml has it
        assert list(status) == ["state", *row, "data_source", "written"]
        for name, text in row.items():
            value = status[name]
            assert value == (
                text if isinstance(value, str) else pytest.approx(float(text), abs=0.05)
            )
        assert (status["state"], status["run"], status["cell"]) == ("done", folder.name, cell)
        assert str(tiny_data / "rect.npz") in status["data_source"]
        assert 0 < status["minutes"] < 2
        written = datetime.fromisoformat(status["written"])
        assert written.utcoffset() == timedelta(0) and written.microsecond == 0
        assert timedelta(0) <= datetime.now(UTC) - written < timedelta(hours=2)
        assert (status["n_test"], status["epochs"]) == (N_TEST_ROWS, 4)


def test_the_best_epoch_is_the_first_with_the_lowest_error_in_metrics_csv(
    finished: Finished,
) -> None:
    results, _ = finished
    best_epochs = set()
    for cell in CELLS:
        folder = run_of(results, cell)
        rows = read_csv(folder / "metrics.csv")
        assert list(rows[0]) == [
            *("phase", "layer", "epoch", "cost", "valid_wrong", "valid_error_percent")
        ]
        assert [(row["phase"], row["layer"], row["epoch"]) for row in rows] == [
            *(("pretrain", layer, epoch) for layer in "12" for epoch in "12"),
            *(("finetune", "", epoch) for epoch in "1234"),
        ]
        assert {(r["valid_wrong"], r["valid_error_percent"]) for r in rows[:4]} == {("", "")}
        wrong = [int(row["valid_wrong"]) for row in rows[4:]]
        percents = [100 * count / 50 for count in wrong]
        assert [float(row["valid_error_percent"]) for row in rows[4:]] == percents
        costs = [float(row["cost"]) for row in rows]
        assert costs[0] > costs[1] and costs[2] > costs[3] and costs[4] > costs[7]
        assert all(repr(cost) == row["cost"] for cost, row in zip(costs, rows, strict=True))
        result = read_json(folder / "status.json")
        assert result["best_epoch"] == wrong.index(min(wrong)) + 1
        assert result["valid_error_percent"] == min(percents)
        best_epochs.add(result["best_epoch"])
    assert len(best_epochs) == 2 and 4 not in best_epochs  # neither always the first nor the last


def test_the_checkpoint_has_pretrained_layers_best_network_and_history(
    finished: Finished,
) -> None:
    results, _ = finished
    for cell, destruction in CELLS.items():
        folder = run_of(results, cell)
        with safe_open(folder / "checkpoint.safetensors", framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = json.loads(file.metadata()["dae"])
        names = {
            *(f"pretrained.{k}.{what}" for k in "12" for what in ("weight", "visible_bias")),
            *(f"pretrained.{k}.hidden_bias" for k in "12"),
            *(f"best.{k}.{what}" for k in ("1", "2", "top") for what in ("weight", "bias")),
        }
        assert tensors.keys() == names
        assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
        assert not np.array_equal(tensors["pretrained.1.weight"], tensors["best.1.weight"])
        status = read_json(folder / "status.json")
        place = [header[name] for name in ("format", "phase", "layer", "epoch")]
        assert place == [2, "done", 2, 4]
        assert header["data_sha256"] == status["data_sha256"]
        assert header["experiment"]["corruption"]["destruction"] == destruction
        assert header["best_epoch"] == status["best_epoch"]
        assert 2 * header["best_wrong"] == status["valid_error_percent"]
        history = [
            {name: "" if value is None else str(value) for name, value in row.items()}
            for row in header["history"]
        ]
        assert history == read_csv(folder / "metrics.csv")


def test_the_counts_are_those_of_the_saved_network_and_of_wrong_rows(
    finished: Finished, tiny_data: Path
) -> None:
    results, _ = finished
    for cell in CELLS:
        folder = run_of(results, cell)
        result = read_json(folder / "status.json")
        saved = np.load(folder / "wrong_rows.npy", allow_pickle=False)
        assert (saved.dtype, saved.shape) == (np.uint8, (N_TEST_ROWS // 8,))
        wrong = wrong_by_hand(folder, tiny_data, "test")
        assert np.array_equal(saved, np.packbits(wrong))
        assert wrong.sum() == result["n_wrong"]
        valid = wrong_by_hand(folder, tiny_data, "valid")
        assert 2 * valid.sum() == result["valid_error_percent"]
        assert 0 < result["n_wrong"] < N_TEST_ROWS / 2
        with Image.open(folder / "filters.png") as picture:
            picture.verify()
            assert picture.format == "PNG" and min(picture.size) > 50


def test_the_environment_records_code_machine_and_threads(finished: Finished) -> None:
    environment = read_json(run_of(finished[0], "rect-25") / "environment.json")
    assert list(environment) == [
        *("dae", "commit", "numerics", "python", "packages", "platform", "cpu", "cores"),
        *("threads", "device", "engine", "blas", "command", "earlier"),
    ]
    assert environment["python"] == platform.python_version()
    assert environment["platform"] == platform.platform()
    names = (
        *("torch", "numpy", "scipy", "numba", "llvmlite"),
        *("safetensors", "pydantic", "scikit-image", "pillow", "scikit-learn"),
    )
    assert environment["packages"] == {name: version(name) for name in names}
    has_affinity = hasattr(os, "sched_getaffinity")
    assert environment["cores"] == len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        named = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.M)
        cpu = named[1].strip() if named else cpu
    assert environment["cpu"] == cpu
    assert (environment["threads"], environment["device"]) == (1, "cpu")
    assert (environment["engine"], environment["earlier"]) == ("torch", [])
    assert "\n" not in environment["blas"] and "get_num_threads() : 1" in environment["blas"]


def test_every_column_of_runs_csv_agrees_with_the_folder(finished: Finished) -> None:
    results, _ = finished
    with (results / "runs.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == COLUMNS
    rows = read_csv(results / "runs.csv")
    for row, (cell, destruction) in zip(rows, CELLS.items(), strict=True):
        folder = run_of(results, cell)
        status, environment = (
            read_json(folder / "status.json"),
            read_json(folder / "environment.json"),
        )
        result, packages = status, environment["packages"]
        share = result["n_wrong"] / N_TEST_ROWS
        assert row == {
            "cell": cell,
            "run": folder.name,
            "dataset": "rect",
            "data_origin": "original",
            "trust": "unverified",
            "data_sha256": status["data_sha256"],
            "model": "SdA-2" if destruction else "SAA-2",
            "destruction_percent": f"{100 * destruction:g}",
            "corruption.destruction": str(destruction),
            "seed": "0",
            "n_test": "400",
            "n_wrong": str(result["n_wrong"]),
            "test_error_percent": f"{100 * share:.2f}",
            "half_width_95": f"{196 * math.sqrt(share * (1 - share) / N_TEST_ROWS):.2f}",
            "valid_error_percent": f"{result['valid_error_percent']:.2f}",
            "best_epoch": str(result["best_epoch"]),
            "epochs": "4",
            "paper_error_percent": "",
            "paper_half_width_95": "",
            "paper_model": "",
            "verdict": "no reference",  # a subset of the test rows does not replicate the paper
            "remark": "one class for every test row" if destruction else "",
            "minutes": f"{status['minutes']:.1f}",
            "device": "cpu",
            "engine": "torch",
            "threads": "1",
            "versions": f"dae {environment['dae']}; python {environment['python']}; "
            f"torch {packages['torch']}; numpy {packages['numpy']}",
            "commit": environment["commit"],
            "numerics": str(environment["numerics"]),
            "config_sha256": row["config_sha256"],
            "error": "",
        }


def test_a_model_that_predicts_one_class_is_called_at_chance_everywhere(
    dae: Dae, done: Path, tiny_data: Path
) -> None:
    """The network of rect-25 has learned nothing; that of rect-0 has."""
    with np.load(tiny_data / "rect.npz") as arrays:
        every = len(arrays["Ytest"])
        labels = arrays["Ytest"][np.arange(N_TEST_ROWS) * every // N_TEST_ROWS]
    for cell, is_odd in (("rect-0", False), ("rect-25", True)):
        bits = np.load(run_of(done, cell) / "wrong_rows.npy")
        wrong = np.unpackbits(bits)[:N_TEST_ROWS].astype(bool)
        assert (len(set(labels[~wrong])) == 1) == is_odd
    remark = "one class for every test row"
    assert [row["remark"] for row in read_csv(done / "runs.csv")] == ["", remark]
    (row,) = (line for line in (done / "REPORT.md").read_text().splitlines() if remark in line)
    assert row.startswith("- rect-25, seed 0: ")
    assert f"seed 0: {remark}" in (done / "report.html").read_text()
    text = (done / "runs.csv").read_text()
    (done / "runs.csv").write_text(text.replace(remark, "all is well"))
    found = dae("verify", "tiny").failed(1, "does not agree").out
    assert all(part in found for part in ("remark", "all is well", remark))


def test_all_50000_test_rows_are_compared_with_the_papers_number(dae: Dae, tmp_path: Path) -> None:
    shared = {
        "dataset": "rect",
        "model": {"hidden": [2, 2, 2]},
        "corruption": {"destruction": 0.0},
        "pretrain": {"learning_rate": 0.1, "epochs": 1, "batch_size": 1000},
        "finetune": {"learning_rate": 0.1, "max_epochs": 1, "patience": 1, "batch_size": 100},
    }
    wild = {"loss": "squared-error", "learning_rate": 1000.0, "epochs": 6, "batch_size": 20}
    cells: dict[str, dict[str, Any]] = {
        "saa": {},
        "dbn": {"pretrain": {"kind": "rbm"}},
        "gaussian": {"corruption": {"kind": "gaussian", "sigma": 0.1}},  # not the paper's noise
        "two": {"model": {"hidden": [2, 2]}},  # not in the paper
        "subset": {"subset": {"train": 1000, "valid": 200, "test": 49_999}},
        "wild": {"pretrain": wild, "model": {"hidden": [12] * 3}},  # which diverges
    }
    write_study(tmp_path, "whole", cells, shared=shared)
    dae("replicate", "whole", "--quiet").failed(1, "pretrain.learning_rate")
    rows = {row["cell"]: row for row in read_csv(tmp_path / "results" / "whole" / "runs.csv")}
    columns = ("n_test", "model", "paper_model", "paper_error_percent", "paper_half_width_95")
    assert {cell: [row[name] for name in (*columns, "verdict")] for cell, row in rows.items()} == {
        "saa": ["50000", "SAA-3", "SAA-3", "2.41", "0.13", "worse"],  # after one epoch
        "dbn": ["50000", "DBN-3", "DBN-3", "2.60", "0.14", "worse"],
        "gaussian": ["50000", "SdA-3", "", "", "", "no reference"],
        "two": ["50000", "SAA-2", "", "", "", "no reference"],
        "subset": ["49999", "SAA-3", "", "", "", "no reference"],
        "wild": ["", "SAA-3", "SAA-3", "2.41", "0.13", ""],
    }


# Changed, copied and damaged folders


def test_a_damaged_or_foreign_run_folder_is_refused_with_its_file(dae: Dae, done: Path) -> None:
    folder, other = run_of(done, "rect-25"), run_of(done, "rect-0")
    good = snapshot(folder)

    def assert_refused(name: str, *parts: str) -> None:
        ended = dae("train", "tiny/rect-25").failed(2, str(folder), name, "delete", *parts)
        assert ended.out == ""
        (folder / name).write_bytes(good[name])

    for name in ("status.json", "environment.json", "config.yaml"):
        for content in (b"", b"[" * 50_000, b"{}" + b" " * 2_000_000):
            (folder / name).write_bytes(content)
            assert_refused(name)
        if name != "status.json":
            (folder / name).unlink()
            assert_refused(name)
    changes: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
        ("status.json", lambda record: record.update(state="running"), "running"),
        ("status.json", lambda record: record.update(data_sha256="0" * 64), "0" * 12),
        ("status.json", lambda record: record.update(run=other.name), other.name),
        ("environment.json", lambda record: record.update(threads=0), "threads"),
    ]
    for name, edit, part in changes:
        change_json(folder / name, edit)
        assert_refused(name, part)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 2", "epochs: 3"))
    assert_refused("config.yaml", "rect-25")
    dae("train", "tiny/rect-25").succeeded()


def test_a_copied_run_is_accepted_and_a_renamed_one_is_not(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    folder = run_of(done, "rect-25")
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / folder.name)
    ended = dae("train", "tiny/rect-25", "--out", tmp_path / "elsewhere").succeeded()
    assert "started" not in ended.err and ended.lines[-1] == f"elsewhere/{copy.name}"
    seeded = dae("replicate", "tiny", "--only", "rect-25", "--seeds", "2", "--dry-run").lines[2]
    renamed = copy.with_name(seeded.split()[1])
    copy.rename(renamed)
    dae("train", "tiny/rect-25", "--seed", "1", "--out", tmp_path / "elsewhere").failed(
        2, str(renamed), "config.yaml", "delete"
    )


def test_a_run_of_another_version_or_of_a_renamed_cell_is_accepted(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    path = run_of(done, "rect-0") / "status.json"
    later = ("run", "written")
    change_json(path, lambda record: [record.pop(name) for name in later])
    path = run_of(done, "rect-25") / "status.json"
    change_json(path, lambda record: record.update(later="a new version's"))
    cells = tmp_path / "experiments" / "tiny"
    (cells / "rect-25.yaml").rename(cells / "rect-a-quarter.yaml")
    ended = dae("replicate", "tiny").succeeded()
    assert "0 done, 2 skipped, 0 failed" in ended.lines[-1]
    rows = [(row["cell"], row["run"]) for row in read_csv(done / "runs.csv")]
    assert [cell for cell, _ in rows] == ["rect-0", "rect-a-quarter"]
    assert rows[1][1] == path.parent.name


def as_version_0_1_wrote_it(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status.json with the sections `data` and `result` of earlier versions."""
    result = ("n_test", "n_wrong", "valid_error_percent", "best_epoch", "epochs")
    data = {"origin": "data_origin", "trust": "trust", "sha256": "data_sha256"}
    return {
        **{name: status[name] for name in ("state", "run", "cell")},
        "data": {old: status[new] for old, new in (data | {"source": "data_source"}).items()},
        **{name: status[name] for name in ("minutes", "written")},
        "checkpoints": {"kept": 4, "seconds": 0.1},
        "result": {name: status[name] for name in result},
    }


def test_run_folders_of_version_0_1_are_reported_verified_and_resumed(dae: Dae, done: Path) -> None:
    for cell in CELLS:  # added later
        change_json(run_of(done, cell) / "status.json", lambda status: status.pop("remark", ""))
    dae("report", "tiny", "-q").succeeded()
    before = snapshot(done, (".csv", ".md"))
    for cell in CELLS:
        path = run_of(done, cell) / "status.json"
        path.write_text(json.dumps(as_version_0_1_wrote_it(read_json(path))))
    dae("report", "tiny", "-q").succeeded()
    assert snapshot(done, (".csv", ".md")) == before
    assert dae("verify", "tiny").succeeded().lines == ["2 runs recomputed, 0 differences"]
    dae("evaluate", "tiny/rect-25").succeeded()
    folder = run_of(done, "rect-25")
    change_json(folder / "status.json", lambda status: status.update(state="running", minutes=9.0))
    change_json(folder / "status.json", lambda status: status.pop("result"))
    folder.rename(folder.with_name(folder.name + ".partial"))
    dae("replicate", "tiny").succeeded()
    row = read_csv(done / "runs.csv")[1]
    assert row["minutes"] == "9.0"
    names, _, old = (line.split(",") for line in before["runs.csv"].decode().splitlines())
    assert row["n_wrong"] == old[names.index("n_wrong")]


# Code and machine


def test_a_resumed_run_joins_its_sessions(dae: Dae, done: Path, monkeypatch: Patch) -> None:
    folder = run_of(done, "rect-25")
    now = read_json(folder / "environment.json")
    monkeypatch.setattr(sys, "argv", ["dae", "train", "again"])
    # The same code and machine, but another command: one earlier session.
    stop(folder)
    dae("train", "tiny/rect-25", "--resume").succeeded()
    joined = read_json(folder / "environment.json")
    session = {name: now[name] for name in ("commit", "device", "cpu", "platform", "command")}
    session["versions"] = read_csv(done / "runs.csv")[1]["versions"]
    assert joined == now | {"command": "dae train again", "earlier": [session]}
    # Other earlier sessions are recorded once each, oldest first.
    partial = stop(folder)
    first = session | {"commit": "abc-dirty", "device": "NVIDIA A", "versions": "dae 0.0"}
    second = session | {"commit": "", "cpu": "abacus"}
    again = session | {"command": "dae train again"}  # equals the last session
    before = joined | {"earlier": [first, again, second, first]}
    (partial / "environment.json").write_text(json.dumps(before))
    dae("train", "tiny/rect-25", "--resume").succeeded()
    assert read_json(folder / "environment.json") == before | {"earlier": [first, second]}
    dae("replicate", "tiny").succeeded()
    row = read_csv(done / "runs.csv")[1]
    assert row["versions"] == f"dae 0.0 / {session['versions']}"
    assert row["device"] == "NVIDIA A / cpu"
    # An empty commit means an installed package.
    names = ["abc-dirty", "installed", *([now["commit"]] if now["commit"] else [])]
    assert row["commit"] == "+".join(names)
    table = (done / "table.csv").read_text()
    assert row["versions"] in table and row["commit"] in table


def test_titles_of_filters_describe_their_pretraining() -> None:
    none, gaussian = "corruption.destruction=0", "corruption.kind=gaussian"
    for settings, words in (
        (["corruption.destruction=.25"], "25 % destroyed"),
        ([none], "no corruption"),
        (["corruption.kind=salt-and-pepper"], "25 % salt and pepper"),
        ([gaussian, "corruption.sigma=.5", none], "Gaussian noise, σ 0.5"),
        ([gaussian, "corruption.sigma=0", none], "no corruption"),
        ([none, "pretrain.weight_decay=.001"], "weight decay 0.001"),
        (["pretrain.contraction=.1"], "25 % destroyed, contraction 0.1"),
        ([none, "pretrain.epochs=0"], "not pretrained"),
    ):
        assert corruption_in_words("tiny/rect-25", *settings) == words, settings
