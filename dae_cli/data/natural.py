"""The images that autoencoders are trained on for their filters: MNIST's digits, photographs.

Photographs are those that come with the dependencies, or a folder's. Their identity is that of
their grey pixels: a digest over names, sizes and pixels goes into every result, since floating-
point patches may differ in their last bits from machine to machine. They are whitened whole before
patches are cut: the amplitude spectrum of natural scenes falls as 1/f, and a filter that rises as f
makes it flat; the highest frequencies, where a photograph has noise and the corners of its grid,
are cut off:

    R(f) = f · exp(−(f/f₀)⁴)

References: Olshausen and Field 1997, section 4.1 (with f₀ = .4 cycles per pixel and a variance of
.1, the scenes that JMLR 2010, section 5, learned from).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import load_content
from dae_cli.data.dataset import Prepared, Split
from dae_cli.data.datasets import PHOTOGRAPHS, spec_of
from dae_cli.data.photographs import (
    SUFFIXES,
    cut_windows,
    grey_pixels,
    package_folder,
    shipped_photographs,
)
from dae_cli.errors import DataError

MOST_PIXELS = 200_000_000
"""Of a folder's photographs together: whitened, they take sixteen bytes a pixel for a while."""
_TEXTURES = ("brick.png", "grass.png", "gravel.png", "moon.png")
"""Of the photographs that come along, close-ups of one texture and the moon are no scenes."""

Scenes = Mapping[str, NDArray[np.uint8]]
"""Grey pixels (height, width) of photographs, by the names of their files."""
FilterImages = Split | NDArray[np.float32]
"""Digits with their grey values; or patches, (count, side²)."""


@dataclass(frozen=True)
class PatchSettings:
    """How patches are cut, and what is done to the photographs before."""

    side: int
    count: int
    whitening: str
    cutoff: float
    """f₀, in cycles per pixel; above 0."""
    deviation: float


def prepare_photographs(photos: Path | None) -> Prepared:
    """Make sure of photographs, the user's or those that come with the dependencies.

    Raises:
        DataError: the user's cannot be used.
    """
    if photos is not None:
        scenes = _scenes_in(photos)
        source = f"{len(scenes)} photographs of {photos}"
        return Prepared(PHOTOGRAPHS, photos.absolute(), "own", _digest(scenes), source, "")
    scenes = _shipped_scenes()
    source = f"{len(scenes)} photographs that scikit-image and scikit-learn ship"
    folder = package_folder("skimage") / "data"  # stands for all that come with dependencies
    return Prepared(PHOTOGRAPHS, folder, "original", _digest(scenes), source, "")


def load_images(
    prepared: Prepared,
    random: Callable[[], np.random.Generator],
    *,
    rows: int | None,
    patches: PatchSettings | None,
) -> FilterImages:
    """Read what an experiment is trained on.

    Args:
        prepared: as `sources.prepare` returned it.
        random: gives the generator of the places of patches.
        rows: digits of MNIST, evenly spread; default all.
        patches: how patches are cut out of photographs; None of MNIST.

    Raises:
        DataError: the files have changed meanwhile.
    """
    if patches is None:
        digits = load_content(prepared)
        whole = Split(digits.pixels, digits.labels, spec_of(prepared.name).scale)
        return whole if rows is None else whole.take(rows)
    scenes = _scenes_in(prepared.path) if prepared.origin == "own" else _shipped_scenes()
    if (found := _digest(scenes)) != prepared.sha256:
        raise DataError(
            f"{prepared.path}: holds other photographs than when the command began (SHA-256 "
            f"{found[:12]}…, expected {prepared.sha256[:12]}…); start again"
        )
    return cut_patches(scenes, patches, random())


def _shipped_scenes() -> Scenes:
    """The natural scenes among the photographs that scikit-image and scikit-learn ship."""
    return {name: grey for name, grey in shipped_photographs().items() if name not in _TEXTURES}


