"""Download files with known checksums, trying several addresses in turn.

requests downloads, pooch verifies the checksum. This module adds limits on size and time, and a
readable reason for each address that fails.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dae_cli.data.cache import temporary_folder, unwritable_cache
from dae_cli.errors import DataError, DownloadError

CONNECT_SECONDS = 4.0
READ_SECONDS = 20.0
TOTAL_SECONDS = 2 * 3600.0
LARGEST_BYTES = 512 << 20
"""Size limit; the largest archive has about 200 MB (62 000 rows of random pixels)."""
CHUNK = 64 << 10


def addresses_of(name: str, bases: tuple[str, ...]) -> tuple[str, ...]:
    """Return the addresses of a file: below ``DAE_MIRROR`` (if set), then below each base."""
    if mirror := os.environ.get("DAE_MIRROR"):
        if not _is_address(mirror):
            raise DataError(
                f"DAE_MIRROR {mirror}: not a web address; expected that of the files' folder, such "
                "as https://mirror.example/data/; pass a folder on this machine with --data-dir"
            )
        bases = (mirror.rstrip("/") + "/", *bases)
    return tuple(base + name for base in bases)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # such as a port out of range or an unclosed bracket
        return False


@contextmanager
def fetched(name: str, addresses: tuple[str, ...], known_hash: str) -> Iterator[Path]:
    """Download a file into a temporary folder of the cache, which is removed on exit.

    `known_hash` is ``sha1:…`` or ``md5:…`` (hexadecimal).
    Raises DownloadError, with a reason for each address, if all fail, and DataError if the cache
    cannot be written.
    """
    with temporary_folder() as folder:
        failures: list[str] = []
        for url in addresses:
            try:
                _transfer(url, folder / name, known_hash)
            except DownloadError as error:
                failures.append(str(error))
            else:
                yield folder / name
                return
    raise DownloadError("\n  ".join([f"{name} could not be downloaded:", *failures]))


def _transfer(url: str, path: Path, known_hash: str) -> None:
    import pooch  # type: ignore[import-untyped]
    import requests

    pooch.get_logger().setLevel("WARNING")
    received, end = 0, time.monotonic() + TOTAL_SECONDS

    def download(url: str, output_file: str, _: Any) -> None:
        nonlocal received
        headers = {"Accept-Encoding": "identity"}
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        with (
            requests.get(url, headers=headers, timeout=timeout, stream=True) as answer,
            Path(output_file).open("wb") as stream,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK):
                received += len(chunk)
                if received > LARGEST_BYTES:
                    most = f"{LARGEST_BYTES >> 20} MiB"
                    raise DownloadError(f"{url}: sent more than {most}; no data file is that large")
                if time.monotonic() > end:
                    hours = f"{TOTAL_SECONDS / 3600:g} hours"
                    raise DownloadError(f"{url}: too slow, incomplete after {hours}")
                stream.write(chunk)

    try:
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=download)
    except requests.RequestException as error:
        raise DownloadError(f"{url}: {_reason(error)}") from error
    except OSError as error:
        raise unwritable_cache(path.parent, error) from error
    except ValueError as error:  # from pooch: wrong checksum
        algorithm = known_hash.partition(":")[0].upper().replace("SHA", "SHA-")
        raise DownloadError(
            f"{url}: wrong {algorithm}; the {received} bytes received are not {path.name}"
        ) from error


def _reason(error: Exception) -> str:
    """Describe briefly why a download failed."""
    import socket

    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"server returned {error.response.status_code} {error.response.reason}".rstrip()
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no data for {READ_SECONDS:g} s"
    inner = _innermost(error)
    if isinstance(inner, socket.gaierror):
        return f"host not found ({inner.strerror}); is the network down?"
    text = getattr(inner, "strerror", None) or re.sub(
        r"^HTTPS?Connection\w*\([^)]*\): ", "", str(inner)
    )
    return (text or type(inner).__name__).splitlines()[0][:200]


def _innermost(error: BaseException) -> BaseException:
    """Return the original error behind those of requests and urllib3."""
    wrapped = [getattr(error, "reason", None), error.__cause__, *reversed(error.args)]
    inner = next((part for part in wrapped if isinstance(part, BaseException)), None)
    return error if inner is None else _innermost(inner)
