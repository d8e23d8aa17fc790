"""Photographs as grey pixels: those that scikit-image and scikit-learn ship, and a user's own.

The shipped ones are read from the installed packages, never fetched. Colour becomes grey by
(299 R + 587 G + 114 B + 500) // 1000, the luma of ITU-R 601 in whole numbers; of a JPEG file the
stored luma itself is decoded, since the way back to colours differs between decoders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

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
"""Files inside packages, and the SHA-256 of their grey pixels (row by row, uint8)."""

_FEWEST_GREYS = 64
_NEARLY_ALL, _DARK = 99, 8
"""So many percent of the pixels of a photograph are not all darker than this of 255."""
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
Pixel = TypeVar("Pixel", bound=np.generic)


def shipped_photographs() -> dict[str, NDArray[np.uint8]]:
    """Grey pixels (height, width) by file name; DataError if one is missing or changed."""
    return {Path(file).name: _shipped(file, sha256) for file, sha256 in SHIPPED.items()}


def package_folder(package: str) -> Path:
    """Where a package is installed; DataError if it is not."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise DataError(f"the package {package} is not installed; install dae again")
    return Path(found.origin).parent


def cut_windows(
    images: Sequence[NDArray[Pixel]],
    which: NDArray[np.integer],
    top: NDArray[np.integer],
    left: NDArray[np.integer],
    shape: tuple[int, int],
) -> NDArray[Pixel]:
    """Cut windows out of images, (n, *shape): each of one image, from its place on, (n,) each."""
    windows = np.empty((len(which), *shape), images[0].dtype)
    for i, image in enumerate(images):
        mine = which == i
        every = np.lib.stride_tricks.sliding_window_view(image, shape)
        windows[mine] = every[top[mine], left[mine]]
    return windows


def _shipped(file: str, sha256: str) -> NDArray[np.uint8]:
    package, _, within = file.partition("/")
    path = package_folder(package) / within
    try:
        pixels = grey_pixels(path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); "
            f"install {package} again, in one of the versions that dae supports"
        ) from error
    found = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path}: its grey pixels have SHA-256 {found[:12]}…, expected {sha256[:12]}…; "
            f"install a version of {package} that dae supports"
        )
    return pixels


def grey_pixels(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to grey pixels (height, width).

    Raises:
        ValueError: some of it is transparent, or its values cannot be told as greys.
    """
    from PIL import Image

    with Image.open(path) as image:
        if image.format == "JPEG":
            image.draft("L", image.size)  # the luma only
        # Pillow keeps the upper half of colours of 16 bits.
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
            f"the brightest of its colours of 16 bits is {colours.max()} of 255 when cut to 8 "
            "bits: too few greys are left; save it with 8 bits a colour"
        )
    weighted = colours @ np.array([299, 587, 114], dtype=np.uint32)
    return ((weighted + 500) // 1000).astype(np.uint8)


def _refuse_unusual(image: Image) -> None:
    """TIFFs of which Pillow gives other numbers than the file has."""
    tags = getattr(image, "tag_v2", {})
    bits, formats = max(tags.get(_TIFF_BITS, (8,))), tags.get(_TIFF_SAMPLE_FORMAT, (1,))
    white_is_0 = bits > 8 and tags.get(_TIFF_PHOTOMETRIC) == 0
    is_signed = bits <= 8 and 2 in formats
    if white_is_0 or is_signed or (bits == 32 and 1 in formats and np.array(image).min() < 0):
        raise ValueError(
            "its numbers have signs, fill 32 bits, or 0 is white; save it with 8 or 16 bits and "
            "black as 0"
        )


def refuse_transparent(image: Image) -> None:
    """Raise ValueError where some of an image is transparent."""
    if image.mode.startswith("I"):
        is_so = bool((np.array(image) == image.info.get("transparency")).any())
    else:
        opaque = (255, 255)
        is_so = image.has_transparency_data and (
            image.convert("RGBA").getchannel("A").getextrema() != opaque
        )
    if is_so:
        raise ValueError(
            "some of it is transparent, and what colour is behind nobody sees; save it without "
            "transparency"
        )


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Greys of more than 8 bits as 0 to 255; none is clipped.

    Whole numbers are scaled by the number of bits that holds the brightest (12 bits are often
    stored in 16), others by the brightest itself.
    """
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high < np.inf:
        raise ValueError(f"its values go from {low:g} to {high:g}; expected greys from 0 up")
    bits = max(8, int(high).bit_length())
    # Cameras and scanners have 8, 10, 12, 14 or 16 bits.
    top = (high or 1.0) if values.dtype.kind == "f" else 2.0 ** (bits + bits % 2) - 1
    greys = np.rint(values.astype(np.float64) * 255 / top).astype(np.uint8)
    if np.percentile(greys, _NEARLY_ALL) < _DARK and low < high:
        raise ValueError(
            f"beside its brightest value, {high:g}, nearly all others are black; is that a defect? "
            "take it away, or save the photograph with 8 bits"
        )
    return greys
