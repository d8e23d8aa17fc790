from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dae_cli.data.generators import photographs
from dae_cli.data.generators.photographs import PHOTOGRAPHS, grey_pixels, read_photographs
from dae_cli.errors import DataError


def test_colours_become_grey_by_whole_number_weights(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 31]]], dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    assert grey_pixels(tmp_path / "a.png").tolist() == [[76, 150, 29, 18]]


def test_grey_files_stay_as_they_are(tmp_path: Path) -> None:
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(greys).save(tmp_path / "a.png")
    np.testing.assert_array_equal(grey_pixels(tmp_path / "a.png"), greys)


def test_of_a_jpeg_file_the_luma_is_read(tmp_path: Path) -> None:
    colours = np.zeros((32, 32, 3), dtype=np.uint8) + np.array([200, 40, 90], dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.jpg", quality=95)
    grey = grey_pixels(tmp_path / "a.jpg")
    assert grey.shape == (32, 32)
    assert np.abs(grey.astype(int) - 94).max() <= 2


def test_a_changed_photograph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = (replace(PHOTOGRAPHS[0], sha256="0" * 64),)
    monkeypatch.setattr(photographs, "PHOTOGRAPHS", changed)
    with pytest.raises(DataError, match=r"astronaut.png: its grey pixels have SHA-256"):
        read_photographs()


def test_a_missing_photograph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = (replace(PHOTOGRAPHS[0], file="data/nowhere.png"),)
    monkeypatch.setattr(photographs, "PHOTOGRAPHS", missing)
    with pytest.raises(DataError, match=r"nowhere.png: cannot be read .*install skimage again"):
        read_photographs()


def test_no_photograph_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("opened a connection")

    monkeypatch.setattr("socket.socket.connect", never)
    read_photographs()
