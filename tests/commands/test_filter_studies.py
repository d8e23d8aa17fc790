"""Studies on filters from the command line: what is run, told, drawn and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.study.of_filters.conftest import CELLS, STUDY

if TYPE_CHECKING:
    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photographs, and the study `small` that is trained on patches of them."""
    study = tmp_path / "experiments" / "small"
    study.mkdir()
    (study / "study.yaml").write_text(f"# Nothing published.\n{STUDY}", encoding="utf-8")
    for cell, text in CELLS.items():
        (study / f"{cell}.yaml").write_text(f"# Small: {cell}.\n{text}", encoding="utf-8")
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(3)
    for name in ("a.png", "b.png"):
        grey = random.integers(256, size=(40, 50), dtype=np.uint8)
        Image.fromarray(grey).save(folder / name)
    return folder


def test_replicate_tells_each_claims_judgement_and_where_the_report_is(
    dae: Dae, photos: Path
) -> None:
    ended = dae("replicate", "small", "--photos", photos, "--jobs", "1", "--engine", "torch")
    assert ended.code == 0, ended.err
    first, last = ended.lines
    assert first.startswith("both: The measure bears it out: plain")
    assert last.startswith("2 done, 0 skipped, 0 failed in")
    assert last.endswith("results/small/REPORT.md")
    assert "photographs: 2 photographs of" in ended.err
    assert "done     noisy in" in ended.err
    assert "test error" not in ended.err
    again = dae("replicate", "small", "--photos", photos, "--jobs", "1", "--quiet")
    assert (again.code, again.out) == (0, "results/small/REPORT.md\n")
    assert dae("verify", "small").code == 0


def test_other_photographs_make_other_runs(dae: Dae, photos: Path) -> None:
    arguments = ("replicate", "small", "--only", "plain", "--jobs", "1", "--photos", photos)
    assert dae(*arguments).code == 0
    (photos / "b.png").unlink()
    planned = dae(*arguments, "--dry-run")
    assert "1 of 1 to run" in planned.out


def test_a_folder_without_photographs_is_told_before_anything_is_made(
    dae: Dae, photos: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = dae("replicate", "small", "--photos", empty)
    assert ended.code == 2
    assert "empty: has no photographs; expected files that end with .png" in ended.err
    assert not Path("results").exists()


def test_train_then_filters_then_evaluate(dae: Dae, photos: Path) -> None:
    trained = dae("train", "small/noisy", "--photos", photos, "--engine", "torch")
    assert trained.code == 0, trained.err
    assert trained.lines[0].split() == ["data", "photographs"]
    folder = trained.lines[-1]
    drawn = dae("filters", folder, "--tiles", "2x4", "--out", "sheet.png")
    assert drawn.code == 0
    with Image.open("sheet.png") as image:
        assert image.mode == "L"
    counted = dae("evaluate", folder)
    assert counted.code == 2
    assert "trained for its filters, without labels" in counted.err


@pytest.mark.parametrize(("name", "kind"), [("learning.gif", "GIF"), ("learning.webp", "WEBP")])
def test_learning_is_drawn_as_an_animation(dae: Dae, photos: Path, name: str, kind: str) -> None:
    ended = dae("filters", "small/noisy", "--animate", name, "--photos", photos, "--tiles", "2x4")
    assert (ended.code, ended.out) == (0, f"{name}\n"), ended.err
    with Image.open(name) as image:
        assert image.format == kind
        assert getattr(image, "n_frames", 1) > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("small/noisy", "--animate", "x.png"), "x.png"),
        (("small/noisy", "--animate", "x.gif", "--units", "1"), "draws one first layer"),
        (("small/noisy", "small/plain", "--animate", "x.gif"), "draws one first layer"),
    ],
)
def test_what_cannot_be_animated_is_refused(
    dae: Dae, photos: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = dae("filters", *arguments)
    assert ended.code == 2
    assert words in " ".join(ended.err.replace("│", " ").split())
    assert not list(Path.cwd().glob("x.*"))


def test_a_search_has_nothing_to_select_where_there_is_no_error(dae: Dae, photos: Path) -> None:
    ended = dae("search", "small")
    assert ended.code == 2
    assert "has no search section" in ended.err
