"""What experiments on filters are trained on: all of MNIST's training digits, or patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dae_cli.config.schema import FilterExperiment
from dae_cli.data.dataset import Split
from dae_cli.data.filter_images import load_images, prepare_images
from dae_cli.errors import DataError, DownloadError


def experiment(**changes: object) -> FilterExperiment:
    settings = {
        "dataset": "mnist",
        "model": {"hidden": [4]},
        "pretrain": {"learning_rate": 0.1, "epochs": 1},
    }
    return FilterExperiment.model_validate(settings | changes)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_all_60_000_training_digits_of_mnist_are_trained_on(test_data: Path) -> None:
    prepared = prepare_images("mnist", data_dir=test_data / "mnist", note=lambda _: None)
    assert prepared.source == "MNIST, the user's files (checked: the published content)"
    digits = load_images(prepared, experiment(), generator)
    assert isinstance(digits, Split)
    assert digits.pixels.shape == (60_000, 784)
    greys = digits.as_float(slice(100))
    assert (greys.min(), greys.max()) == (0.0, 1.0)
    few = load_images(prepared, experiment(rows=6), generator)
    assert isinstance(few, Split)
    assert np.array_equal(few.pixels, digits.pixels[::10_000])


def test_without_mnist_it_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DAE_DATA_DIR", raising=False)
    with pytest.raises(DownloadError, match=r"MNIST cannot be had.*train-images-idx3-ubyte.gz"):
        prepare_images("mnist", note=lambda _: None)


def test_photographs_that_changed_meanwhile_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(generator().integers(256, size=(20, 20), dtype=np.uint8)).save(
            tmp_path / name
        )
    prepared = prepare_images("photographs", photos=tmp_path, note=lambda _: None)
    small = experiment(
        dataset="photographs",
        patches={"side": 5, "count": 100},
        pretrain={"learning_rate": 0.1, "epochs": 1, "loss": "squared-error"},
    )
    patches = load_images(prepared, small, generator)
    assert isinstance(patches, np.ndarray)
    assert patches.shape == (100, 25)
    (tmp_path / "b.png").unlink()
    with pytest.raises(DataError, match="holds other photographs than when the command began"):
        load_images(prepared, small, generator)
    with pytest.raises(DataError, match=r"no photographs|cannot be read"):
        load_images(replace(prepared, path=tmp_path / "gone"), small, generator)
