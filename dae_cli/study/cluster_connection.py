"""The connection to the scheduler of a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dae_cli.errors import ConfigError, plain
from dae_cli.study.cluster import Cluster, ClusterError
from dae_cli.study.progress import Watcher

ANSWER_SECONDS = 6
"""In which there is a connection, then a greeting, then an answer to who it is."""
_EXPECTED = "; a Dask scheduler was expected, whose address `dask scheduler` prints"


@contextmanager
def connected(address: str, watcher: Watcher, data_dir: Path | None = None) -> Iterator[Cluster]:
    """Connect to a Dask scheduler.

    Args:
        address: such as tcp://HOST:8786.
        watcher: hears of workers that come and go.
        data_dir: the user's data files, where a worker has them as well.

    Raises:
        ConfigError: the address is none or something else's, or dask[distributed] is not installed.
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
    parts = re.fullmatch(r"(tcp|tls|ws|wss|ucx)://(\[[^\]]+\]|[^:/]+):(\d{1,5})", address)
    if not parts:
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
    scheme, host, port = parts.groups()
    try:
        # The client would try a port that nobody listens at for as long as it may take, wait for
        # ever for another protocol, and leave a traceback where it finds a worker.
        place = host.strip("[]"), int(port)
        with socket.create_connection(place, timeout=ANSWER_SECONDS) as connection:
            if scheme == "tcp":
                _require_dask(address, connection)
        asyncio.run(_require_scheduler(address))
        return _new_client(Client, address)
    except (OSError, OverflowError, ValueError) as error:
        raise ClusterError(
            f"--scheduler {address}: no Dask scheduler answers there ({_reason(error)}); start one "
            "with `dask scheduler`, or correct the address"
        ) from error


def _require_dask(address: str, connection: socket.socket) -> None:
    """Refuse a service whose greeting is not Dask's.

    That begins with the number of bytes that follow, the number of frames, and their lengths
    (distributed/comm/utils.py), eight bytes each.
    """
    try:
        greeting = connection.recv(64)
    except TimeoutError:
        raise ClusterError(
            f"--scheduler {address}: nothing is said there in {ANSWER_SECONDS} seconds (a "
            "scheduler that hangs or wants tls://, a web server such as Dask's dashboard, …)"
            + _EXPECTED
        ) from None
    if not greeting:
        raise ClusterError(
            f"--scheduler {address}: the connection is closed there at once" + _EXPECTED
        )
    length, frames = (int.from_bytes(greeting[at : at + 8], "little") for at in (0, 8))
    is_whole = len(greeting) >= 16  # else the rest is still to come
    if len(greeting) < 8 or not 8 + 8 * frames <= length < 2**32 or (is_whole and not frames):
        raise ConfigError(
            f"--scheduler {address}: something else answers there "
            f"({greeting.decode('latin-1').strip()!a})" + _EXPECTED
        )


async def _require_scheduler(address: str) -> None:
    """Ask the server what it is, and refuse a worker, its nanny, …"""
    import dask
    import distributed

    if dask.config.get("distributed.client.security-loader", None):
        return  # the user's own, which the client asks
    security: Any = distributed.Security
    rpc: Any = distributed.rpc
    arguments = security().get_connection_args("client")
    if address.startswith(("tls:", "wss:")) and arguments.get("ssl_context") is None:
        raise ConfigError(
            f"--scheduler {address}: needs a TLS configuration, and Dask has none here; expected "
            "distributed.comm.tls in its configuration, with ca-file and client.cert (and "
            "client.key), as https://distributed.dask.org/en/stable/tls.html says"
        )
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            rpc(address, timeout=ANSWER_SECONDS, connection_args=arguments) as server,
        ):
            identity = await server.identity()
        kind, scheduler = identity["type"], identity.get("scheduler")
    except TimeoutError:
        raise ClusterError(
            f"--scheduler {address}: does not say who answers there in {ANSWER_SECONDS} seconds "
            "(a scheduler that hangs, another service, …)" + _EXPECTED
        ) from None
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            f"--scheduler {address}: does not say who answers there ({type(error).__name__}: "
            f"{_reason(error)})" + _EXPECTED
        ) from error
    if "workers" not in identity:
        of = f" of the scheduler at {scheduler}" if scheduler else ""
        raise ConfigError(f"--scheduler {address}: a Dask {kind}{of} answers there" + _EXPECTED)


def _reason(error: Exception) -> str:
    return plain(getattr(error, "strerror", None) or str(error).partition("\n")[0])


def _new_client(kind: Any, address: str) -> Any:
    """Return a client; one that cannot connect is closed without a word."""
    client = kind.__new__(kind)
    try:
        client.__init__(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except BaseException:
        with suppress(Exception):
            client.close(timeout=1)
        client.status = "closed"  # or it would try again when it is forgotten, and say so
        raise
    return client


def _silence() -> None:
    """Let Dask print nothing of a lost worker or scheduler: the command does."""
    for name in logging.root.manager.loggerDict:
        if name == "distributed" or name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
