"""Whether the workers of a cluster reach the storage of a search."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import partial

from dae_cli.errors import ConfigError
from dae_cli.machine import version_of
from dae_cli.search.plan import TRIALS, SearchPlan, place_of
from dae_cli.search.storage import known_studies, open_storage, require_optuna, without_password
from dae_cli.study.workers.cluster import Cluster

REACH = (
    "all workers must reach the storage: a database on the network, or a journal file in a folder "
    "that all machines share; choose it with --storage"
)
_opened_for: set[str] = set()
"""The command for which this process has opened its storage."""


@dataclass(frozen=True)
class Wanted:
    """What the storage must be to a worker."""

    storage: str
    studies: tuple[str, ...]
    mark: str
    """An attribute that each study has."""
    optuna: str
    """The version of the command's."""
    command: str = field(default_factory=lambda: secrets.token_hex(8))


def require_storage(plan: SearchPlan, cluster: Cluster) -> None:
    """Make sure that every worker sees the folder of the trials and the command's storage.

    Raises:
        UnfitWorkerError: some do not; the message names each.
        ClusterError: the scheduler is gone.
    """
    storage, mark = open_storage(plan.storage), f"place {place_of(plan)}"
    names = tuple(cell.study_name for cell in plan.cells)
    for name in names:
        study = storage.get_study_id_from_name(name)
        if mark not in storage.get_study_user_attrs(study):
            storage.set_study_user_attr(study, mark, True)
    wanted = Wanted(plan.storage, names, mark, version_of("optuna"))
    cluster.require(plan.folder / TRIALS, partial(storage_unfitness, wanted))


def storage_unfitness(wanted: Wanted) -> str:
    """Return why this process cannot make trials of the command's storage; empty if it can.

    Nothing is made by asking, but for the tables of a database that has none.
    """
    try:
        require_optuna()
    except ConfigError as error:
        return str(error)
    if (found := version_of("optuna")) != wanted.optuna:
        return f"has optuna {found}, the command has {wanted.optuna}; install the same on both"
    if wanted.command not in _opened_for:
        # A worker outlives commands: what it remembers of a journal may have been removed since.
        open_storage.cache_clear()
        _opened_for.clear()
        _opened_for.add(wanted.command)
    try:
        seen = _sees(wanted)
    except Exception as error:  # of whatever driver the URL names
        return cannot_use(wanted.storage, error)
    told = without_password(wanted.storage)
    return "" if seen else f"does not see the command's trials in {told}; {REACH}"


def cannot_use(storage: str, error: Exception) -> str:
    """Return that a worker could not do something with the storage."""
    told, reason = without_password(storage), str(error).partition("\n")[0]
    if isinstance(error, ConfigError):  # which names the storage
        return f"{reason}; {REACH}"
    return f"cannot use the storage {told} ({type(error).__name__}: {reason}); {REACH}"


def _sees(wanted: Wanted) -> bool:
    if not set(wanted.studies) <= set(known_studies(wanted.storage)):
        return False
    storage = open_storage(wanted.storage)
    ids = [storage.get_study_id_from_name(name) for name in wanted.studies]
    return all(wanted.mark in storage.get_study_user_attrs(study) for study in ids)
