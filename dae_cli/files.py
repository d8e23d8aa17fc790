"""Writing files whole or not at all, locks, what killed processes left behind, the cache folder."""

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
"""Age at which something left is swept whose process cannot be looked up."""
_LONGEST = 60  # bytes of a name that its temporary name repeats; file systems allow 255 in all


@contextmanager
def whole_file(path: Path, *, make_folder: bool = True) -> Iterator[IO[bytes]]:
    """Write under a temporary name in the same folder, force it to the disk, and rename it.

    If anything fails, within the block too, the file that was there stays, and no other.

    Args:
        make_folder: whether to make a missing folder; not where somebody must have removed it.

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
    """Write a file as `whole_file` does; raises OutputError as it does."""
    with whole_file(path, make_folder=make_folder) as file:
        file.write(content)


def write_text(path: Path, text: str, *, make_folder: bool = True) -> None:
    """Write UTF-8 text whole; bytes of a path that are not text become question marks."""
    write_whole(path, text.encode(errors="replace"), make_folder=make_folder)


def write_json(path: Path, value: Any, *, make_folder: bool = True) -> None:
    """Write JSON whole, indented and in the order given."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_text(path, text, make_folder=make_folder)


def remove_file(path: Path) -> None:
    """Remove a file if there is one; raises OutputError if it cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return the error that a result cannot be written, with a remedy."""
    if error.errno == errno.ENAMETOOLONG:
        return NameTooLongError(path)
    return OutputError(
        f"{path}: cannot be written ({error.strerror or error}); make room, or choose a folder "
        "that can be written to; what was there before is as it was"
    )


def is_text(path: Path) -> bool:
    """Tell whether a path, which may be any bytes, is UTF-8; safetensors opens no other."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        return False
    return True


def force_folder_to_disk(folder: Path) -> None:
    """Make names given in a folder outlast a crash of the machine, where the system can do that."""
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
    """Hold the lock file `path`, and remove it afterwards.

    The operating system frees the lock of a process that ends in any way: it is never stale.

    Raises:
        HeldError: another process holds it, and still did after `wait` seconds.
        OutputError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait, poll_interval=0.1)
    except Timeout:
        raise HeldError(f"{path}: another dae process holds it") from None
    except (OSError, NotImplementedError) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise unwritable(path, reason) from error
    try:
        yield
    finally:
        # While it is held: whoever waits for it then makes the file again (filelock checks).
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


# What killed processes left behind


def part_of(path: Path) -> Path:
    """The name under which ``path`` is written until it is whole; another at each call.

    It names the process, ``.NAME@machine-pid-random.part``, so that what is left can be swept.
    """
    name = path.name.encode()[:_LONGEST].decode(errors="ignore")
    return path.with_name(f".{name}@{owner()}-{secrets.token_hex(4)}{PART}")


def sweep(folder: Path, *, every: bool = False) -> None:
    """Remove temporary files in ``folder`` whose process is gone; or every one."""
    for left in folder.glob(f".*{PART}"):
        if every or is_stale(left, left.name.removesuffix(PART).rpartition("@")[2]):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def owner() -> str:
    """This process, as the names of its temporary files tell: machine-pid."""
    return f"{_machine()}-{os.getpid()}"


def is_stale(left: Path, tag: str) -> bool:
    """Made on this machine by a process that is gone, or elsewhere (folders are shared) and old.

    Of a process that can be looked up, age says nothing: the clock may have jumped.
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
    """The machine's name, fit for a file's name."""
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:40] or "unknown"


# Paths


def with_home(text: str, prefix: str = "") -> Path:
    """Return the path as a shell reads it: ``~`` and ``~name`` at its start are home folders.

    Raises:
        ConfigError: there is no such user; `prefix` leads the message.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{prefix}{text}: {Path(text).parts[0]} is nobody's home folder here; for a folder of "
            f"this name write ./{text}"
        ) from error


def cache_folder() -> Path:
    """``DAE_CACHE_DIR``, else the operating system's place for caches."""
    if chosen := os.environ.get("DAE_CACHE_DIR"):
        return with_home(chosen, "DAE_CACHE_DIR ")
    import pooch  # type: ignore[import-untyped]

    return Path(pooch.os_cache("dae"))
