"""A tiny study on a small made-up data set, so that whole commands take a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app
from tests.tiny_study import lay_out_data, lay_out_study


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(*arguments: str | Path) -> Ended:
    """Run a command in this process, its streams being pipes."""
    result = CliRunner().invoke(app, [str(word) for word in arguments], prog_name="dae")
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def dae() -> Callable[..., Ended]:
    """Run a command in this process: `dae("train", "tiny/rect-0")`."""
    return run


@pytest.fixture(scope="session")
def data_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """DAE_DATA_DIR with the made-up data set, and a cache."""
    return lay_out_data(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_environment: dict[str, str]
) -> None:
    """A folder of its own that has experiments/tiny, and a plain environment."""
    lay_out_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in data_environment.items():
        monkeypatch.setenv(variable, value)


@pytest.fixture(scope="session")
def finished_study(
    tmp_path_factory: pytest.TempPathFactory, data_environment: dict[str, str]
) -> Iterator[tuple[Path, Ended]]:
    """The folder in which `dae replicate tiny` has run once, and how it ended."""
    folder = tmp_path_factory.mktemp("study")
    lay_out_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable, value in data_environment.items():
            patch.setenv(variable, value)
        yield folder, run("replicate", "tiny", "--jobs", "1")


@pytest.fixture
def done(tmp_path: Path, finished_study: tuple[Path, Ended]) -> Path:
    """A copy of the finished results in the current folder; the path of results/tiny."""
    shutil.copytree(finished_study[0] / "results", tmp_path / "results")
    return tmp_path / "results" / "tiny"
