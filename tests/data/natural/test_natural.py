"""Patches of photographs: which photographs, how they are whitened, and where patches are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dae_cli.config.schema import PatchSettings
from dae_cli.data.natural.patches import cut_patches
from dae_cli.data.natural.scenes import Scene, digest_of, scenes_in, shipped_scenes
from dae_cli.data.natural.whitening import whitened
from dae_cli.errors import DataError


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(256, size=(height, width), dtype=np.uint8)


def scene(height: int = 40, width: int = 60, name: str = "noise.png") -> Scene:
    return Scene(name, noise(height, width))


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def test_the_shipped_scenes_are_photographs_and_no_textures() -> None:
    names = [scene.name for scene in shipped_scenes()]
    assert "camera.png" in names
    assert "china.jpg" in names
    assert not {"grass.png", "gravel.png", "brick.png", "moon.png"} & set(names)
    assert digest_of(shipped_scenes()) == digest_of(shipped_scenes())


def test_whitening_makes_the_spectrum_of_a_1_over_f_image_flat() -> None:
    random = np.random.default_rng(1)
    side = 256
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    spectrum = np.fft.fft2(random.standard_normal((side, side)))
    spectrum[frequency > 0] /= frequency[frequency > 0]
    spectrum[0, 0] = 0
    image = np.fft.ifft2(spectrum).real
    grey = np.clip(128 + 40 * image / image.std(), 0, 255).astype(np.uint8)
    power = np.abs(np.fft.fft2(whitened(grey, 0.4))) ** 2
    rings = [power[(frequency > a) & (frequency < a + 0.05)].mean() for a in (0.05, 0.1, 0.15, 0.2)]
    assert max(rings) < 1.5 * min(rings)
    before = np.abs(np.fft.fft2(grey)) ** 2
    at_first = [before[(frequency > a) & (frequency < a + 0.05)].mean() for a in (0.05, 0.2)]
    assert at_first[0] > 5 * at_first[1]


def test_whitening_cuts_off_the_highest_frequencies_at_the_cutoff() -> None:
    power = np.abs(np.fft.fft2(whitened(noise(128, 128), 0.2))) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None])
    assert (
        power[frequency > 0.35].mean() < 1e-2 * power[(frequency > 0.1) & (frequency < 0.2)].mean()
    )


def test_a_whitened_photograph_has_mean_0_and_deviation_1_and_no_edge() -> None:
    ramp = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (70, 1))
    grey = ((ramp.astype(int) + noise(70, 90)) // 2).astype(np.uint8)
    image = whitened(grey, 0.4)
    assert image.shape == (70, 90)
    assert abs(image.mean()) < 1e-5
    assert image.std() == pytest.approx(1, rel=1e-5)
    # Left and right differ by 127 grey levels; a periodic continuation would stand out there.
    assert np.abs(image[:, [0, -1]]).mean() < 2.5 * np.abs(image).mean()


def test_a_photograph_of_one_grey_gives_zeros() -> None:
    assert not whitened(np.full((21, 23), 7, np.uint8), 0.4).any()


@pytest.mark.parametrize("whitening", ["none", "olshausen-field"])
def test_patches_have_mean_0_for_each_pixel_and_the_deviation_asked_for(whitening: str) -> None:
    settings = PatchSettings.model_validate(
        {"side": 6, "count": 5000, "deviation": 0.3, "whitening": whitening}
    )
    patches = cut_patches([scene(), scene(30, 30)], settings, generator())
    assert patches.shape == (5000, 36)
    assert np.abs(patches.mean(0)).max() < 1e-6
    assert np.sqrt((patches.astype(float) ** 2).mean()) == pytest.approx(0.3, rel=1e-5)


def test_every_place_of_every_scene_is_as_likely() -> None:
    # Each place is told by the grey of its corner: 1 … 6 of the first scene, 7 … 9 of the second.
    first = np.zeros((6, 5), np.uint8)
    first[:3, :2] = np.arange(1, 7).reshape(3, 2)
    second = np.zeros((4, 6), np.uint8)
    second[0, :3] = [7, 8, 9]
    settings = PatchSettings(side=4, count=9000, whitening="none")
    raw = cut_patches([Scene("a", first), Scene("b", second)], settings, generator())
    counts = np.unique(np.round(raw, 4), axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_the_same_stream_cuts_the_same_patches_and_another_does_not() -> None:
    settings = PatchSettings(side=5, count=200)
    one, again = (cut_patches([scene()], settings, generator()) for _ in range(2))
    assert np.array_equal(one, again)
    other = cut_patches([scene()], settings, np.random.default_rng(8))
    assert not np.array_equal(one, other)


def test_a_scene_smaller_than_a_patch_is_named_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"tiny.png: has 9 x 30 pixels, a patch 12 x 12; take it"):
        cut_patches([scene(), scene(30, 9, "tiny.png")], PatchSettings(), generator())


def test_photographs_of_one_grey_are_refused() -> None:
    grey = Scene("grey.png", np.full((30, 30), 7, np.uint8))
    with pytest.raises(DataError, match="nothing to learn"):
        cut_patches([grey], PatchSettings(count=100), generator())


def test_a_folders_photographs_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.PNG"):
        Image.fromarray(noise(20, 30)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photograph")
    found = scenes_in(tmp_path)
    assert [scene.name for scene in found] == ["a.jpg", "b.png", "c.PNG"]
    assert np.array_equal(found[1].grey, noise(20, 30))


def test_a_folder_without_photographs_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no photographs; expected files that end with \.png"):
        scenes_in(tmp_path)


def test_a_damaged_photograph_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(
        DataError, match=r"broken.png: cannot be read as a photograph .*take it out"
    ):
        scenes_in(tmp_path)


def test_the_digest_tells_names_sizes_and_pixels() -> None:
    one = digest_of([scene()])
    assert one != digest_of([scene(name="other.png")])
    assert one != digest_of([Scene("noise.png", noise(60, 40).reshape(40, 60).T.copy())])
    changed = noise(40, 60)
    changed[3, 3] ^= 1
    assert one != digest_of([Scene("noise.png", changed)])
