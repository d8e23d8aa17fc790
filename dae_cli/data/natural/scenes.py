"""The photographs that patches are cut from: those that come with the dependencies, or a folder's.

Their identity is that of their grey pixels: a digest over names, sizes and pixels goes into every
result, since floating-point patches may differ in their last bits from machine to machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.photographs import grey_pixels, shipped_photographs
from dae_cli.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm")
MOST_PIXELS = 200_000_000
"""Of a folder's photographs together: whitened, they take sixteen bytes a pixel for a while."""
_TEXTURES = ("brick", "grass", "gravel", "moon")
"""Of the photographs that come along, close-ups of one texture and the moon are no scenes."""


@dataclass(frozen=True)
class Scene:
    """A photograph: grey pixels (height, width), and its file's name."""

    name: str
    grey: NDArray[np.uint8]


def shipped_folder() -> Path:
    """Where scikit-image keeps its photographs; stands for all that come with dependencies."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise DataError("the package skimage is not installed; install dae again")
    return Path(found.origin).parent / "data"


def shipped_scenes() -> list[Scene]:
    """The natural scenes among the photographs that scikit-image and scikit-learn ship."""
    scenes = [Scene(name, grey) for name, grey in shipped_photographs().items()]
    return [scene for scene in scenes if Path(scene.name).stem not in _TEXTURES]


def scenes_in(folder: Path) -> list[Scene]:
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
    scenes, pixels = [], 0
    for path in files:
        scenes.append(Scene(path.name, _grey(path)))
        pixels += scenes[-1].grey.size
        if pixels > MOST_PIXELS:
            raise DataError(
                f"{folder}: more than {MOST_PIXELS // 1_000_000} million pixels; "
                "make the photographs smaller, or fewer"
            )
    return scenes


def _is_photograph(path: Path) -> bool:
    named_so = path.suffix.casefold() in SUFFIXES and not path.name.startswith(".")
    return named_so and not path.is_dir()


def _grey(path: Path) -> NDArray[np.uint8]:
    try:
        return grey_pixels(path)
    except Exception as error:  # Pillow's decoders raise whatever they meet
        raise DataError(
            f"{path}: cannot be read as a photograph ({error}); mend it or take it out"
        ) from error


def digest_of(scenes: list[Scene]) -> str:
    """SHA-256 of names, sizes and grey pixels."""
    digest = hashlib.sha256()
    for scene in scenes:
        height, width = scene.grey.shape
        digest.update(f"{scene.name}\n{height} {width}\n".encode("utf-8", "surrogateescape"))
        digest.update(np.ascontiguousarray(scene.grey).data)
    return digest.hexdigest()
