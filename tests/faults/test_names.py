"""Folders of every name that a file system takes, and of those that it does not."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
REPLICATE = ("replicate", "tiny", "--engine", "torch")

NOT_UTF8 = os.fsdecode(b"caf\xe9")
NAMES = {
    "spaces": "  my   results ",
    "composed": unicodedata.normalize("NFC", "Übergröße"),
    "decomposed": unicodedata.normalize("NFD", "Übergröße"),
    "emoji": "🧠 résultats 🧪",
    "right to left": "نتائج תוצאות",
    "leading dash": "-results",
    "quotes": 'it\'s "quoted" `so` $HOME',
    "percent": "100%d {0} %s",
    "markup": "[red]results[bold]",
    "glob": "re*sults [0-9]?",
    "newline": "first\nsecond\ttab",
    "200 characters": "r" * 200,
    "255 bytes": "é" * 127,
}


QUICK = ("decomposed", "right to left", "leading dash", "quotes", "newline", "200 characters")
"""Of the names above, those that are tried by default."""


@pytest.fixture(
    params=[
        pytest.param(name, id=key, marks=[] if key in QUICK else [pytest.mark.slow])
        for key, name in NAMES.items()
    ]
)
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A name that this file system takes."""
    text: str = request.param
    try:
        (tmp_path / "trial").mkdir()
        (tmp_path / "trial" / text).mkdir()
    except (OSError, ValueError) as error:
        pytest.skip(f"no folder can have this name here ({error})")
    return text


def test_a_results_folder_of_any_name(
    here: Run, study: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, option = Path(name), f"--out={name}"
    monkeypatch.setattr(sys, "argv", ["dae", *REPLICATE, option])  # what REPORT.md tells
    here(*REPLICATE, option, "--jobs", "1").told(0)
    study.assert_same(out)
    again = here(*REPLICATE, option)
    again.told(0)
    assert "2 skipped" in again.out
    study.assert_same(out)
    verified = here("verify", "tiny", option)
    verified.told(0)
    assert verified.out == "2 runs recomputed, 0 differences\n"
    runs = sorted((out / "runs").absolute().iterdir())
    evaluated = here("evaluate", *runs, "--format", "json")
    evaluated.told(0)
    assert [line["error_percent"] for line in json.loads(evaluated.out)] == [8.0, 49.0]
    here("filters", runs[0], "--out", (out / "sheet.png").absolute()).told(0)
    assert (out / "sheet.png").stat().st_size


def test_workers_in_a_folder_of_an_odd_name(child: Run, study: Any) -> None:
    name = "-é e\u0301 🧠 %s\n'\"" + "r" * 180
    child(*REPLICATE, f"--out={name}", "--jobs", "2").told(0)
    study.assert_same(Path(name))


@pytest.mark.parametrize("command", [REPLICATE, ("train", "tiny/rect-0")])
def test_a_results_folder_that_is_not_utf8_is_refused_before_anything_is_computed(
    child: Run, command: tuple[str, ...]
) -> None:
    ended = child(*command, "--out", NOT_UTF8)
    ended.told(2, "caf?: is not UTF-8, which checkpoints need; choose --out")
    assert "started" not in ended.err and not Path(NOT_UTF8).exists()


def test_a_run_that_was_moved_to_a_folder_that_is_not_utf8_is_not_taken_for_damaged(
    child: Run, study: Any
) -> None:
    try:
        shutil.copytree(study.sound, NOT_UTF8)
    except OSError as error:
        pytest.skip(f"no folder can have this name here ({error})")
    ended = child("evaluate", *Path(NOT_UTF8).glob("runs/*saa*"))
    ended.told(2, "checkpoint.safetensors: is not UTF-8, which checkpoints need; rename its")


@pytest.mark.parametrize(
    "odd",
    [
        " ç 🧠 [red] % ",
        pytest.param(NOT_UTF8, marks=pytest.mark.slow),
        pytest.param("r" * 200, marks=pytest.mark.slow),
    ],
)
def test_cache_data_and_study_in_folders_of_odd_names(
    child: Run, study: Any, machine: dict[str, str], tmp_path: Path, odd: str
) -> None:
    try:
        (tmp_path / odd).mkdir()
    except (OSError, ValueError) as error:
        pytest.skip(f"no folder can have this name here ({error})")
    (tmp_path / odd / "data").symlink_to(machine["DAE_DATA_DIR"])
    shutil.move("experiments/tiny", tmp_path / odd / "tiny")
    environment = {"DAE_CACHE_DIR": str(tmp_path / odd / "cache")}
    command = ("replicate", f"{odd}/tiny/", "--engine", "torch", "--data-dir", f"{odd}/data")
    ended = child(*command, "--jobs", "1", environment=environment)
    ended.told(0)
    study.assert_same(Path("results/tiny"))
    assert (tmp_path / odd / "cache").is_dir()


def long(name: str) -> str:
    """Return a name that no file system takes."""
    return f"{name}{'x' * 300}"


@pytest.mark.parametrize(
    "command",
    [
        ("replicate", "tiny", "--out", long("new")),
        ("replicate", "tiny", "--dry-run", "--out", long("new")),
        ("train", "tiny/rect-0", "--out", long("new")),
        ("verify", "tiny", "--out", long("new")),
        ("filters", "{run}", "--out", f"{long('new')}.png"),
        ("evaluate", long("run")),
        ("filters", long("run")),
        ("show", long("study")),
        ("replicate", f"{long('study')}/"),
        ("train", f"{long('cell')}.yaml"),
    ],
    ids=" ".join,
)
def test_a_name_that_is_too_long_is_the_users_mistake(
    here: Run, study: Any, command: tuple[str, ...]
) -> None:
    run = str(sorted((study.sound / "runs").iterdir())[0])
    ended = here(*(word.format(run=run) for word in command))
    ended.told(2)
    assert "longer than the file system allows; choose a shorter path" in ended.err or (
        "cannot be looked up: File name too long" in ended.err
    )
    assert ended.err.count("\n") <= 2
    assert not Path("results").exists()


@pytest.fixture
def deep(tmp_path: Path) -> Callable[[int], Path]:
    """Make a folder whose path leaves so many bytes to the longest that the system takes."""

    def make(left: int) -> Path:
        folder, length = tmp_path, os.pathconf("/", "PC_PATH_MAX") - 1 - left
        while (missing := length - len(os.fsencode(folder))) > 0:
            folder /= "d" * min(missing - 1, 200 if missing != 202 else 100)
        folder.mkdir(parents=True)
        return folder

    return make


def test_a_path_nearly_as_long_as_the_system_takes(here: Run, study: Any, deep: Any) -> None:
    out = deep(230)
    here(*REPLICATE, "--jobs", "1", "--out", out).told(0)
    study.assert_same(out)
    here("verify", "tiny", "--out", out).told(0)


@pytest.mark.parametrize("left", [1, 20, 60, 120, 180])
def test_a_path_without_room_for_the_names_of_runs_is_refused_before_anything_is_computed(
    here: Run, deep: Any, left: int
) -> None:
    out = deep(left)
    ended = here(*REPLICATE, "--jobs", "1", "--out", out)
    ended.told(2, "longer than the file system allows; choose a shorter path")
    assert "started" not in ended.err
    assert not list(out.rglob("*.*"))
