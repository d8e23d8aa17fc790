"""The transfer from one address: bounded in time and size, accepted only with its checksum.

pooch fetches and checks. It runs in a thread that is watched and, when nothing comes of it, left
behind: neither the look-up of a name nor a host that sends a byte now and then has an end.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from dae_cli.errors import DaeError, DataError, DownloadError

CONNECT_SECONDS = 4.0
"""Patience for a host that does not answer."""
READ_SECONDS = 20.0
"""Patience for a host that falls silent."""
SLOW_SECONDS = 60.0
SLOW_BYTES = 512 << 10
"""A host that sends fewer bytes than this in ``SLOW_SECONDS`` is given up."""
TOTAL_SECONDS = 2 * 3600.0
LARGEST_BYTES = 512 << 20
"""No file wanted is as large: 62 000 · 784 numbers of eight random digits pack to some 200 MB."""
CHUNK = 64 << 10


class WrongFileError(DownloadError):
    """The host answered with something else than the file."""


class CutError(DownloadError):
    """The connection broke in the middle; the same address may do better at once."""


class UnknownHostError(DownloadError):
    """The name of the host is not known, whatever the protocol."""


def transfer(url: str, known_hash: str, place: Path, name: str) -> Path:
    """Fetch ``url`` to ``place/name``, which appears only when it has the checksum.

    ``known_hash`` is ``sha1:…`` or ``md5:…``. Raises DownloadError (or a kind of it), whose
    message begins with the address, and DataError where ``place`` cannot be written.
    """
    import pooch  # type: ignore[import-untyped]
    import requests

    _require_reachable(url)
    sink = _Sink()
    failures: list[Exception] = []

    def run() -> None:
        try:
            pooch.retrieve(url, known_hash, fname=name, path=place, downloader=sink.download)
        except Exception as error:
            failures.append(error)

    worker = threading.Thread(target=run, daemon=True)
    with _quiet(pooch.get_logger()):
        worker.start()
        try:
            _watch(worker, sink, url)
        finally:
            sink.abandoned = True
    if not failures:
        return place / name
    error = failures[0]
    if isinstance(error, DaeError):
        raise error
    if isinstance(error, requests.RequestException | OSError):
        raise _told(error, url, place) from error
    if isinstance(error, ValueError):  # pooch: the hash differs
        algorithm = known_hash.partition(":")[0].upper().replace("SHA", "SHA-")
        raise WrongFileError(
            f"{url}: the {sink.received} bytes received are not {name} (their {algorithm} differs)"
        ) from error
    raise error


class _Sink:
    """What pooch downloads into: counts, and ends a transfer that is too large or given up."""

    def __init__(self) -> None:
        self.received = 0
        self.abandoned = False
        self._stream: IO[bytes]
        self._url = ""

    def download(self, url: str, output_file: str, pooch_: Any) -> None:
        """Do what pooch asks of a downloader."""
        import pooch

        answers: list[Any] = []  # pooch leaves a broken answer open
        fetch = pooch.HTTPDownloader(
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            chunk_size=CHUNK,
            headers={"Accept-Encoding": "identity"},
            hooks={"response": lambda answer, *_, **__: answers.append(answer)},
        )
        self._url = url
        try:
            with Path(output_file).open("wb") as self._stream:
                fetch(url, self, pooch_)
        finally:
            for answer in answers:
                answer.close()

    def write(self, data: bytes) -> None:
        self.received += len(data)
        if self.abandoned:
            raise DownloadError(f"{self._url}: given up")
        if self.received > LARGEST_BYTES:
            raise WrongFileError(
                f"{self._url}: sends more than {LARGEST_BYTES >> 20} MiB, which no archive has"
            )
        try:
            self._stream.write(data)
        except OSError as error:
            raise DataError(
                f"{self._stream.name}: cannot be written ({error.strerror}); "
                "free some space or set DAE_CACHE_DIR to another folder"
            ) from error

    def flush(self) -> None:
        """Nothing to do: pooch asks for it after every chunk."""


def _watch(worker: threading.Thread, sink: _Sink, url: str) -> None:
    """Wait for the worker; DownloadError when it is too slow."""
    started = marked = time.monotonic()
    received = 0
    while True:
        worker.join(min(0.5, SLOW_SECONDS / 4))
        if not worker.is_alive():
            return
        now = time.monotonic()
        if sink.received - received >= SLOW_BYTES:
            marked, received = now, sink.received
        elif now - marked > SLOW_SECONDS:
            raise DownloadError(
                f"{url}: too slow, fewer than {SLOW_BYTES >> 10} KiB in {SLOW_SECONDS:g} s"
            )
        if now - started > TOTAL_SECONDS:
            raise DownloadError(f"{url}: too slow, not whole after {TOTAL_SECONDS / 3600:g} hours")


def _require_reachable(url: str) -> None:
    """Raise DownloadError within seconds when nothing answers.

    A proxy looks names up itself, so then the request alone decides.
    """
    from requests.utils import get_environ_proxies, select_proxy

    if select_proxy(url, get_environ_proxies(url)):  # NO_PROXY alone makes no proxy
        return
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    reasons: list[DownloadError] = []

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        except (socket.gaierror, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            reasons.append(UnknownHostError(f"{url}: {host} is not known ({why})"))
        except OSError as error:
            reasons.append(
                DownloadError(f"{url}: {host} is not reachable ({error.strerror or error})")
            )

    _in_thread(knock, CONNECT_SECONDS + 1, f"{url}: no answer from {host}")
    if reasons:
        raise reasons[0]


def _in_thread(work: Callable[[], None], seconds: float, failure: str) -> None:
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        raise DownloadError(f"{failure} within {CONNECT_SECONDS:g} s")


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _told(error: Exception, url: str, place: Path) -> DaeError:
    """A failed transfer in words, without the addresses that requests repeats."""
    import requests

    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return CutError(f"{url}: the connection was cut in the middle")
    if isinstance(error, requests.HTTPError) and error.response is not None:
        why = f"the host answered {error.response.status_code} {error.response.reason}".rstrip()
    elif isinstance(error, requests.Timeout) or "timed out" in str(error):
        why = f"the host fell silent for {READ_SECONDS:g} s"
    elif isinstance(error, requests.exceptions.ProxyError):
        why = f"the proxy does not answer ({_in_short(error)})"
    elif isinstance(error, requests.TooManyRedirects):
        why = "the host redirects without end"
    elif isinstance(error, requests.RequestException | ConnectionError | TimeoutError):
        why = _in_short(error)
    else:
        return DataError(
            f"{place}: cannot be written ({getattr(error, 'strerror', None) or error}); "
            "free some space or set DAE_CACHE_DIR to another folder"
        )
    return DownloadError(f"{url}: {why}")


def _in_short(error: BaseException) -> str:
    """The innermost reason, without the connection that urllib3 names before it."""
    wrapped = [getattr(error, "reason", None), *reversed(error.args)]
    if inner := next((part for part in wrapped if isinstance(part, BaseException)), None):
        return _in_short(inner)
    text = re.sub(r"^HTTPS?Connection\w*\([^)]*\): ", "", str(error))
    return text.splitlines()[0][:200] if text else type(error).__name__
