"""The connection to the scheduler of a Dask cluster."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dae_cli.errors import ConfigError
from dae_cli.study.progress import Watcher
from dae_cli.study.workers.cluster import Cluster, ClusterError

CONNECT_SECONDS = 10
GREETING_SECONDS = 9
"""In which a scheduler says its first word."""


@contextmanager
def connected(address: str, watcher: Watcher, data_dir: Path | None = None) -> Iterator[Cluster]:
    """Connect to a Dask scheduler.

    Args:
        address: such as tcp://HOST:8786.
        watcher: hears of workers that come and go.
        data_dir: the user's data files, where a worker has them as well.

    Raises:
        ConfigError: the address is none, or dask[distributed] is not installed.
        ClusterError: nobody answers, or there is no worker.
    """
    client = _client(address)
    try:
        with Cluster(client, address, watcher, data_dir) as cluster:
            yield cluster
    finally:
        with suppress(Exception):  # what was to come of it has come, and the scheduler may be gone
            client.close(timeout=2)


def _client(address: str) -> Any:
    found = re.fullmatch(r"(tcp|tls|ws|wss|ucx)://(\[[^\]]+\]|[^:/]+):(\d{1,5})", address)
    if not found:
        raise ConfigError(
            f"--scheduler {address}: is no address of a Dask scheduler; expected one such as "
            "tcp://HOST:8786, as `dask scheduler` prints it"
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError(
            f"--scheduler needs Dask, which is not installed ({error}): "
            "pip install '.[cluster]' where dae's source is, here and on all workers"
        ) from error
    _silence()
    scheme, host, port = found.groups()
    try:
        # The client would try a port that nobody listens at for as long as it may take, and wait
        # without end for who does not speak its language.
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as there:
            if scheme == "tcp" and (heard := _heard_instead(there)):
                raise ClusterError(
                    f"--scheduler {address}: {heard}; a Dask scheduler was expected, whose address "
                    "`dask scheduler` prints"
                )
        connect: Any = Client
        return connect(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ClusterError(
            f"--scheduler {address}: no Dask scheduler answers there ({reason}); start one with "
            "`dask scheduler`, or correct the address"
        ) from error


def _heard_instead(there: socket.socket) -> str:
    """Say what is there if it is no scheduler, which begins with the length of what it says."""
    there.settimeout(GREETING_SECONDS)
    try:
        greeting = there.recv(64)
    except TimeoutError:
        return (
            f"nothing is said there in {GREETING_SECONDS} seconds, as by a web server (Dask's "
            "dashboard has a port of its own)"
        )
    if not greeting:
        return "the connection is closed there at once"
    if greeting[4:8] == bytes(4):  # no first word is longer than 4 GiB
        return ""
    return f"something else answers there ({greeting.decode('latin-1').strip()!a})"


def _silence() -> None:
    """What Dask would print of a lost worker or scheduler is told in our words."""
    for name in logging.root.manager.loggerDict:
        if name == "distributed" or name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL)