def _scenes_in(folder: Path) -> Scenes:
    """Every photograph of a folder, in the order of their names.

    Subfolders and hidden files, such as `._1.jpg` beside `1.jpg`, are left out.

    Raises:
        DataError: there is none, one cannot be read, or they are too large together.
    """
    try:
        files = sorted(path for path in folder.iterdir() if _is_photograph(path))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror or error}); "
            "name a folder of photographs with --photos"
        ) from error
    if not files:
        raise DataError(
            f"{folder}: has no photographs; expected files that end with {', '.join(SUFFIXES)}"
        )
    scenes: dict[str, NDArray[np.uint8]] = {}
    pixels = 0
    for path in files:
        try:
            scenes[path.name] = grey_pixels(path)
        except Exception as error:  # Pillow's decoders raise whatever they meet
            raise DataError(
                f"{path}: cannot be read as a photograph ({error}); mend it or take it out"
            ) from error
        pixels += scenes[path.name].size
        if pixels > MOST_PIXELS:
            raise DataError(
                f"{folder}: more than {MOST_PIXELS // 1_000_000} million pixels; "
                "make the photographs smaller, or fewer"
            )
    return scenes


def _is_photograph(path: Path) -> bool:
    named_so = path.suffix.casefold() in SUFFIXES and not path.name.startswith(".")
    return named_so and not path.is_dir()


def _digest(scenes: Scenes) -> str:
    """SHA-256 of names, sizes and grey pixels."""
    digest = hashlib.sha256()
    for name, grey in scenes.items():
        height, width = grey.shape
        digest.update(f"{name}\n{height} {width}\n".encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(grey).data)
    return digest.hexdigest()


def cut_patches(
    scenes: Scenes, settings: PatchSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """Cut patches at uniform places of the scenes, each as often as it has places.

    They come in the order in which chance gave them. Of all patches together each pixel's mean is
    taken away, and one number scales them to the deviation of the settings.

    Returns:
        (count, side²).

    Raises:
        DataError: a scene is smaller than a patch, or all are of one grey.
    """
    side = settings.side
    for name, grey in scenes.items():
        if min(grey.shape) < side:
            height, width = grey.shape
            raise DataError(
                f"{name}: has {width} x {height} pixels, a patch {side} x {side}; "
                "take it out, or set patches.side"
            )
    images = [_prepared(grey, settings) for grey in scenes.values()]
    down, across = np.transpose([image.shape for image in images]) - side + 1
    ends = np.cumsum(down * across)
    place = random.integers(ends[-1], size=settings.count)
    which = np.searchsorted(ends, place, side="right")
    top, left = np.divmod(place - (ends - down * across)[which], across[which])
    patches = cut_windows(images, which, top, left, (side, side)).reshape(-1, side * side)
    patches -= patches.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = float(np.sqrt(np.mean(np.square(patches), dtype=np.float64)))
    if found == 0:
        raise DataError("the photographs are of one grey each: there is nothing to learn from them")
    patches *= np.float32(settings.deviation / found)
    return patches


def _prepared(grey: NDArray[np.uint8], settings: PatchSettings) -> NDArray[np.float32]:
    if settings.whitening == "none":
        return standardized(grey)
    return whitened(grey, settings.cutoff)


def whitened(grey: NDArray[np.uint8], cutoff: float) -> NDArray[np.float32]:
    """Whiten a photograph (height, width), and scale it to a standard deviation of 1.

    It is continued by its mirror image, so that its edges meet and leave no trace. A photograph of
    one grey gives zeros.
    """
    height, width = grey.shape
    if grey.min() == grey.max():
        return np.zeros((height, width), np.float32)
    mirrored = np.pad(grey.astype(np.float64), ((0, height), (0, width)), "symmetric")
    down = np.fft.fftfreq(2 * height)[:, None]
    across = np.fft.rfftfreq(2 * width)[None]
    frequency = np.hypot(down, across)
    response = frequency * np.exp(-((frequency / cutoff) ** 4))
    whole = np.fft.irfft2(np.fft.rfft2(mirrored) * response, s=mirrored.shape)
    return standardized(whole[:height, :width])


def standardized(image: NDArray[np.float64] | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take the mean away, and scale to a standard deviation of 1; of one value, zeros."""
    centred: NDArray[np.float64] = image - image.mean(dtype=np.float64)
    deviation = float(centred.std())
    return (centred / (deviation or 1.0)).astype(np.float32)
