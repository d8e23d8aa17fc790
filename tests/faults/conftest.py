"""The real command in a machine that fails it, and what must hold of the results all the same.

Each fault is made in earnest: a disk that is full, a limit that the kernel enforces, a clock that
jumps. The study is `tiny`, two cells on a made-up data set.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.study.rows import RunRow, TableRow, read_rows

STUDY = """\
# Nothing published: two cells on a made-up data set.
title: "Tiny: two cells of rect"
shared:
  dataset: rect
  model: {hidden: [12, 10]}
  pretrain: {learning_rate: 0.1, epochs: 2}
  finetune: {learning_rate: 1.0, max_epochs: 4, patience: 4, batch_size: 4}
  subset: {train: 100, valid: 50, test: 400}
"""
SAME_BYTES = ("config.yaml", "metrics.csv", "checkpoint.safetensors", "filters.png")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def told(self, code: int, *words: str) -> None:
        """Hold it to have ended with this exit code and these words, and in plain words."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err, self.err
        for word in words:
            assert word in self.err, self.err


def lay_out_study(folder: Path, name: str = "experiments/tiny") -> None:
    """Write a study of two cells below `folder`."""
    study = folder / name
    study.mkdir(parents=True)
    (study / "study.yaml").write_text(STUDY)
    for level in (0, 25):
        text = f"# Tiny: {level} %.\ncorruption: {{destruction: {level / 100}}}\n"
        (study / f"rect-{level}.yaml").write_text(text)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every command: a data set of two patterns, and a cache."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    patterns = np.zeros((2, 28, 28), dtype=np.uint8)
    patterns[0, 10:18, 4:24] = 1
    patterns[1, 4:24, 10:18] = 1
    arrays = {}
    for images, labels, rows in (("X", "Y", 1200), ("Xtest", "Ytest", 50_000)):
        shown = random.integers(0, 2, rows).astype(np.uint8)
        arrays[images] = patterns.reshape(2, 784)[shown]
        arrays[labels] = shown ^ (random.random(rows) < 0.1).astype(np.uint8)
    np.savez(folder / "rect.npz", allow_pickle=False, **arrays)
    cache = tmp_path_factory.mktemp("cache")
    return {"DAE_DATA_DIR": str(folder), "DAE_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: dict[str, str]) -> None:
    """A folder of its own that has experiments/tiny."""
    lay_out_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable, value in machine.items():
        monkeypatch.setenv(variable, value)


def here(*arguments: str | Path) -> Ended:
    """Run a command in this process, where nothing is the matter."""
    result = CliRunner().invoke(app, [str(word) for word in arguments], prog_name="dae")
    return Ended(result.exit_code, result.stdout, result.stderr)


def child(
    *arguments: str | Path,
    prepare: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
    meanwhile: Callable[[], None] | None = None,
) -> Ended:
    """Run the real command in a process of its own.

    Args:
        arguments: after `dae`.
        prepare: called in the process before it becomes the command.
        environment: added to ours.
        inside: the words before the command, of a program that runs it.
        meanwhile: called while the command runs.
    """
    command = [*inside, sys.executable, "-m", "dae_cli", *map(str, arguments)]
    with subprocess.Popen(
        command,
        env=os.environ | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    ) as process:
        try:
            if meanwhile:
                meanwhile()
            out, err = process.communicate(timeout=100)
        except BaseException:
            process.kill()
            raise
    return Ended(process.returncode, out, err)


@pytest.fixture(name="here")
def _run_here() -> Callable[..., Ended]:
    """`here("replicate", "tiny")`: the command in this process."""
    return here


@pytest.fixture(name="child")
def _run_child() -> Callable[..., Ended]:
    """`child("replicate", "tiny")`: the command in a process of its own."""
    return child


@dataclass(frozen=True)
class Study:
    """What is known of `tiny` from a run that nothing happened to."""

    sound: Path
    """Its results folder."""

    def snapshot(self, folder: Path) -> dict[str, bytes]:
        """Return every file below a folder with its content."""
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    def assert_kept(self, before: Mapping[str, bytes], folder: Path) -> None:
        """Every file of earlier is there, byte for byte."""
        now = self.snapshot(folder)
        assert {name: now.get(name) == content for name, content in before.items()} == (
            dict.fromkeys(before, True)
        )

    def assert_valid(self, folder: Path) -> None:
        """Whatever is there under a final name is whole, and nothing temporary is left."""
        from PIL import Image
        from safetensors.numpy import load_file

        assert [path.name for path in folder.rglob(".*")] == []
        for path in folder.rglob("runs.csv"):
            assert read_rows(path, RunRow)
        for path in folder.rglob("table.csv"):
            assert read_rows(path, TableRow)
        for path in folder.rglob("*.safetensors"):
            assert load_file(path)
        for path in folder.rglob("*.png"):
            with Image.open(path) as image:
                image.load()

    def assert_same_runs(self, folder: Path) -> None:
        """The runs of `sound` are in a folder, bit for bit, perhaps beside others."""
        for path in (self.sound / "runs").glob("*/*"):
            if path.name in SAME_BYTES:
                assert (folder / path.relative_to(self.sound)).read_bytes() == path.read_bytes()

    def assert_same(self, folder: Path) -> None:
        """A folder holds the very results of `sound`; only what tells the time may differ."""
        assert sorted(self.snapshot(folder)) == sorted(self.snapshot(self.sound))
        self.assert_valid(folder)
        self.assert_same_runs(folder)
        for path in self.sound.rglob("*.png"):
            name = path.relative_to(self.sound)
            assert path.read_bytes() == (folder / name).read_bytes(), name
        for table in ("runs.csv", "table.csv"):
            assert timeless_rows(folder / table) == timeless_rows(self.sound / table)
        assert timeless_report(folder) == timeless_report(self.sound)


def timeless_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table without how long they took."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{**row, "minutes": ""} for row in csv.DictReader(file)]


def timeless_report(folder: Path) -> str:
    """Return REPORT.md without the command, and without how long the runs took."""
    text = (folder / "REPORT.md").read_text(encoding="utf-8")
    text = re.sub(r"^Made by .*? in all\.$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\| [0-9.]+ \| ([^|\n]*) \|$", r"| \1 |", text, flags=re.MULTILINE)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, machine: dict[str, str]) -> Iterator[Study]:
    """`tiny`, run once where nothing is the matter."""
    folder = tmp_path_factory.mktemp("sound")
    lay_out_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable, value in machine.items():
            patch.setenv(variable, value)
        ended = here("replicate", "tiny", "--engine", "torch", "--jobs", "1")
        assert ended.code == 0, ended.err
    yield Study(folder / "results" / "tiny")


