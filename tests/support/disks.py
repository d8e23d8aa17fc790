"""A small disk of its own for a test: to be filled, or to be made read-only."""

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
    """A small file system of its own."""

    path: Path
    """Where the command finds it."""
    seen: Path
    """Where we find it."""
    inside: tuple[str, ...]
    """For `Child(inside=…)`: the words that bring a command where it is mounted."""

    def leave(self, blocks: int) -> None:
        """Fill the disk until so many blocks of it are free."""
        ballast = self.seen / "ballast"
        ballast.unlink(missing_ok=True)
        space = os.statvfs(self.seen)
        with ballast.open("wb") as file:
            file.write(b"\1" * (space.f_bavail - blocks) * space.f_frsize)
        assert os.statvfs(self.seen).f_bavail == blocks

    def make_room(self) -> None:
        """Take away what fills the disk."""
        (self.seen / "ballast").unlink()

    def blocks(self, files: Iterable[Path]) -> int:
        """Return how many blocks these files take."""
        size = os.statvfs(self.seen).f_frsize
        return sum(-(-file.stat().st_size // size) for file in files)

    def make_read_only(self) -> None:
        """Mount the disk over itself, read-only, whatever is open there."""
        where = str(self.path)
        command = [*self.inside, "mount", "--bind", "-o", "ro", where, where]
        subprocess.run(command, check=True, timeout=20)

    def make_writable(self) -> None:
        """Undo `make_read_only`."""
        subprocess.run([*self.inside, "umount", str(self.path)], check=True, timeout=20)


@contextmanager
def mounted(beside: Path) -> Iterator[Disk]:
    """Mount a disk of 4 MiB in a folder, as the superuser or in a name space of our own."""
    folder = beside / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "dae-test", str(folder)]
    if os.name == "posix" and os.geteuid() == 0 and _succeeds(mount):
        try:
            yield Disk(folder, folder, ())
        finally:
            while folder.is_mount() and _succeeds(["umount", "--lazy", str(folder)]):
                pass  # once more where it was mounted over itself
        return
    with _name_space(mount) as process:
        enter = ("nsenter", "--user", "--mount", "--preserve-credentials", f"--target={process}")
        back = ("sh", "-c", 'cd "$0" && exec "$@"', str(beside))  # it starts at the root
        yield Disk(folder, Path(f"/proc/{process}/root{folder}"), (*enter, *back))


@contextmanager
def _name_space(mount: Sequence[str]) -> Iterator[int]:
    """Give the process in whose name space a disk is mounted."""
    script = 'exec 3>&1 >&2; "$@" && echo mounted >&3 && exec 3>&- && read -r end'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *mount]
    if not all(map(shutil.which, ("unshare", "nsenter"))):
        pytest.skip("a small disk is mounted by the superuser, or with unshare and nsenter")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin and process.stdout
        if not process.stdout.readline():
            pytest.skip("neither as this user nor in a name space of its own can a disk be mounted")
        yield process.pid
        process.stdin.close()


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
