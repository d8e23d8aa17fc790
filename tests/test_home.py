"""`~` is the home folder in options, arguments and variables, even if no shell expands it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Ended
from tests.support.tiny import run_of

Dae = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, next to the current one."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.delenv("DAE_DATA_DIR", raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def test_folders_in_the_home_folder_are_read_and_written(
    dae: Dae, home: Path, done: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.parent / "here")  # the study is next to it
    monkeypatch.delenv("DAE_DATA_DIR", raising=False)
    (home / "mine").symlink_to(tiny_data)
    (home / "experiments").symlink_to(done.parents[1] / "experiments")
    (home / "results").symlink_to(done.parents[1] / "results")
    for words in (
        ("train", "~/experiments/tiny/rect-0.yaml", "--data-dir", "~/mine", "--out", "~/runs"),
        ("replicate", "~/experiments/tiny/", "--data-dir=~/mine", "--out=~/results/tiny"),
        ("report", "~/experiments/tiny/", "--out", "~/results/tiny"),
        ("filters", f"~/results/tiny/runs/{run_of(done, 'rect-0').name}", "--out=~/filters.png"),
    ):
        dae(*words, *(["-q"] if words[0] in ("train", "replicate") else [])).succeeded()
    run = f"~/results/tiny/runs/{run_of(done, 'rect-0').name}"
    monkeypatch.setenv("DAE_DATA_DIR", "~/mine")
    monkeypatch.setenv("DAE_CACHE_DIR", "~/cache")
    dae("evaluate", run).succeeded()
    dae("data", "show", "rect", "--tiles", "2x2", "--out", "~/rect.png").succeeded()
    made = {path.name for path in home.iterdir()}
    assert {"runs", "filters.png", "cache", "rect.png"} <= made
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("data", "list", "--data-dir", "~/none"), "~/none"),
        (("replicate", "natural-images", "--photos", "~/none"), "~/none"),
        (("data", "verify", "--data-dir", "~/none"), "~/none"),
        (("replicate", "smoke", "--out", "~nobody-here/out"), "./~nobody-here/out"),
        (("train", "smoke/convex-0", "--out=~nobody-here"), "./~nobody-here"),
        (("filters", "~nobody-here/run"), "./~nobody-here/run"),
        (("show", "~nobody-here/x.yaml"), "./~nobody-here/x.yaml"),
        (("data", "show", "rect", "--out", "~/"), "'~/' is a directory"),
    ],
)
def test_what_is_not_there_is_a_usage_error_and_nothing_is_made(
    dae: Dae, home: Path, words: tuple[str, ...], named: str
) -> None:
    dae(*words).failed(2, named)
    assert [*Path.cwd().iterdir(), *home.iterdir()] == []


@pytest.mark.parametrize("name", ["DAE_CACHE_DIR", "DAE_DATA_DIR"])
def test_a_variable_with_nobodys_home_folder_is_named(
    dae: Dae, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "~nobody-here/data")
    dae("data", "list", "rect").failed(2, f"{name} ~nobody-here/data", "./~nobody-here/data")
    assert list(Path.cwd().iterdir()) == []
