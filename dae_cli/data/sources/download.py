"""The download of an original archive, accepted only with its published SHA-1."""

from __future__ import annotations

import logging
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dae_cli.data import registry
from dae_cli.data.registry import DatasetSpec
from dae_cli.errors import DataError, DownloadError

CONNECT_SECONDS = 4.0
"""Patience for a host that does not answer."""
READ_SECONDS = 20.0
"""Patience for a host that stops in the middle."""


class WrongArchiveError(DownloadError):
    """The host answered with something else than the published archive."""


@contextmanager
def downloaded_archive(spec: DatasetSpec, folder: Path) -> Iterator[Path]:
    """Fetch the archive into a temporary place inside ``folder``, gone on exit.

    Raises DownloadError when the host does not answer or the bytes are not the archive's.
    """
    import pooch  # type: ignore[import-untyped]
    import requests

    url = registry.BASE_ADDRESS + spec.archive
    _require_reachable(url)
    logger = pooch.get_logger()
    level = logger.level
    with _temporary_folder(folder) as place:
        try:
            logger.setLevel(logging.WARNING)
            name = pooch.retrieve(
                url,
                known_hash=f"sha1:{spec.archive_sha1}",
                fname=spec.archive,
                path=place,
                downloader=pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS)),
            )
        except (requests.RequestException, OSError) as error:
            raise DownloadError(f"{url}: {_in_short(error)}") from error
        except ValueError as error:  # pooch: the hash differs
            raise WrongArchiveError(
                f"{url}: the bytes received are not the published archive (their SHA-1 differs)"
            ) from error
        finally:
            logger.setLevel(level)
        yield Path(name)


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=".download-", dir=folder)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror}); set DAE_CACHE_DIR to another folder"
        ) from error
    with temporary as name:
        yield Path(name)


def _require_reachable(url: str) -> None:
    """Raise DownloadError within seconds when nothing answers.

    The look-up of a name has no time-out of its own, so it runs in a thread that is left behind.
    A proxy looks names up itself, so then the request alone decides.
    """
    from requests.utils import get_environ_proxies

    if get_environ_proxies(url):
        return
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    reasons = [f"no answer from {host} within {CONNECT_SECONDS:g} s"]

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            reasons.clear()
        except OSError as error:
            reasons[:] = [f"{host} is not reachable ({error.strerror or error})"]

    knocker = threading.Thread(target=knock, daemon=True)
    knocker.start()
    knocker.join(CONNECT_SECONDS + 1)
    if reasons:
        raise DownloadError(f"{url}: {reasons[0]}")


def _in_short(error: Exception) -> str:
    text = str(error)
    return text.splitlines()[0][:200] if text else type(error).__name__
