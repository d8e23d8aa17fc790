"""Write a user's own data: declarations, tables and folders of images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

COLUMNS = ("a", "b", "c", "d", "kind")


def declare(name: str = "own.yaml", **keys: Any) -> str:
    """Write a declaration."""
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(yaml.safe_dump(keys, sort_keys=False))
    return name


def table(path: str, rows: Sequence[Sequence[object]], columns: Sequence[str]) -> str:
    """Write a CSV or TSV."""
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.endswith(".tsv") else ",")
        writer.writerows([columns, *rows])
    return path


def blobs(n: int = 60, classes: int = 2, inputs: int = 4, seed: int = 0) -> list[list[object]]:
    """Rows in [0, 1] whose values all depend on the class; the label, a text, is last."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    values = random.uniform(0, 0.4, (n, inputs)).round(6) + 0.6 * labels[:, None] / (classes - 1)
    return [[*map(float, row), f"k{label}"] for row, label in zip(values, labels, strict=True)]


def images(folder: str, shape: tuple[int, ...], per_class: int = 16, classes: str = "ab") -> None:
    """Write PNGs of noise by class: dark in the first, bright in the second."""
    random = np.random.default_rng(0)
    for level, name in enumerate(classes):
        Path(folder, name).mkdir(parents=True)
        for k in range(per_class):
            pixels = random.integers(0, 100, shape, dtype=np.uint8) + np.uint8(150 * level)
            Image.fromarray(pixels).save(Path(folder, name, f"{k}.png"))
