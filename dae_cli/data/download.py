"""Downloads of files whose checksums are known: their addresses are tried in turn.

pooch compares the checksum, requests fetches. What is added: a bound on size and time, and one
plain reason for each address.
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
"""No file wanted is as large: 62 000 rows of eight random digits a pixel pack to some 200 MB."""
CHUNK = 64 << 10


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
def fetched(name: str, addresses: tuple[str, ...], known_hash: str) -> Iterator[Path]:
    """Fetch a file into a temporary folder of the cache, gone on exit.

    `known_hash`: ``sha1:…`` or ``md5:…``, hexadecimal.
    Raises DownloadError with each address and its reason when all fail, and DataError where the
    cache cannot be written.
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
    raise DownloadError(f"{name} cannot be fetched: {'; '.join(failures)}")


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
                    raise DownloadError(f"{url}: sends more than {most}, which no archive has")
                if time.monotonic() > end:
                    hours = f"{TOTAL_SECONDS / 3600:g} hours"
                    raise DownloadError(f"{url}: too slow, not whole after {hours}")
                stream.write(chunk)

    try:
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=download)
    except requests.RequestException as error:
        raise DownloadError(f"{url}: {_reason(error)}") from error
    except OSError as error:
        raise unwritable_cache(path.parent, error) from error
    except ValueError as error:  # of pooch: the hash differs
        algorithm = known_hash.partition(":")[0].upper().replace("SHA", "SHA-")
        raise DownloadError(
            f"{url}: the {received} bytes received are not {path.name} (their {algorithm} differs)"
        ) from error


def _reason(error: Exception) -> str:
    """Say in a few words why a transfer failed."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the host answered {error.response.status_code} {error.response.reason}".rstrip()
    if isinstance(error, requests.ConnectTimeout):
        return f"no answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"the host fell silent for {READ_SECONDS:g} s"
    inner = _innermost(error)
    text = re.sub(r"^HTTPS?Connection\w*\([^)]*\): ", "", str(inner)) or type(inner).__name__
    return text.splitlines()[0][:200]


def _innermost(error: BaseException) -> BaseException:
    """The error that urllib3 and requests wrapped."""
    wrapped = [getattr(error, "reason", None), error.__cause__, *reversed(error.args)]
    inner = next((part for part in wrapped if isinstance(part, BaseException)), None)
    return error if inner is None else _innermost(inner)
