"""The download of a file whose checksum is known: its addresses are tried in turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dae_cli.data import datasets
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.notes import Note
from dae_cli.data.sources.transfer import CutError, UnknownHostError, WrongFileError, transfer
from dae_cli.data.temporary import temporary_folder
from dae_cli.errors import DataError, DownloadError

__all__ = ["RemoteFile", "WrongFileError", "addresses_of", "archive_of", "fetched"]


@dataclass(frozen=True)
class RemoteFile:
    """A file that may be had from several addresses, and is known by its checksum."""

    name: str
    addresses: tuple[str, ...]
    known_hash: str
    """``sha1:…`` or ``md5:…``, hexadecimal."""


def archive_of(spec: DatasetSpec) -> RemoteFile:
    """The published archive of a set."""
    archive = spec.archive
    assert archive is not None, f"{spec.name} has no archive"
    addresses = addresses_of(archive.name, datasets.ADDRESSES)
    return RemoteFile(archive.name, addresses, f"sha1:{archive.sha1}")


def addresses_of(name: str, bases: tuple[str, ...]) -> tuple[str, ...]:
    """Where the file may be: below ``DAE_MIRROR``, where that is set, then below each base."""
    if mirror := os.environ.get("DAE_MIRROR"):
        if not _is_address(mirror):
            raise DataError(
                f"DAE_MIRROR {mirror}: expected the address of the folder that holds the files, "
                "such as https://mirror.example/data/; for a folder on this machine use --data-dir"
            )
        bases = (mirror.rstrip("/") + "/", *bases)
    return tuple(base + name for base in bases)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, a bracket left open
        return False


@contextmanager
def fetched(file: RemoteFile, folder: Path, note: Note) -> Iterator[Path]:
    """Fetch the file into a temporary place inside ``folder``, gone on exit.

    The bytes have the known checksum. ``note`` receives a line for every address that fails.
    Raises DownloadError, with each address and its reason, when all fail (WrongFileError when
    that is since other bytes were sent), and DataError where ``folder`` cannot be written.
    """
    with temporary_folder(folder) as place:
        yield _from_first_good(file, place, note)


def _from_first_good(file: RemoteFile, place: Path, note: Note) -> Path:
    failures: list[DownloadError] = []
    unknown_hosts: set[str | None] = set()
    for address in file.addresses:
        host = urlsplit(address).hostname
        if host in unknown_hosts:
            continue
        try:
            return _with_one_retry(address, file, place, note)
        except DownloadError as error:
            failures.append(error)
            if isinstance(error, UnknownHostError):
                unknown_hosts.add(host)
            note(str(error))
    reasons = "; ".join(str(error) for error in failures) or "no address is known"
    raise _kind(failures)(f"{file.name} cannot be fetched: {reasons}")


def _with_one_retry(address: str, file: RemoteFile, place: Path, note: Note) -> Path:
    try:
        return transfer(address, file.known_hash, place, file.name)
    except CutError as error:
        note(f"{error}; once more from the start")
        return transfer(address, file.known_hash, place, file.name)


def _kind(failures: list[DownloadError]) -> type[DownloadError]:
    """WrongFileError if some host sent a file and all that did sent a wrong one."""
    if any(isinstance(error, CutError) for error in failures):
        return DownloadError
    wrong = any(isinstance(error, WrongFileError) for error in failures)
    return WrongFileError if wrong else DownloadError
