"""A small stacked denoising autoencoder on genuine digits: a ceiling on its error."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.config.schema import Experiment
from dae_cli.data.dataset import Dataset, Split
from dae_cli.engines.engine import Engine
from dae_cli.training.evaluation import count_wrong
from dae_cli.training.state import TrainingState

TRAIN, VALID, TEST = slice(0, 2000), slice(2000, 3000), slice(3000, 6000)


@pytest.fixture
def digits(test_data: Path) -> Dataset:
    """The first 6000 training digits of MNIST: 2000, 1000 and 3000 rows."""
    folder = test_data / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} is not a folder")
    pixels = idx(folder / "train-images-idx3-ubyte.gz", 16, 6000 * 784).reshape(-1, 784)
    labels = idx(folder / "train-labels-idx1-ubyte.gz", 8, 6000)
    splits = [Split(pixels[rows], labels[rows], 1 / 255) for rows in (TRAIN, VALID, TEST)]
    return Dataset("basic", 10, splits[0], splits[1], splits[2], "original", "0" * 64)


def idx(path: Path, header: int, size: int) -> NDArray[np.uint8]:
    """Read the first numbers of an idx file."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(header + size), np.uint8, offset=header)


def test_two_rbms_lower_the_validation_error_of_2000_digits(
    digits: Dataset,
    make_experiment: Callable[..., Experiment],
    run: Callable[..., TrainingState],
    reference: Engine,
) -> None:
    def valid_error_percent(**pretraining: object) -> float:
        experiment = make_experiment(
            model={"hidden": (200, 200)},
            corruption={"destruction": 0.0},
            pretrain={"batch_size": 20} | pretraining,
            finetune={"learning_rate": 0.2, "max_epochs": 10, "patience": 10, "batch_size": 20},
        )
        wrong = run(experiment, digits, engine=reference).best_wrong
        assert wrong is not None
        return 100 * wrong / len(digits.valid)

    assert valid_error_percent(kind="rbm", epochs=6) < 8
    assert valid_error_percent(epochs=0) > 9


def test_two_layers_of_200_learn_2000_digits_and_are_better_pretrained_than_not(
    digits: Dataset,
    make_experiment: Callable[..., Experiment],
    run: Callable[..., TrainingState],
    engine: Engine,
) -> None:
    def test_error_percent(pretraining_epochs: int) -> float:
        experiment = make_experiment(
            model={"hidden": (200, 200)},
            pretrain={"epochs": pretraining_epochs, "batch_size": 20},
            finetune={"learning_rate": 0.2, "max_epochs": 20, "patience": 20, "batch_size": 20},
        )
        best = run(experiment, digits, engine=engine).best
        assert best is not None
        return 100 * count_wrong(best, digits.test, engine) / len(digits.test)

    assert test_error_percent(10) < 9  # 7.5 to 8.0 with seeds 0, 1, 2
    assert test_error_percent(0) > 9  # 10.8
