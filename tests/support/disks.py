"""A small disk for a test, which can be filled or made read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Disk:
    """A small file system."""

    path: Path
    """Its path for the command."""
    seen: Path
    """Its path for the test."""
    inside: tuple[str, ...]
    """For `Child(inside=…)`: the program that runs a command in the namespace of the mount."""

    def leave(self, blocks: int) -> None:
        """Fill the disk until this many blocks are free."""
        ballast = self.seen / "ballast"
        ballast.unlink(missing_ok=True)
        space = os.statvfs(self.seen)
        with ballast.open("wb") as file:
            file.write(b"\1" * (space.f_bavail - blocks) * space.f_frsize)
        assert os.statvfs(self.seen).f_bavail == blocks

    def make_room(self) -> None:
        """Remove the file that fills the disk."""
        (self.seen / "ballast").unlink()

    def blocks(self, files: Iterable[Path]) -> int:
        """Return the number of blocks of these files."""
        size = os.statvfs(self.seen).f_frsize
        return sum(-(-file.stat().st_size // size) for file in files)

    def make_read_only(self) -> None:
        """Mount the disk over itself, read-only, even if files on it are open."""
        where = str(self.path)
        command = [*self.inside, "mount", "--bind", "-o", "ro", where, where]
        subprocess.run(command, check=True, timeout=20)

    def make_writable(self) -> None:
        """Undo `make_read_only`."""
        subprocess.run([*self.inside, "umount", str(self.path)], check=True, timeout=20)


@contextmanager
def mounted(parent: Path) -> Iterator[Disk]:
    """Mount a disk of 4 MiB in a folder, as the superuser or in a user namespace."""
    folder = parent / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "dae-test", str(folder)]
    if os.name == "posix" and os.geteuid() == 0 and _succeeds(mount):
        try:
            yield Disk(folder, folder, ())
        finally:
            while folder.is_mount() and _succeeds(["umount", "--lazy", str(folder)]):
                pass  # twice if it was mounted over itself
        return
    with _namespace(mount) as process:
        enter = ("nsenter", "--user", "--mount", "--preserve-credentials", f"--target={process}")
        back = ("sh", "-c", 'cd "$0" && exec "$@"', str(parent))  # nsenter starts at the root
        yield Disk(folder, Path(f"/proc/{process}/root{folder}"), (*enter, *back))


@contextmanager
def _namespace(mount: Sequence[str]) -> Iterator[int]:
    """Yield the process in whose namespace a disk is mounted."""
    script = 'exec 3>&1 >&2; "$@" && echo mounted >&3 && exec 3>&- && read -r end'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *mount]
    if not all(map(shutil.which, ("unshare", "nsenter"))):
        pytest.skip("mounting a disk needs the superuser, or unshare and nsenter")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin and process.stdout
        if not process.stdout.readline():
            pytest.skip("a disk can be mounted neither by this user nor in a user namespace")
        yield process.pid
        process.stdin.close()


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
