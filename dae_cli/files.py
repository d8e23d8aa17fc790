"""Write files atomically; locks; files left by killed processes; paths and the cache folder."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dae_cli.errors import ConfigError, DaeError, NameTooLongError, OutputError

PART = ".part"
STALE_SECONDS = 24 * 3600.0
"""Age at which a file left by an unknown process is removed."""
_LONGEST = 60  # bytes of a name in its temporary name; file systems allow 255 in all


@contextmanager
def whole_file(path: Path, *, make_folder: bool = True) -> Iterator[IO[bytes]]:
    """Write under a temporary name in the same folder, force it to the disk, and rename it.

    If anything fails, also in the block, the earlier file stays and the temporary one is removed.

    Args:
        make_folder: create a missing folder; false if only a user can have removed it.

    Raises:
        OutputError: the disk is full, the folder is read-only, and the like.
    """
    temporary = part_of(path)
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        force_folder_to_disk(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, make_folder: bool = True) -> None:
    """Write a file atomically; raise OutputError if that fails."""
    with whole_file(path, make_folder=make_folder) as file:
        file.write(content)


def write_text(path: Path, text: str, *, make_folder: bool = True) -> None:
    """Write UTF-8 text atomically; bytes of a path that are not UTF-8 become question marks."""
    write_whole(path, text.encode(errors="replace"), make_folder=make_folder)


def write_json(path: Path, value: Any, *, make_folder: bool = True) -> None:
    """Write JSON atomically, indented and in the order given."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_text(path, text, make_folder=make_folder)


def remove_file(path: Path) -> None:
    """Remove a file if it exists; raise OutputError if that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the error for a result that cannot be written, with a remedy."""
    if error.errno == errno.ENAMETOOLONG:
        return NameTooLongError(path)
    return OutputError(
        f"{path}: cannot be written ({error.strerror or error}); make room or choose a "
        "writable folder; earlier files are unchanged"
    )


def is_text(path: Path) -> bool:
    """Return whether a path is UTF-8; safetensors opens no other."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def force_folder_to_disk(folder: Path) -> None:
    """Make new names in a folder survive a crash of the machine, if the system can."""
    with suppress(OSError):  # some network file systems refuse it
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class HeldError(DaeError):
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock file and remove it afterwards.

    The operating system releases the lock when its process ends, so it is never stale.

    Raises:
        HeldError: another process still holds it after `wait` seconds.
        OutputError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait, poll_interval=0.1)
    except Timeout:
        raise HeldError(f"{path}: locked by another dae process") from None
    except (OSError, NotImplementedError) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise unwritable(path, reason) from error
    try:
        yield
    finally:
        # Removed while held: filelock checks, and a waiting process creates the file again.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


# Files left by killed processes


def part_of(path: Path) -> Path:
    """Return a new temporary name for ``path``, used until the file is whole.

    It identifies the process, ``.NAME@machine-pid-random.part``, so that `sweep` can remove it.
    """
    name = path.name.encode()[:_LONGEST].decode(errors="ignore")
    return path.with_name(f".{name}@{owner()}-{secrets.token_hex(4)}{PART}")


def sweep(folder: Path, *, every: bool = False) -> None:
    """Remove the temporary files in ``folder`` of ended processes, or all of them."""
    for left in folder.glob(f".*{PART}"):
        if every or is_stale(left, left.name.removesuffix(PART).rpartition("@")[2]):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def owner() -> str:
    """Return this process as in the names of its temporary files: machine-pid."""
    return f"{_machine()}-{os.getpid()}"


def is_stale(left: Path, tag: str) -> bool:
    """Return whether the process of a temporary file has ended.

    For another machine (folders may be shared) the age decides; otherwise it does not matter,
    because the clock may have jumped.
    """
    machine, *others = tag.rsplit("-", 2)
    try:
        if len(others) == 2 and machine == _machine() and others[0].isdigit():
            os.kill(int(others[0]), 0)
            return False
        return time.time() - left.stat().st_mtime > STALE_SECONDS
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False


def _machine() -> str:
    """Return the machine's name, safe for a file name."""
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:40] or "unknown"


# Paths


def with_home(text: str, prefix: str = "") -> Path:
    """Return a path with a leading ``~`` or ``~name`` replaced by the home folder.

    Raises ConfigError, with `prefix` before the path, if there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{prefix}{text}: no user has the home folder {Path(text).parts[0]}; for a folder of "
            f"this name write ./{text}"
        ) from error


def cache_folder() -> Path:
    """Return ``DAE_CACHE_DIR`` if set, else the operating system's cache folder for dae."""
    if chosen := os.environ.get("DAE_CACHE_DIR"):
        return with_home(chosen, "DAE_CACHE_DIR ")
    import pooch  # type: ignore[import-untyped]

    return Path(pooch.os_cache("dae"))
