"""`dae filters`: one picture from one or several runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from dae_cli.commands.filters import panels_of
from dae_cli.pictures.filters import Panel, common_limit, lay_out_sheet
from dae_cli.study.run.filters import run_filters

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


def test_runs_that_data_and_corruption_do_not_tell_apart_have_their_names(done: Path) -> None:
    first, second = sorted((done / "runs").iterdir())
    titles = [panel.title for panel in panels_of([first, second], layer=1)]
    assert titles == ["rect, no corruption", "rect, 25 % destroyed"]
    twin = shutil.copytree(second, second.with_name("twin"))
    titles = [panel.title for panel in panels_of([first, second, twin], layer=1)]
    assert titles == [first.name, second.name, "twin"]


def test_for_print_there_are_svg_and_pdf_with_the_settings_inside(dae: Dae, done: Path) -> None:
    for name, begins in (("sheet.svg", b"<?xml"), ("sheet.pdf", b"%PDF")):
        ended = dae("filters", "tiny/rect-0", "--tiles", "2x4", "--out", name)
        assert (ended.code, ended.out) == (0, f"{name}\n")
        content = Path(name).read_bytes()
        assert content.startswith(begins)
        assert b"filters of layer 1" in content
    assert b"Tiles: 2x4" in Path("sheet.svg").read_bytes()


def test_the_strongest_units_come_first_and_a_tile_is_the_same_unit_in_every_sheet(
    dae: Dae, done: Path
) -> None:
    folders = [next((done / "runs").glob(f"*-{level}-*")) for level in ("0", "25")]
    plain = dae("filters", *folders, "--tiles", "1x3", "--out", "plain.png")
    ended = dae("filters", *folders, "--tiles", "1x3", "--sort", "strength", "--out", "sorted.png")
    assert (plain.code, ended.code) == (0, 0)
    weights = [run_filters(folder) for folder in folders]
    strongest = np.argsort(-np.linalg.norm(weights[0], axis=1)).tolist()[:3]
    assert strongest != [0, 1, 2]
    limit = common_limit([w[strongest] for w in weights])
    panels = [Panel(w, "title", order=strongest) for w in weights]
    drawing = lay_out_sheet(panels, limit=limit, tiles=(1, 3))
    with Image.open("sorted.png") as image:
        assert image.info["Sorted by"] == "strength"
        pixels = np.asarray(image)
    for greys, grid in zip(drawing.panels, drawing.layout.grids, strict=True):
        for place in range(3):
            left, top, _, _ = grid.box(place)
            tile = pixels[top : top + 56 : 2, left : left + 56 : 2]
            assert (tile == greys[place].reshape(28, 28)).all()


def test_units_that_are_named_are_drawn_large(dae: Dae, done: Path) -> None:
    ended = dae("filters", "tiny/rect-0", "tiny/rect-25", "--units", "4,1", "--layer", "2")
    assert (ended.code, ended.out) == (0, "zoom-side-by-side-layer2.png\n")
    with Image.open(ended.out.strip()) as image:
        assert image.info["Units"] == "4, 1"
        assert image.width > 2 * 224 and image.height > 2 * 224


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
        (("--out", "sheet.jpg"), "sheet.jpg: a picture is written as .png or .svg or .pdf"),
        (("--sort", "beauty"), "--sort"),
        (("--units", "1,1"), "'1,1' is not a list of at most 100 units, each once, such as 12,47"),
        (("--units", "a"), "'a' is not a list"),
        (("--units", ""), "'' is not a list"),
        (("--units", "-1"), "'-1' is not a list"),
        (("--units", "0,4711"), "unit 4711 of 'rect, no corruption': choose units from 0 to "),
        (("--units", "1", "--tiles", "2x2"), "leave out --tiles and --sort"),
        (("--units", "1", "--sort", "strength"), "leave out --tiles and --sort"),
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