@pytest.fixture
def without_right() -> Callable[[], None]:
    """For `child(prepare=…)`: permissions count, for the superuser as for anybody."""
    return give_up_rights


def give_up_rights() -> None:
    """Drop what lets the superuser pass over the permissions of files, for what we become."""
    if os.geteuid() == 0:
        import ctypes

        for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@dataclass(frozen=True)
class Disk:
    """A small file system of its own."""

    path: Path
    """Where the command finds it."""
    seen: Path
    """Where we find it."""
    inside: tuple[str, ...]
    """For `child(inside=…)`: the words that bring a command where it is mounted."""

    def leave(self, blocks: int) -> None:
        """Fill the disk until so many blocks of it are free."""
        ballast = self.seen / "ballast"
        ballast.unlink(missing_ok=True)
        told = os.statvfs(self.seen)
        with ballast.open("wb") as file:
            file.write(b"\1" * (told.f_bavail - blocks) * told.f_frsize)
        assert os.statvfs(self.seen).f_bavail == blocks

    def make_room(self) -> None:
        """Take away what fills the disk."""
        (self.seen / "ballast").unlink()

    def blocks(self, files: Iterable[Path]) -> int:
        """Return how many blocks these files take."""
        size = os.statvfs(self.seen).f_frsize
        return sum(-(-file.stat().st_size // size) for file in files)

    def make_read_only(self) -> None:
        """Mount the disk anew over itself, read-only, whatever is open there."""
        where = str(self.path)
        command = [*self.inside, "mount", "--bind", "-o", "ro", where, where]
        subprocess.run(command, check=True, timeout=20)

    def make_writable(self) -> None:
        """Undo `make_read_only`."""
        subprocess.run([*self.inside, "umount", str(self.path)], check=True, timeout=20)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 4 MiB, mounted by the superuser or in a name space of our own."""
    folder = tmp_path / "disk"
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
        back = ("sh", "-c", 'cd "$0" && exec "$@"', str(tmp_path))  # it starts at the root
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
