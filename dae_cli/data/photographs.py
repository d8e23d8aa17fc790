"""Images that filter studies learn from: patches of photographs, or MNIST's digits.

The photographs are in the installed packages scikit-image and scikit-learn, or in a folder. Results
identify them by a digest of names, sizes and grey pixels, because the last bits of floating-point
patches may differ between machines. Colours are converted to grey by (299 R + 587 G + 114 B + 500)
// 1000, the luma of ITU-R 601 in integers. For JPEG files the stored luma is decoded, because
decoders differ in the conversion to colours.

Whole photographs are whitened before patches are cut. The amplitude spectrum of natural scenes
falls as 1/f, so a filter that rises as f makes it flat. The highest frequencies are suppressed:
they contain noise and the corners of the sampling grid.

    R(f) = f · exp(−(f/f₀)⁴)

Source: Olshausen and Field 1997, section 4.1 (f₀ = .4 cycles per pixel, variance .1; JMLR 2010,
section 5, uses the same scenes).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import load_content
from dae_cli.data.dataset import Prepared, Split
from dae_cli.data.datasets import PHOTOGRAPHS, spec_of
from dae_cli.data.readers import unreadable
from dae_cli.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm")
SHIPPED = dict(
    line.split()
    for line in """\
skimage/data/astronaut.png 7e0f16d04383c5bcf8763ba8b5c69de112deeb5bb6ea36125aaf18dbef912171
skimage/data/brick.png 664a145c5253f0d66db1a12776785f0ea35a44cc7447ffc933f6d6118dc58643
skimage/data/camera.png 5cb24482a53416f99052258be2b1ee38cd31c559a70c8a8b321cba231b332e21
skimage/data/chelsea.png cd822d0a5b86379f987b3120f75a6e7c7be64e292b25a23bd858af5c9db1fed6
skimage/data/coffee.png f43ff5f6e89892ad7fa2d2ef1d9d69e3451991705e4430da74322d26cc07d83b
skimage/data/coins.png e080cc03805f1fa70516c3cb84883d4633bda2a1b51841da7c22f3d14c072451
skimage/data/grass.png b18dae4c68bf850a7a7b28a29d1846c76be890665117b57fd125fe29c4d4ede6
skimage/data/gravel.png 3d51ad45f789cd8b98534b7af6bce774e499ead45421135afd757358c7230009
skimage/data/moon.png a20362266d5b01021f6f0f54bd603c3137f921b741770420deeb5ea0141716c0
skimage/data/motorcycle_left.png ba8bee165691c353efe42f09a563321c9f952aafb6d91313ac381230631e7772
skimage/data/rocket.jpg ff4ff1ba1a43d331ef84235f3e85e7b94cd26e6be8fb6e5c10050c565254a0d9
sklearn/datasets/images/china.jpg 0293dfc3ea97a1e337a6c860dba86f6180d7fe9179e951f8a04752b5bf19b8ff
sklearn/datasets/images/flower.jpg e3bc979996e55c4d8c56df81c8befd9f3060d1516ec81a7d3e1013af0c36567e
""".splitlines()
)
"""Files in packages, and the SHA-256 of their grey pixels (row by row, uint8)."""

_FEWEST_GREYS = 64
_NEARLY_ALL, _DARK = 99, 8
"""An image is rejected if this percentage of its pixels is darker than this value (of 255)."""
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
Pixel = TypeVar("Pixel", bound=np.generic)
MOST_PIXELS = 200_000_000
"""Limit for all photographs of a folder; whitening needs up to sixteen bytes per pixel."""
_TEXTURES = ("brick.png", "grass.png", "gravel.png", "moon.png")
"""Shipped photographs that are not natural scenes: close-ups of textures, and the moon."""

Scenes = Mapping[str, NDArray[np.uint8]]
"""Grey pixels (height, width) of photographs, by file name."""
FilterImages = Split | NDArray[np.float32]
"""Digits as a split, or patches, (count, side²)."""


def shipped_photographs() -> dict[str, NDArray[np.uint8]]:
    """Read the shipped photographs: grey pixels (height, width) by file name.

    Raises DataError if one is missing or changed.
    """
    photographs: dict[str, NDArray[np.uint8]] = {}
    for file, sha256 in SHIPPED.items():
        package, _, within = file.partition("/")
        path = package_folder(package) / within
        try:
            pixels = grey_pixels(path)
        except OSError as error:
            raise DataError(f"{unreadable(path, error)}; reinstall {package}") from error
        found = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        if found != sha256:
            raise DataError(
                f"{path}: not the expected photograph (SHA-256 of its grey pixels {found[:12]}…, "
                f"expected {sha256[:12]}…); "
                f"install a version of {package} that dae supports"
            )
        photographs[path.name] = pixels
    return photographs


def package_folder(package: str) -> Path:
    """Return the folder of an installed package; DataError if it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise DataError(f"the package {package} is not installed; reinstall dae")
    return Path(found.origin).parent


