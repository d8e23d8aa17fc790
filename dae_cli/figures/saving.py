"""Saving figures atomically, with metadata and reproducible bytes.

Files contain neither the time nor the versions of the software.
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
"""Duration of each frame and of the last frame, which is shown longer."""
# Metadata that matplotlib writes by default, by suffix; None omits it.
_NO_TRACES: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def figure_bytes(figure: Figure, ending: str, metadata: Mapping[str, str | None]) -> bytes:
    """Return a figure as SVG or PDF; call it within ``style``.

    The same figure and metadata give the same bytes.

    Args:
        ending: ``.svg`` or ``.pdf``.
        metadata: keys are those that matplotlib supports for this format.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format=ending[1:], metadata={**metadata, **_NO_TRACES[ending]})
    return buffer.getvalue()


def save_png(image: Image, path: Path, metadata: Mapping[str, str]) -> None:
    """Write ``image`` as a PNG with ``metadata`` in its text chunks, in the order given.

    The same image and metadata give the same bytes. Missing parent folders are created.
    ``PIL.Image.open(path).text`` reads the metadata.

    Raises:
        ConfigError: the name does not end in ``.png``.
        OutputError: the file cannot be written.
    """
    from PIL.PngImagePlugin import PngInfo

    check_suffix(path, (".png",))
    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, value)
    write_whole(path, png_bytes(image, pnginfo=chunks))


def png_bytes(image: Image, **parameters: Any) -> bytes:
    """Return an image as PNG bytes; ``parameters`` are passed to Pillow."""
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True, **parameters)
    return buffer.getvalue()


def png_text(path: Path, key: str) -> str:
    """Return a text of a PNG's metadata; empty if the file is no PNG or lacks the key."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get(key, ""))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return ""


def picture_files(png: Path, formats: Collection[str] = ()) -> list[Path]:
    """Return a picture's files: the PNG, and other formats that exist or are requested.

    Args:
        formats: requested suffixes without the dot.
    """
    others = [png.with_suffix(ending) for ending in SUFFIXES if ending != png.suffix]
    return [png, *(path for path in others if path.suffix[1:] in formats or path.exists())]


def remove_picture(png: Path) -> None:
    """Remove a picture in all formats that exist; raises OutputError."""
    for path in picture_files(png):
        remove_file(path)


def remove_pictures(folder: Path, title: str, keep: Collection[str]) -> None:
    """Remove pictures from a folder, in all formats, if the title of the PNG starts with ``title``.

    Args:
        folder: folder of the pictures; it need not exist.
        title: prefix of ``Title`` in the metadata.
        keep: file names without suffix that are not removed.

    Raises:
        OutputError: a picture cannot be removed.
    """
    for path in sorted(folder.glob("*.png")):
        if path.stem not in keep and png_text(path, "Title").startswith(title):
            remove_picture(path)


def write_animation(frames: Sequence[Image], path: Path, metadata: Mapping[str, str]) -> None:
    """Write frames atomically as an endlessly repeated GIF with 256 greys.

    The same frames and metadata give the same bytes.

    Args:
        frames: grey images (mode ``L``) of equal size, the earliest first.
        metadata: stored as lines ``key: value`` in the GIF's comment.

    Raises:
        ConfigError: the name does not end in ``.gif``.
        OutputError: the file cannot be written.
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
    """Check the suffix of a file name.

    Raises:
        ConfigError: the suffix is not in ``allowed`` (lower case, with the dot).
    """
    if path.suffix.lower() not in allowed:
        raise ConfigError(
            f"{path}: the file name must end in {' or '.join(allowed)}; "
            f"choose a name like {path.with_suffix(allowed[0]).name}"
        )
