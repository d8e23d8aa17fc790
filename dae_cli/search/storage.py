"""Where the trials of a search are kept, so that many processes and machines can share them."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dae_cli.errors import ConfigError, OutputError
from dae_cli.files import file_lock

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

JOURNAL = "trials.journal"
ROW = "row"
"""The attribute of a trial that holds its row of search.csv."""
_WAIT_SECONDS = 120.0
"""In which another process will have added its line to the journal."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*://")


def require_optuna() -> None:
    """Make sure that optuna can be had, and let it not write to the terminal.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(
            f"dae search needs optuna ({error}); install it with: "
            "pip install '.[search]' where dae's source is"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def is_url(storage: str) -> bool:
    """Tell whether a storage is a database (`postgresql://…`), not the path of a journal."""
    return bool(_URL.match(storage))


@cache
def open_storage(storage: str) -> BaseStorage:
    """Return the storage at a URL or at the absolute path of a journal; made if it is new.

    One a process, since a journal is read from its start only once.

    Raises:
        ConfigError: the database cannot be opened.
        OutputError: the journal cannot be written.
    """
    require_optuna()
    from optuna.storages import JournalStorage, get_storage

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if is_url(storage):
            try:
                return get_storage(storage)
            except Exception as error:  # of whatever driver the URL names
                raise ConfigError(
                    f"--storage {without_password(storage)}: cannot be opened "
                    f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
                ) from error
        try:
            Path(storage).parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(_journal(Path(storage)))
        except (OSError, ValueError) as error:
            raise OutputError(f"{storage}: is no journal that can be used ({error})") from error


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:…@", url)


def _journal(path: Path) -> Any:
    """Return optuna's journal file, with a lock that the system frees and no half lines.

    optuna's own lock outlives a killed process by half a minute; and a line that a crash of the
    machine cut short would spoil the one after it.
    """
    from optuna.storages.journal import JournalFileBackend

    lock: Any = _JournalLock(path)  # optuna names no public base for it
    return JournalFileBackend(str(path), lock_obj=lock)


class _JournalLock:
    """What optuna asks of a lock, held while a line is added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = ExitStack()

    def acquire(self) -> bool:
        lock = self._path.with_name(f".{self._path.name}.lock")
        self._held.enter_context(file_lock(lock, wait=_WAIT_SECONDS))
        _cut_half_line(self._path)
        return True

    def release(self) -> None:
        self._held.close()


def _cut_half_line(path: Path) -> None:
    """Cut what follows the last end of a line, which a writer that was killed left."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_study(
    storage: str, name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> Study:
    """Return optuna's study of this name, made if it is new; its trials are read afresh.

    One that is known is only read: to make it again would add a line to the journal each time.
    """
    import optuna

    opened = open_storage(storage)
    with quiet():
        with suppress(KeyError):
            return optuna.load_study(
                study_name=name, storage=opened, sampler=sampler, pruner=pruner
            )
        return optuna.create_study(
            storage=opened,
            study_name=name,
            sampler=sampler,
            pruner=pruner,
            direction="minimize",
            load_if_exists=True,
        )


def known_studies(storage: str) -> Sequence[str]:
    """Return the names of the studies that there are; a journal is not made by asking."""
    if not is_url(storage) and not Path(storage).exists():
        return ()
    return [study.study_name for study in open_storage(storage).get_all_studies()]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep optuna's remarks on its own interface from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
