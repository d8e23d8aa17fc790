"""Members of a user's zip file (an archive, an ``.npz``): streamed, never unpacked to disk."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from dae_cli.errors import DataError, shown

BUFFER = 1 << 18
"""Bytes that are read or unpacked at a time."""
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""What zipfile raises when bytes of a file are altered or missing."""


@contextmanager
def opened_zip(path: Path, kind: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip; any damage met while it is open is a DataError. ``kind`` is for messages.

    A member read to its end is checked against its CRC-32.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                # Nothing is unpacked, so it would do no harm; but no original is such an archive.
                if leads_out(name):
                    raise DataError(
                        f"{path}, member {shown(name[:80])}: its path leads out of the folder; "
                        "do not use this archive"
                    )
            yield archive
    except DAMAGE as error:
        raise DataError(
            f"{path}: damaged or truncated {kind} ({error}); fetch or copy the file again"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def open_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, most_bytes: int, path: Path
) -> io.BufferedReader:
    """Open a member that can be streamed safely; DataError for any other.

    It must be there once, not encrypted, stored or deflated (the other methods unpack in pieces
    of any size), and of no more than ``most_bytes``.
    """
    where = f"{path}, member {shown(member.filename)}"
    if archive.namelist().count(member.filename) > 1:
        raise DataError(f"{where}: is there more than once; which one is meant?")
    if member.flag_bits & 1:
        raise DataError(
            f"{where}: is encrypted; unpack it with its password and supply what it holds"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{where}: is packed by method {member.compress_type}, expected 0 or 8 (deflate); "
            "unpack it and supply what it holds"
        )
    if member.file_size > most_bytes:
        raise DataError(
            f"{where}: unpacks to {member.file_size} bytes, expected at most {most_bytes}; "
            "do not use this archive"
        )
    stream: Any = archive.open(member)
    return io.BufferedReader(stream, BUFFER)


def listed(names: Sequence[str]) -> str:
    """The first names, as far as a message has room for them."""
    return ", ".join(shown(name[:80]) for name in names[:6]) + (" …" if len(names) > 6 else "")


def leads_out(name: str) -> bool:
    """Whether a member's path is absolute or climbs, on any system."""
    kinds = (PurePosixPath(name), PureWindowsPath(name))
    return any(".." in path.parts or path.anchor for path in kinds)
