"""Genuine rows and the digits of MNIST that they were found to be made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.data.digits import Digits
from dae_cli.data.sources.mnist import mnist_digits


@dataclass(frozen=True)
class Rows:
    """The 60 genuine rows of a set, and where in the set they are."""

    greys: NDArray[np.float64]  # (60, 784), as stored
    labels: NDArray[np.int64]
    places: NDArray[np.int64]
    """Number of each row, the training file first, then the test file."""

    @property
    def upright(self) -> NDArray[np.float64]:
        """The images of a set that is stored transposed, (60, 784)."""
        return self.greys.reshape(-1, 28, 28).transpose(0, 2, 1).reshape(-1, 784)


@pytest.fixture(scope="session")
def digits(test_data: Path) -> Digits:
    """The true MNIST."""
    return mnist_digits(test_data, test_data / "no cache", print)


@pytest.fixture(scope="session")
def genuine(test_data: Path) -> Callable[[str], Rows]:
    """Reads the genuine rows of a set."""

    def read(name: str) -> Rows:
        with np.load(test_data / "genuine_rows" / f"{name}.npz") as rows:
            greys, labels, splits, ends = (rows[key] for key in ("X", "y", "split", "end"))
        n_train, n_valid, n_test = (1000, 200, 50_000) if name == "rect" else (10_000, 2000, 50_000)
        first = {"train": 0, "valid": n_train, "test": n_train + n_valid}
        size = {"train": n_train, "valid": n_valid, "test": n_test}
        places = [
            first[split] + i % 10 + (size[split] - 10 if end == "last" else 0)
            for i, (split, end) in enumerate(zip(splits, ends, strict=True))
        ]
        return Rows(greys, labels, np.array(places))

    return read


@pytest.fixture(scope="session")
def identified() -> dict[str, NDArray[np.float64]]:
    """For each genuine row the number of its digit in MNIST, and the angle where it is turned."""
    text = Path(__file__).with_name("identified.json").read_text()
    return {name: np.array(rows) for name, rows in json.loads(text).items()}
