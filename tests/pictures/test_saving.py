"""Saving: whole or not at all, the same bytes each time, the settings inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.PngImagePlugin import PngImageFile

from dae_cli.errors import ConfigError, OutputError
from dae_cli.pictures.filters import filter_sheet, save_png

METADATA = {
    "experiment": "icml2008/convex-25",
    "settings": "corruption:\n  destruction: 0.25\n",
    "note": "ν = 25 % – Ψ",
    "empty": "",
}


def picture(seed: int = 0) -> PIL.Image.Image:
    weights = np.random.default_rng(seed).normal(size=(4, 784)).astype(np.float32)
    return filter_sheet(weights, limit=1.0, tiles=(2, 2), title="title", caption="caption")


def test_metadata_and_pixels_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "filters" / "sheet.png"
    save_png(picture(), path, METADATA)
    with PIL.Image.open(path) as read:
        assert isinstance(read, PngImageFile)
        assert read.text == METADATA
        assert list(read.text) == list(METADATA)
        assert read.mode == "L"
        assert (np.asarray(read) == np.asarray(picture())).all()


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_png(picture(), tmp_path / name, METADATA)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_failed_write_leaves_the_old_picture_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sheet.png"
    save_png(picture(), path, {})
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("dae_cli.files.os.fsync", full_disk)
        with pytest.raises(OutputError, match="no space left"):
            save_png(picture(1), path, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_rename_cleans_up_too(tmp_path: Path) -> None:
    folder_in_the_way = tmp_path / "sheet.png"
    folder_in_the_way.mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        save_png(picture(), folder_in_the_way, {})
    assert list(tmp_path.iterdir()) == [folder_in_the_way]


def test_another_ending_than_png_is_refused_with_a_name_that_works(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sheet\.jpg: .*choose a name like sheet\.png"):
        save_png(picture(), tmp_path / "sheet.jpg", {})


@pytest.mark.parametrize("key", ["", "k" * 80, "nul\0"])
def test_keys_that_png_cannot_hold_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="metadata key"):
        save_png(picture(), tmp_path / "sheet.png", {key: "value"})
    assert list(tmp_path.iterdir()) == []