def cut_windows(
    images: Sequence[NDArray[Pixel]],
    which: NDArray[np.integer],
    top: NDArray[np.integer],
    left: NDArray[np.integer],
    shape: tuple[int, int],
) -> NDArray[Pixel]:
    """Cut n windows, (n, *shape), out of images; `which`, `top` and `left`, (n,), place them."""
    windows = np.empty((len(which), *shape), images[0].dtype)
    for i, image in enumerate(images):
        mine = which == i
        every = np.lib.stride_tricks.sliding_window_view(image, shape)
        windows[mine] = every[top[mine], left[mine]]
    return windows


def grey_pixels(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to grey pixels (height, width).

    Raises ValueError if it has transparent pixels or its values cannot be converted to greys.
    """
    from PIL import Image

    with Image.open(path) as image:
        if image.format == "JPEG":
            image.draft("L", image.size)  # the luma only
        # Pillow keeps only the upper 8 bits of 16-bit colours.
        halved = any(";16" in str(tile[3]) for tile in image.tile)
        _refuse_unusual(image)
        refuse_transparent(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return _scaled(np.array(image))
        if image.mode == "L":
            return np.array(image)
        colours = np.array(image.convert("RGB"), dtype=np.uint32)
    if halved and colours.max() < _FEWEST_GREYS:
        raise ValueError(
            f"too dark: its 16 bits per colour become at most {colours.max()} of 255 when reduced "
            "to 8 bits; save it with 8 bits per colour"
        )
    weighted = colours @ np.array([299, 587, 114], dtype=np.uint32)
    return ((weighted + 500) // 1000).astype(np.uint8)


def _refuse_unusual(image: Image) -> None:
    """Raise ValueError for TIFFs whose values Pillow misreads."""
    tags = getattr(image, "tag_v2", {})
    bits, formats = max(tags.get(_TIFF_BITS, (8,))), tags.get(_TIFF_SAMPLE_FORMAT, (1,))
    white_is_0 = bits > 8 and tags.get(_TIFF_PHOTOMETRIC) == 0
    is_signed = bits <= 8 and 2 in formats
    if white_is_0 or is_signed or (bits == 32 and 1 in formats and np.array(image).min() < 0):
        raise ValueError(
            "its values are signed or use 32 bits, or 0 means white; save it with 8 or 16 bits "
            "and black as 0"
        )


def refuse_transparent(image: Image) -> None:
    """Raise ValueError if an image has transparent pixels."""
    if image.mode.startswith("I"):
        is_so = bool((np.array(image) == image.info.get("transparency")).any())
    else:
        opaque = (255, 255)
        is_so = image.has_transparency_data and (
            image.convert("RGBA").getchannel("A").getextrema() != opaque
        )
    if is_so:
        raise ValueError(
            "it has transparent pixels, whose colour is undefined; save it without transparency"
        )


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Convert greys of more than 8 bits to 0 … 255 without clipping.

    Integers are scaled by the number of bits that the brightest value needs (12 bits are often
    stored in 16), floats by the brightest value.
    """
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high < np.inf:
        raise ValueError(f"its values range from {low:g} to {high:g}; expected 0 or more, finite")
    bits = max(8, int(high).bit_length())
    # Cameras and scanners use 8, 10, 12, 14 or 16 bits.
    top = (high or 1.0) if values.dtype.kind == "f" else 2.0 ** (bits + bits % 2) - 1
    greys = np.rint(values.astype(np.float64) * 255 / top).astype(np.uint8)
    if np.percentile(greys, _NEARLY_ALL) < _DARK and low < high:
        raise ValueError(
            f"nearly all pixels are black compared with the brightest, {high:g}; remove it if it "
            "is a defect, or save the photograph with 8 bits"
        )
    return greys


@dataclass(frozen=True)
class PatchSettings:
    """How photographs are whitened and patches are cut."""

    side: int
    count: int
    whitening: str
    cutoff: float
    """f₀ in cycles per pixel; above 0."""
    deviation: float


def prepare_photographs(photos: Path | None) -> Prepared:
    """Find and identify the photographs: those of the folder `photos`, or the shipped ones.

    Raises DataError if a photograph cannot be used.
    """
    if photos is not None:
        scenes = _scenes_in(photos)
        number = "1 photograph" if len(scenes) == 1 else f"{len(scenes)} photographs"
        source = f"{number} in {photos}"
        return Prepared(PHOTOGRAPHS, photos.absolute(), "own", _digest(scenes), source, "")
    scenes = _shipped_scenes()
    source = f"{len(scenes)} photographs shipped with scikit-image and scikit-learn"
    folder = package_folder("skimage") / "data"  # a placeholder: the files are in two packages
    return Prepared(PHOTOGRAPHS, folder, "original", _digest(scenes), source, "")


def load_images(
    prepared: Prepared,
    random: Callable[[], np.random.Generator],
    *,
    rows: int | None,
    patches: PatchSettings | None,
) -> FilterImages:
    """Read the training images of a filter study: patches, or `rows` evenly spread MNIST digits.

    `random` creates the generator that places the patches.
    Raises DataError if the files have changed since they were prepared.
    """
    if patches is None:
        digits = load_content(prepared)
        whole = Split(digits.pixels, digits.labels, spec_of(prepared.name).scale)
        return whole if rows is None else whole.take(rows)
    return cut_patches(load_scenes(prepared), patches, random())


def load_scenes(prepared: Prepared) -> Scenes:
    """Read the photographs; DataError if they have changed since they were prepared."""
    scenes = _scenes_in(prepared.path) if prepared.origin == "own" else _shipped_scenes()
    if (found := _digest(scenes)) != prepared.sha256:
        raise DataError(
            f"{prepared.path}: the photographs changed since the command started (SHA-256 "
            f"{found[:12]}…, expected {prepared.sha256[:12]}…); run the command again"
        )
    return scenes


def _shipped_scenes() -> Scenes:
    """The natural scenes among the shipped photographs."""
    return {name: grey for name, grey in shipped_photographs().items() if name not in _TEXTURES}


def _scenes_in(folder: Path) -> Scenes:
    """Read all photographs of a folder, in the order of their names.

    Subfolders and hidden files, such as `._1.jpg` next to `1.jpg`, are ignored.
    Raises DataError if there are none, one cannot be read, or they are too large in total.
    """
    try:
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.casefold() in SUFFIXES and path.name[0] != "." and not path.is_dir()
        )
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror or error}); "
            "pass a folder of photographs with --photos"
        ) from error
    if not files:
        raise DataError(
            f"{folder}: contains no photographs; expected files ending in {', '.join(SUFFIXES)}"
        )
    scenes: dict[str, NDArray[np.uint8]] = {}
    pixels = 0
    for path in files:
        try:
            scenes[path.name] = grey_pixels(path)
        except Exception as error:  # Pillow's decoders raise exceptions of many types
            raise DataError(
                f"{path}: cannot be read as a photograph: {error}; fix or remove it"
            ) from error
        pixels += scenes[path.name].size
        if pixels > MOST_PIXELS:
            raise DataError(
                f"{folder}: more than {MOST_PIXELS // 1_000_000} million pixels in total; "
                "use smaller or fewer photographs"
            )
    return scenes


