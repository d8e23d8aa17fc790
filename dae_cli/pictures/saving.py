"""Saving a picture whole or not at all, with the same bytes each time."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from dae_cli.errors import ConfigError
from dae_cli.files import remove_file, write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from dae_cli.pictures.tiles import Drawing

SHEET_SUFFIXES = (".png", ".svg", ".pdf")
_LONGEST_KEY = 79  # PNG specification, 11.3.4.2: a keyword has 1 to 79 characters


def save_png(image: Image, path: Path, metadata: Mapping[str, str]) -> None:
    """Write ``image`` as a PNG whose text chunks hold ``metadata``, in the order given.

    The same image and metadata give the same bytes. The file appears under its name only when it
    is whole; an older file of that name stays as it was if anything fails. Missing parent folders
    are made. ``PIL.Image.open(path).text`` gives the metadata back.

    Raises:
        ConfigError: the name does not end in ``.png``.
        OutputError: it cannot be written.
        ValueError: a key is not 1 to 79 Latin-1 characters, or a key or value holds a NUL.
    """
    from PIL.PngImagePlugin import PngInfo

    check_suffix(path, (".png",))
    check_metadata(metadata)
    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, value)
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True, pnginfo=chunks)
    write_whole(path, buffer.getvalue())


def png_text(path: Path, key: str) -> str:
    """Return what a PNG says of itself; nothing where there is none that tells."""
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


def save_sheet(drawing: Drawing, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a laid-out sheet as its name's ending says: ``.png``, ``.svg`` or ``.pdf``.

    As with ``save_png`` the same sheet and metadata give the same bytes, whole or not at all. SVG
    and PDF keep ``Title`` as their title, and all else as lines ``key: value``: the description of
    an SVG, the subject of a PDF.

    Raises:
        ConfigError: another ending.
        OutputError: it cannot be written.
        ValueError: a key that a PNG could not keep.
    """
    check_suffix(path, SHEET_SUFFIXES)
    check_metadata(metadata)
    if path.suffix.lower() == ".png":
        from dae_cli.pictures.tiles import paint

        save_png(paint(drawing), path, metadata)
        return

    from dae_cli.pictures.vector import pdf_bytes, svg_bytes

    to_bytes = svg_bytes if path.suffix.lower() == ".svg" else pdf_bytes
    write_whole(path, to_bytes(drawing, metadata))


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuse what a PNG's text chunks could not keep.

    Raises:
        ValueError: a key is not 1 to 79 characters, or a key or value holds a NUL.
    """
    for key, value in metadata.items():
        if not 1 <= len(key) <= _LONGEST_KEY or "\0" in key + value:
            raise ValueError(
                f"metadata key {key!r} must have 1 to {_LONGEST_KEY} characters, no NUL"
            )


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
