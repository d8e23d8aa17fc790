"""The real command in a machine that fails it, and what must hold of the results all the same.

Each fault is made in earnest: a disk that is full, a limit that the kernel enforces, a clock that
jumps. The study is `tiny`, two cells on a made-up data set.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app
from dae_cli.study.rows import RunRow, TableRow, read_rows
from tests.faults.disks import Disk, mounted
from tests.tiny_study import lay_out_data, lay_out_study
from tests.torture.compare import differences

SAME_BYTES = (
    "config.yaml",
    "metrics.csv",
    "checkpoint.safetensors",
    "filters.png",
    "wrong_rows.npy",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here starves real commands."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.process)


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


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every command: the made-up data set, and a cache."""
    return lay_out_data(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("cache"))


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
        assert differences(folder, self.sound) == []


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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 4 MiB."""
    with mounted(tmp_path) as small:
        yield small
