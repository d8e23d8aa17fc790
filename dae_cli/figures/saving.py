"""PNG files with what they say of themselves: written whole or not at all, read, removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from dae_cli.figures.style import check_suffix
from dae_cli.files import remove_file, write_whole

if TYPE_CHECKING:
    from PIL.Image import Image


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
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True, pnginfo=chunks)
    write_whole(path, buffer.getvalue())


def png_text(path: Path, key: str) -> str:
    """Return what a PNG says of itself; nothing where there is none that does."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get(key, ""))
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return ""


def remove_pictures(folder: Path, title: str, kept: Collection[str]) -> None:
    """Remove the PNGs of a folder whose own titles begin so, but for the names that are kept.

    Args:
        folder: of the pictures; it need not be there.
        title: how `Title` begins in those that may go.
        kept: names of files, without their ending.

    Raises:
        OutputError: one cannot be removed.
    """
    for path in sorted(folder.glob("*.png")):
        if path.stem not in kept and png_text(path, "Title").startswith(title):
            remove_file(path)
