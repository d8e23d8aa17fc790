"""The cluster of a command that takes --scheduler."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dae_cli.study.cluster import Cluster
    from dae_cli.study.progress import Watcher


def cluster_at(
    address: str | None, data_dir: Path | None, watcher: Watcher
) -> AbstractContextManager[Any]:
    """Connect to the cluster, if one is given."""
    if address is None:
        return nullcontext()
    from dae_cli.study.cluster_connection import connected

    return connected(address, watcher, data_dir)


def at_a_time(jobs: int | None, cluster: Cluster | None) -> int:
    """Return how many runs or trials are made at a time: --jobs, else one a core or a worker."""
    from dae_cli.machine import cores
    from dae_cli.study.cluster import EVERY_WORKER

    return jobs or (EVERY_WORKER if cluster is not None else cores())
