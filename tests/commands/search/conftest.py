"""The tiny study with a search section."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Ended, run
from tests.tiny_study import lay_out_study

SECTION = """\
search:
  - cells: rect-*
    space:
      units: {low: 4, high: 16, step: 4}
      layers: {choices: [1, 2]}
      finetune.learning_rate: {low: 0.1, high: 2.0, log: true}
    prune: {after_trials: 2, from_epoch: 2}
"""
TRIALS = 4


def add_search(folder: Path, section: str = SECTION) -> None:
    """Add the section to the tiny study in a folder."""
    with (folder / "experiments/tiny/study.yaml").open("a", encoding="utf-8") as file:
        file.write(section)


@pytest.fixture(autouse=True)
def _searched(_here: None, tmp_path: Path) -> None:
    add_search(tmp_path)


@pytest.fixture(scope="session")
def finished_search(
    tmp_path_factory: pytest.TempPathFactory, data_environment: dict[str, str]
) -> Iterator[tuple[Path, Ended]]:
    """The folder in which `dae search tiny` has run once, and how it ended."""
    folder = tmp_path_factory.mktemp("search")
    lay_out_study(folder)
    add_search(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable, value in data_environment.items():
            patch.setenv(variable, value)
        yield folder, run("search", "tiny", "--trials", str(TRIALS), "--jobs", "1")


@pytest.fixture
def searched(tmp_path: Path, finished_search: tuple[Path, Ended]) -> Path:
    """A copy of the finished search in the current folder; the path of results/tiny."""
    shutil.copytree(finished_search[0] / "results", tmp_path / "results")
    shutil.copytree(
        finished_search[0] / "experiments", tmp_path / "experiments", dirs_exist_ok=True
    )
    return tmp_path / "results" / "tiny"
