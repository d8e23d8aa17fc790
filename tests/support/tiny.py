"""A study of two cells on a made-up data set, so that whole commands take a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

N_TEST_ROWS = 400
"""Number of test rows of the tiny study."""

RESULT = (
    *("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent"),
    *("best_epoch", "epochs", "selected", "trials", "verdict"),
)
"""Columns that status.json of a network or an SVM has once the run is done."""

STUDY: dict[str, Any] = {
    "title": "Tiny: two cells of rect",
    "shared": {
        "dataset": "rect",
        "model": {"hidden": [12, 10]},
        "pretrain": {"learning_rate": 0.1, "epochs": 2},
        "finetune": {"learning_rate": 1.0, "max_epochs": 4, "patience": 4, "batch_size": 4},
        "subset": {"train": 100, "valid": 50, "test": N_TEST_ROWS},
    },
}


def write_yaml(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a mapping as a YAML file, and create its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
    return path


def write_study(
    folder: Path,
    name: str = "tiny",
    cells: Mapping[str, Mapping[str, Any]] | None = None,
    **study: Any,
) -> Path:
    """Write a study below `folder`/experiments and return its folder.

    Args:
        folder: the current folder of the commands that use it.
        name: name of the study.
        cells: settings of each cell; default: rect-0 and rect-25 of the tiny study.
        study: keys of study.yaml that replace those of the tiny study.
    """
    if cells is None:
        cells = destruction_cells(0, 25)
    where = folder / "experiments" / name
    write_yaml(where / "study.yaml", STUDY | study)
    for cell, settings in cells.items():
        write_yaml(where / f"{cell}.yaml", settings)
    return where


def destruction_cells(*percents: int) -> dict[str, dict[str, Any]]:
    """Return cells rect-0, rect-25, … that differ only in destruction."""
    return {f"rect-{p}": {"corruption": {"destruction": p / 100}} for p in percents}


def write_rect(folder: Path) -> Path:
    """Write rect.npz: copies of a tall and a wide rectangle; a tenth of the labels is wrong."""
    random = np.random.default_rng(0)
    patterns = np.zeros((2, 28, 28), dtype=np.uint8)
    patterns[0, 10:18, 4:24] = 1
    patterns[1, 4:24, 10:18] = 1
    arrays = {}
    for images, labels, rows in (("X", "Y", 1200), ("Xtest", "Ytest", 50_000)):
        shown = random.integers(0, 2, rows).astype(np.uint8)
        arrays[images] = patterns.reshape(2, 784)[shown]
        arrays[labels] = shown ^ (random.random(rows) < 0.1).astype(np.uint8)
    path = folder / "rect.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


def write_other_rect(folder: Path, rect: Path) -> Path:
    """Write a rect.npz that differs from another in one pixel of a test row; return its folder."""
    with np.load(rect) as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["Xtest"][-1, -1] ^= 1
    folder.mkdir()
    np.savez(folder / "rect.npz", allow_pickle=False, **changed)
    return folder


def run_of(results: Path, cell: str) -> Path:
    """Return the folder of the finished run of a cell of the tiny study with seed 0."""
    (folder,) = results.glob(f"runs/rect-*-{cell.removeprefix('rect-')}-s0-????????")
    return folder


def stop(folder: Path) -> Path:
    """Turn a finished run into one stopped just before its end; return its new folder."""
    change_json(folder / "status.json", lambda status: status.update(state="running"))
    change_json(folder / "status.json", lambda status: [status.pop(name, None) for name in RESULT])
    return folder.rename(folder.with_name(folder.name + ".partial"))


def bits(folder: Path) -> dict[str, bytes]:
    """Return the files of runs that depend on neither time nor machine."""
    return snapshot(folder, (".safetensors", ".npy", ".png", ".yaml", ".csv"))


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def change_json(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the mapping in a JSON file."""
    content = read_json(path)
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column."""
    import csv

    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def snapshot(folder: Path, suffixes: Sequence[str] = ()) -> dict[str, bytes]:
    """Return all files below a folder with their content, or only those with the given endings."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (not suffixes or path.name.endswith(tuple(suffixes)))
    }
