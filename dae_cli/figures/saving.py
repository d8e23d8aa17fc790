"""Saving figures: whole or not at all, the same bytes each time, with what they say of themselves.

Nothing of the time or of the software is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dae_cli.errors import ConfigError
from dae_cli.files import remove_file, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

SUFFIXES, ANIMATIONS = (".png", ".svg", ".pdf"), (".gif",)
SECONDS, LAST_SECONDS = 0.5, 3.0
"""How long each frame is shown, and the last one, which is to be looked at."""
# What matplotlib would write of itself and of the time, by ending; None leaves it out.
_NO_TRACES: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def figure_bytes(figure: Figure, ending: str, metadata: Mapping[str, str | None]) -> bytes:
    """Return a figure as SVG or PDF; call it within ``style``.

    The same figure and metadata give the same bytes.

    Args:
        ending: ``.svg`` or ``.pdf``.
        metadata: under the names that matplotlib knows in that format.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format=ending[1:], metadata={**metadata, **_NO_TRACES[ending]})
    return buffer.getvalue()


def save_png(image: Image, path: Path, metadata: Mapping[str, str]) -> None:
    """Write ``image`` as a PNG whose text chunks hold ``metadata``, in the order given.

    The same image and metadata give the same bytes. Missing parent folders are made.
    ``PIL.Image.open(path).text`` gives the metadata back.

    Raises:
        ConfigError: the name does not end in ``.png``.
        OutputError: it cannot be written.
    """
    from PIL.PngImagePlugin import PngInfo

    check_suffix(path, (".png",))
    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, value)
    write_whole(path, png_bytes(image, pnginfo=chunks))


def png_bytes(image: Image, **parameters: Any) -> bytes:
    """Return an image as a PNG; ``parameters`` are Pillow's."""
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True, **parameters)
    return buffer.getvalue()


def png_text(path: Path, key: str) -> str:
    """Return what a PNG says of itself; nothing where there is none that does."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get(key, ""))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return ""


def picture_files(png: Path, formats: Collection[str] = ()) -> list[Path]:
    """Return the files of a picture: the PNG, and it in the formats asked for or there already.

    Args:
        formats: endings without the dot.
    """
    others = [png.with_suffix(ending) for ending in SUFFIXES if ending != png.suffix]
    return [png, *(path for path in others if path.suffix[1:] in formats or path.exists())]


def remove_picture(png: Path) -> None:
    """Remove a picture in all its formats, as far as it is there; OutputError if that fails."""
    for path in picture_files(png):
        remove_file(path)


def remove_pictures(folder: Path, title: str, keep: Collection[str]) -> None:
    """Remove pictures of a folder in all formats, but for some names.

    Those go whose PNG has a title that begins so.

    Args:
        folder: of the pictures; it need not be there.
        title: how `Title` begins in those that may go.
        keep: names of files, without their ending.

    Raises:
        OutputError: one cannot be removed.
    """
    for path in sorted(folder.glob("*.png")):
        if path.stem not in keep and png_text(path, "Title").startswith(title):
            remove_picture(path)


def write_animation(frames: Sequence[Image], path: Path, metadata: Mapping[str, str]) -> None:
    """Write frames as an animated GIF that is played for ever, with all of the 256 greys.

    The same frames and metadata give the same bytes, whole or not at all.

    Args:
        frames: grey images (mode ``L``) of one size, the earliest first.
        metadata: kept as lines ``key: value`` in its comment.

    Raises:
        ConfigError: the name does not end in ``.gif``.
        OutputError: it cannot be written.
    """
    check_suffix(path, ANIMATIONS)
    first, *others = frames
    durations = [SECONDS] * len(others) + [LAST_SECONDS]
    buffer = BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=[round(1000 * seconds) for seconds in durations],
        loop=0,
        comment="\n".join(f"{key}: {text}" for key, text in metadata.items()).encode(
            errors="replace"
        ),
    )
    write_whole(path, buffer.getvalue())


def check_suffix(path: Path, allowed: Sequence[str]) -> None:
    """Refuse a file name whose ending does not say what the file will hold.

    Raises:
        ConfigError: the ending of ``path`` is not in ``allowed`` (lower case, with the dot).
    """
    if path.suffix.lower() not in allowed:
        raise ConfigError(
            f"{path}: a picture is written as {' or '.join(allowed)}; "
            f"choose a name like {path.with_suffix(allowed[0]).name}"
        )
