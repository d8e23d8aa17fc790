"""Downloads of files whose checksums are known: their addresses are tried in turn.

pooch fetches and compares the checksum. What is added: a bound on size and time, another try where
a connection is cut, one plain reason for each address, and that Ctrl-C ends a download at once.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dae_cli.data.cache import Note, temporary_folder, unwritable_cache
from dae_cli.errors import DataError, DownloadError

CONNECT_SECONDS = 4.0
READ_SECONDS = 20.0
TOTAL_SECONDS = 2 * 3600.0
LOOK_SECONDS = 0.2
LARGEST_BYTES = 512 << 20
"""No file wanted is as large: 62 000 rows of eight random digits a pixel pack to some 200 MB."""
CHUNK = 64 << 10


class CutError(DownloadError):
    """The connection broke in the middle; the same address may do better at once."""


class UnknownHostError(DownloadError):
    """The name of the host is not known, whatever the protocol."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that may be had from several addresses, and is known by its checksum."""

    name: str
    addresses: tuple[str, ...]
    known_hash: str
    """``sha1:…`` or ``md5:…``, hexadecimal."""


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
def fetched(file: RemoteFile, note: Note) -> Iterator[Path]:
    """Fetch the file into a temporary folder of the cache, gone on exit.

    Raises DownloadError with each address and its reason when all fail, and DataError where the
    cache cannot be written.
    """
    with temporary_folder() as folder:
        failures: list[str] = []
        unknown_hosts: set[str | None] = set()
        for url in file.addresses:
            if (host := urlsplit(url).hostname) in unknown_hosts:
                continue
            try:
                path = _fetch(url, file, folder, note)
            except DownloadError as error:
                failures.append(str(error))
                if isinstance(error, UnknownHostError):
                    unknown_hosts.add(host)
            else:
                yield path
                return
    raise DownloadError(f"{file.name} cannot be fetched: {'; '.join(failures)}")


def _fetch(url: str, file: RemoteFile, folder: Path, note: Note) -> Path:
    try:
        return _interruptible(lambda: _transfer(url, file, folder))
    except CutError as error:
        note(f"{error}; once more from the start")
        return _interruptible(lambda: _transfer(url, file, folder))


def _interruptible(work: Callable[[], Path]) -> Path:
    """Do the work in a thread: the look-up of a name cannot be interrupted, the wait for it can."""
    future: Future[Path] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    # A signal that comes while the process is suspended may wake that thread and not this one.
    while not wait([future], LOOK_SECONDS).done:
        pass
    return future.result()


def _transfer(url: str, file: RemoteFile, folder: Path) -> Path:
    import pooch  # type: ignore[import-untyped]
    import requests

    pooch.get_logger().setLevel("WARNING")
    received = 0

    def download(url: str, output_file: str, pooch_: Any) -> None:
        nonlocal received
        answers: list[requests.Response] = []  # pooch leaves a broken answer open
        fetch = pooch.HTTPDownloader(
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            chunk_size=CHUNK,
            headers={"Accept-Encoding": "identity"},
            hooks={"response": lambda answer, *_, **__: answers.append(answer)},
        )
        try:
            with _Bounded(output_file, url) as stream:
                fetch(url, stream, pooch_)
                received = stream.tell()
        finally:
            for answer in answers:
                answer.close()

    try:
        pooch.retrieve(url, file.known_hash, fname=file.name, path=folder, downloader=download)
    except requests.exceptions.ChunkedEncodingError as error:
        raise CutError(f"{url}: the connection was cut in the middle") from error
    except requests.RequestException as error:
        raise _failure(url, error) from error
    except OSError as error:
        raise unwritable_cache(folder, error) from error
    except ValueError as error:  # of pooch: the hash differs
        algorithm = file.known_hash.partition(":")[0].upper().replace("SHA", "SHA-")
        raise DownloadError(
            f"{url}: the {received} bytes received are not {file.name} (their {algorithm} differs)"
        ) from error
    return folder / file.name


class _Bounded(BufferedWriter):
    """A file that takes neither more bytes than any archive has nor more time."""

    def __init__(self, path: str, url: str) -> None:
        super().__init__(FileIO(path, "w"))
        self._url, self._end = url, time.monotonic() + TOTAL_SECONDS

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > LARGEST_BYTES:
            most = f"{LARGEST_BYTES >> 20} MiB"
            raise DownloadError(f"{self._url}: sends more than {most}, which no archive has")
        if time.monotonic() > self._end:
            hours = f"{TOTAL_SECONDS / 3600:g} hours"
            raise DownloadError(f"{self._url}: too slow, not whole after {hours}")
        return super().write(data)


def _failure(url: str, error: Exception) -> DownloadError:
    """Say in a few words why a transfer failed."""
    import requests

    inner = _innermost(error)
    if isinstance(inner, socket.gaierror | UnicodeError):
        host = urlsplit(url).hostname
        why = getattr(inner, "strerror", None) or inner
        return UnknownHostError(f"{url}: cannot reach {host} (no network? {why})")
    if isinstance(error, requests.HTTPError) and error.response is not None:
        why = f"the host answered {error.response.status_code} {error.response.reason}".rstrip()
    elif isinstance(error, requests.ConnectTimeout):
        why = f"no answer within {CONNECT_SECONDS:g} s"
    elif isinstance(error, requests.Timeout) or "timed out" in str(error):
        why = f"the host fell silent for {READ_SECONDS:g} s"
    elif isinstance(error, requests.TooManyRedirects):
        why = "the host redirects without end"
    else:
        text = re.sub(r"^HTTPS?Connection\w*\([^)]*\): ", "", str(inner)) or type(inner).__name__
        proxy = "through the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
        why = proxy + text.splitlines()[0][:200]
    return DownloadError(f"{url}: {why}")


def _innermost(error: BaseException) -> BaseException:
    """The error that urllib3 and requests wrapped."""
    wrapped = [getattr(error, "reason", None), error.__cause__, *reversed(error.args)]
    inner = next((part for part in wrapped if isinstance(part, BaseException)), None)
    return error if inner is None else _innermost(inner)
