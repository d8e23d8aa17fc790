"""Photographs, and the images that autoencoders learn filters from: MNIST's digits, or patches.

Photographs are those that scikit-image and scikit-learn ship, read from the installed packages, or
a folder's. Their identity is that of their grey pixels: a digest over names, sizes and pixels goes
into every result, since floating-point patches may differ in their last bits from machine to
machine. Colour becomes grey by (299 R + 587 G + 114 B + 500) // 1000, the luma of ITU-R 601 in
whole numbers; of a JPEG file the stored luma itself is decoded, since the way back to colours
differs between decoders.

Photographs are whitened whole before patches are cut: the amplitude spectrum of natural scenes
falls as 1/f, and a filter that rises as f makes it flat; the highest frequencies, where a
photograph has noise and the corners of its grid, are cut off:

    R(f) = f · exp(−(f/f₀)⁴)

References: Olshausen and Field 1997, section 4.1 (with f₀ = .4 cycles per pixel and a variance of
.1, the scenes that JMLR 2010, section 5, learned from).
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
"""Files inside packages, and the SHA-256 of their grey pixels (row by row, uint8)."""

_FEWEST_GREYS = 64
_NEARLY_ALL, _DARK = 99, 8
"""So many percent of the pixels of a photograph are not all darker than this of 255."""
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339
Pixel = TypeVar("Pixel", bound=np.generic)
MOST_PIXELS = 200_000_000
"""Of a folder's photographs together: whitened, they take sixteen bytes a pixel for a while."""
_TEXTURES = ("brick.png", "grass.png", "gravel.png", "moon.png")
"""Of the photographs that come along, close-ups of one texture and the moon are no scenes."""

Scenes = Mapping[str, NDArray[np.uint8]]
"""Grey pixels (height, width) of photographs, by the names of their files."""
FilterImages = Split | NDArray[np.float32]
"""Digits with their grey values; or patches, (count, side²)."""


def shipped_photographs() -> dict[str, NDArray[np.uint8]]:
    """Grey pixels (height, width) by file name; DataError if one is missing or changed."""
    photographs: dict[str, NDArray[np.uint8]] = {}
    for file, sha256 in SHIPPED.items():
        package, _, within = file.partition("/")
        path = package_folder(package) / within
        try:
            pixels = grey_pixels(path)
        except OSError as error:
            raise DataError(f"{unreadable(path, error)}; install {package} again") from error
        found = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        if found != sha256:
            raise DataError(
                f"{path}: its grey pixels have SHA-256 {found[:12]}…, expected {sha256[:12]}…; "
                f"install a version of {package} that dae supports"
            )
        photographs[path.name] = pixels
    return photographs


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


def grey_pixels(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to grey pixels (height, width).

    Raises ValueError: some of it is transparent, or its values cannot be told as greys.
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

    Raises DataError: the user's cannot be used.
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
    """Read what an experiment is trained on: `rows` of MNIST, evenly spread, or patches.

    `random` gives the generator of the places of patches.
    Raises DataError: the files have changed meanwhile.
    """
    if patches is None:
        digits = load_content(prepared)
        whole = Split(digits.pixels, digits.labels, spec_of(prepared.name).scale)
        return whole if rows is None else whole.take(rows)
    return cut_patches(load_scenes(prepared), patches, random())


def load_scenes(prepared: Prepared) -> Scenes:
    """Read the photographs; DataError where the files have changed meanwhile."""
    scenes = _scenes_in(prepared.path) if prepared.origin == "own" else _shipped_scenes()
    if (found := _digest(scenes)) != prepared.sha256:
        raise DataError(
            f"{prepared.path}: holds other photographs than when the command began (SHA-256 "
            f"{found[:12]}…, expected {prepared.sha256[:12]}…); start again"
        )
    return scenes


def _shipped_scenes() -> Scenes:
    """The natural scenes among the photographs that scikit-image and scikit-learn ship."""
    return {name: grey for name, grey in shipped_photographs().items() if name not in _TEXTURES}


def _scenes_in(folder: Path) -> Scenes:
    """Every photograph of a folder, in the order of their names.

    Subfolders and hidden files, such as `._1.jpg` beside `1.jpg`, are left out.
    Raises DataError: there is none, one cannot be read, or they are too large together.
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
    Returns (count, side²). Raises DataError: a scene is smaller than a patch, or all are of one
    grey.
    """
    side = settings.side
    for name, grey in scenes.items():
        if min(grey.shape) < side:
            height, width = grey.shape
            raise DataError(
                f"{name}: has {width} x {height} pixels, a patch {side} x {side}; "
                "take it out, or set patches.side"
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
        raise DataError("the photographs are of one grey each: there is nothing to learn from them")
    patches *= np.float32(settings.deviation / found)
    return patches


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
