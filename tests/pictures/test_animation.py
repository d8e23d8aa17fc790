"""Animations: every frame's greys, the times, one grey limit, the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from dae_cli.errors import ConfigError
from dae_cli.pictures.animation import Moment, animate, learning_frames
from dae_cli.pictures.filters import Panel, common_limit, lay_out_sheet

ENDINGS = ["gif", "webp"]


def moments(count: int = 4) -> list[Moment]:
    weights = np.random.default_rng(0).normal(0, 0.5, (6, 144)).astype(np.float32)
    return [
        Moment([Panel(weights * (epoch + 1), "25 %")], f"epoch {epoch} · {epoch * 50} 000 seen")
        for epoch in range(count)
    ]


def frames(count: int = 4) -> list[PIL.Image.Image]:
    return learning_frames(moments(count), tiles=(2, 3), magnification=2)


def read(path: Path) -> tuple[list[NDArray[np.uint8]], list[int]]:
    """The greys of each frame, checked to be grey, and how long it is shown in milliseconds."""
    greys, durations = [], []
    with PIL.Image.open(path) as image:
        for place in range(getattr(image, "n_frames", 1)):
            image.seek(place)
            image.load()
            durations.append(int(image.info["duration"]))
            pixels = np.asarray(image.convert("RGB"))
            assert (pixels == pixels[..., :1]).all()
            greys.append(pixels[..., 0])
        assert image.info["loop"] == 0, "it is played for ever"
    return greys, durations


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_frame_comes_back_grey_for_grey_and_the_last_is_held(
    ending: str, tmp_path: Path
) -> None:
    path = tmp_path / "new" / f"learning.{ending}"
    animate(frames(), path, seconds=0.25, last_seconds=2)
    greys, durations = read(path)
    assert durations == [250, 250, 250, 2000]
    for found, frame in zip(greys, frames(), strict=True):
        assert (found == np.asarray(frame)).all()


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_256_greys_survive(ending: str, tmp_path: Path) -> None:
    ramp = PIL.Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    turned = PIL.Image.fromarray(np.asarray(ramp).T.copy())
    animate([ramp, turned], tmp_path / f"ramp.{ending}")
    greys, _ = read(tmp_path / f"ramp.{ending}")
    assert (greys[0] == np.asarray(ramp)).all() and (greys[1] == np.asarray(turned)).all()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_frames_give_the_same_bytes(ending: str, tmp_path: Path) -> None:
    for name in "ab":
        animate(frames(), tmp_path / f"{name}.{ending}", metadata={"Run": "a"})
    first, second = (tmp_path / f"{name}.{ending}" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_frames_that_stand_still_take_their_time(ending: str, tmp_path: Path) -> None:
    still = frames(1) * 3
    animate(still, tmp_path / f"still.{ending}", seconds=0.5, last_seconds=1)
    animate(frames(1), tmp_path / f"one.{ending}")
    with PIL.Image.open(tmp_path / f"one.{ending}") as image:
        assert (np.asarray(image.convert("L")) == np.asarray(frames(1)[0])).all()
    moving = [*frames(2), frames(2)[1]]
    animate(moving, tmp_path / f"moving.{ending}", seconds=0.5, last_seconds=1)
    greys, durations = read(tmp_path / f"moving.{ending}")
    assert sum(durations) == 2000
    assert (greys[-1] == np.asarray(moving[-1])).all()


@pytest.mark.parametrize(("ending", "field"), [("gif", "comment"), ("webp", "xmp")])
def test_settings_are_kept_inside(ending: str, field: str, tmp_path: Path) -> None:
    path = tmp_path / f"learning.{ending}"
    animate(frames(2), path, metadata={"Run": "convex-25", "Settings": "σ: 0.5\n" * 100})
    with PIL.Image.open(path) as image:
        kept = image.info[field].decode()
    assert "Run: convex-25\n" in kept and kept.count("σ: 0.5") == 100
    animate(frames(2), tmp_path / f"none.{ending}")
    with PIL.Image.open(tmp_path / f"none.{ending}") as image:
        assert not image.info.get(field)


def test_all_frames_have_one_grey_limit_and_tell_when_they_are() -> None:
    shown = moments()
    limit = common_limit([moment.panels[0].weights for moment in shown])
    drawn = frames()
    for moment, frame in zip(shown, drawn, strict=True):
        drawing = lay_out_sheet(moment.panels, limit=limit, tiles=(2, 3), magnification=2)
        left, top, right, bottom = drawing.layout.grids[0].box(5)
        expected = np.kron(drawing.panels[0][5].reshape(12, 12), np.ones((2, 2), np.uint8))
        assert (np.asarray(frame)[top:bottom, left:right] == expected).all()
    assert len({frame.size for frame in drawn}) == 1
    captions = {np.asarray(frame)[-40:].tobytes() for frame in drawn}
    assert len(captions) == len(drawn)


def test_what_cannot_be_animated_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "learning.gif"
    with pytest.raises(ConfigError, match=r"learning.mp4: a picture is written as .gif or .webp"):
        animate(frames(), path.with_suffix(".mp4"))
    with pytest.raises(ValueError, match="at least one frame"):
        animate([], path)
    small = PIL.Image.new("L", (10, 10))
    with pytest.raises(ValueError, match="frame 1 is 10x10, mode L; all must be"):
        animate([frames(1)[0], small], path)
    with pytest.raises(ValueError, match="frame 0 is 10x10, mode RGB"):
        animate([small.convert("RGB")], path)
    for seconds in (0.0, 0.01, 1000.0, float("nan")):
        with pytest.raises(ValueError, match="seconds is"):
            animate([small], path, seconds=seconds)
        with pytest.raises(ValueError, match="last_seconds is"):
            animate([small], path, last_seconds=seconds)
    with pytest.raises(ValueError, match="there must be weights"):
        learning_frames([])
    assert not list(tmp_path.iterdir())
