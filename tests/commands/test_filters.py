"""`dae filters`: one picture from one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def test_a_run_gives_a_picture_named_after_it(dae: Dae, done: Path) -> None:
    (folder,) = (done / "runs").glob("*-25-*")
    ended = dae("filters", folder, "--tiles", "3x4")
    assert (ended.code, ended.out) == (0, f"filters-{folder.name}.png\n")
    with Image.open(ended.out.strip()) as image:
        assert image.mode == "L"


def test_experiments_stand_side_by_side_in_the_file_asked_for(dae: Dae, done: Path) -> None:
    one = dae("filters", "tiny/rect-0", "--tiles", "2x10", "--out", "pictures/one.png")
    both = dae("filters", "tiny/rect-0", "tiny/rect-25", "--tiles", "2x10", "--out", "both.png")
    assert (one.out, both.out) == ("pictures/one.png\n", "both.png\n")
    with Image.open("both.png") as pair, Image.open("pictures/one.png") as single:
        assert pair.width > 1.7 * single.width
        assert len(pair.info["Runs"].split(", ")) == 2


def test_higher_layers_and_scales_have_their_own_pictures(dae: Dae, done: Path) -> None:
    ended = dae("filters", "tiny/rect-0", "--layer", "2", "--scale", "tile")
    assert ended.out.endswith("-layer2.png\n")
    assert Path(ended.out.strip()).is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tiles", "10by10"), "'10by10' is not ROWSxCOLUMNS"),
        (("--tiles", "0x3"), "'0x3' is not ROWSxCOLUMNS"),
        (("--layer", "0"), "--layer"),
        (("--layer", "3"), "--layer 3: the run has layers 1 to 2"),
        (("--out", "sheet.jpg"), "sheet.jpg: a picture is written as .png"),
        (("--scale", "own"), "--scale"),
    ],
)
def test_wrong_options_are_told_with_exit_code_2(
    dae: Dae, done: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = dae("filters", "tiny/rect-0", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_a_folder_without_a_checkpoint_is_told(dae: Dae, done: Path) -> None:
    (folder,) = (done / "runs").glob("*-25-*")
    (folder / "checkpoint.safetensors").unlink()
    ended = dae("filters", folder)
    assert (ended.code, ended.out) == (2, "")
    assert "no checkpoint here" in ended.err
