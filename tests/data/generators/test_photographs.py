from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dae_cli.data.generators import photographs
from dae_cli.data.generators.photographs import (
    PHOTOGRAPHS,
    grey_pixels,
    read_photographs,
    shrunk,
)
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


def test_shrinking_takes_rounded_means_of_squares_and_leaves_out_lines_that_fill_none() -> None:
    squares = np.array([[0, 255], [7, 100]], dtype=np.uint8).repeat(3, axis=0).repeat(3, axis=1)
    grey = np.full((8, 7), 200, dtype=np.uint8)
    grey[:6, :6] = squares
    grey[0, 0] = 4  # sums of 4, 2291, 68 and 905 where a mean takes 9
    grey[0, 3] = 251
    grey[3, 0] = 12
    grey[3, 3] = 105
    assert shrunk(grey).tolist() == [[0, 255], [8, 101]]
    assert shrunk(grey).dtype == np.uint8


def test_all_photographs_are_there_as_they_were() -> None:
    greys = read_photographs()
    assert len(greys) == len(PHOTOGRAPHS) == 13
    assert all(grey.dtype == np.uint8 and min(grey.shape) >= 300 for grey in greys)
