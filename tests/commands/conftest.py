"""A tiny study on a small made-up data set, so that whole commands take a second."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from dae_cli.commands.app import app

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


def lay_out_study(folder: Path, cells: Sequence[int] = (0, 25)) -> None:
    """Write experiments/tiny below `folder`."""
    study = folder / "experiments" / "tiny"
    study.mkdir(parents=True)
    (study / "study.yaml").write_text(STUDY)
    for level in cells:
        text = f"# Tiny: {level} %.\ncorruption: {{destruction: {level / 100}}}\n"
        (study / f"rect-{level}.yaml").write_text(text)


@pytest.fixture(scope="session")
def data_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """DAE_DATA_DIR with a data set of two patterns, a tenth of its labels wrong, and a cache."""
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
    _remember_torch_as_fastest(cache)
    return {"DAE_DATA_DIR": str(folder), "DAE_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}


def _remember_torch_as_fastest(cache: Path) -> None:
    """Nothing is measured, in this process or another, and results do not depend on the machine."""
    from dae_cli.engines import choice

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAE_CACHE_DIR", str(cache))
        patch.setattr(choice, "_measure", lambda names: dict.fromkeys(names, 1.0))
        assert choice.fastest_engine(lambda _: None) == "torch"


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