def _digest(scenes: Scenes) -> str:
    """Return the SHA-256 of names, sizes and grey pixels."""
    digest = hashlib.sha256()
    for name, grey in scenes.items():
        height, width = grey.shape
        digest.update(f"{name}\n{height} {width}\n".encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(grey).data)
    return digest.hexdigest()


def cut_patches(
    scenes: Scenes, settings: PatchSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """Cut patches, (count, side²), at positions drawn uniformly over all scenes.

    They are returned in the order drawn. The mean of each pixel over all patches is subtracted, and
    one factor scales all of them to the standard deviation in the settings.
    Raises DataError if a scene is smaller than a patch, or every scene has a single grey value.
    """
    side = settings.side
    for name, grey in scenes.items():
        if min(grey.shape) < side:
            height, width = grey.shape
            raise DataError(
                f"{name}: {width} x {height} pixels, smaller than a patch of {side} x {side}; "
                "remove the photograph or lower patches.side"
            )
    images = [
        standardized(grey) if settings.whitening == "none" else whitened(grey, settings.cutoff)
        for grey in scenes.values()
    ]
    down, across = np.transpose([image.shape for image in images]) - side + 1
    ends = np.cumsum(down * across)
    place = random.integers(ends[-1], size=settings.count)
    which = np.searchsorted(ends, place, side="right")
    top, left = np.divmod(place - (ends - down * across)[which], across[which])
    patches = cut_windows(images, which, top, left, (side, side)).reshape(-1, side * side)
    patches -= patches.mean(axis=0, dtype=np.float64).astype(np.float32)
    found = float(np.sqrt(np.mean(np.square(patches), dtype=np.float64)))
    if found == 0:
        raise DataError("each of the photographs has a single grey value; use other photographs")
    patches *= np.float32(settings.deviation / found)
    return patches


def whitened(grey: NDArray[np.uint8], cutoff: float) -> NDArray[np.float32]:
    """Whiten a photograph (height, width) and scale it to a standard deviation of 1.

    It is padded with its mirror image to avoid edge artefacts. A photograph with a single grey
    value gives zeros.
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
    """Subtract the mean and scale to a standard deviation of 1; a constant image gives zeros."""
    centred: NDArray[np.float64] = image - image.mean(dtype=np.float64)
    deviation = float(centred.std())
    return (centred / (deviation or 1.0)).astype(np.float32)
