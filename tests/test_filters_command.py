"""`dae filters`: the positions and greys of units, read back from the pictures."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.support.commands import Ended
from tests.support.sheets import (
    BACKGROUND,
    MID_GREY,
    Greys,
    enlarged,
    first_row,
    greys_of,
    in_rows,
    limit_of,
    pixels,
    places,
    texts_of,
    tiles_in,
)
from tests.support.tiny import write_other_rect

Dae = Callable[..., Ended]
Weights = NDArray[np.float32]


@pytest.fixture
def runs(done: Path) -> list[Path]:
    """Two finished runs, at 0 and 25 % destruction, with known pretrained weights."""
    found = [next((done / "runs").glob(f"*-{level}-*")) for level in (0, 25)]
    for seed, run in enumerate(found):
        plant(run, **{"pretrained.1.weight": random_weights(12, seed)})
    return found


def plant(run: Path, **tensors: Weights) -> None:
    """Replace the learned weights in a run's checkpoint."""
    path = run / "checkpoint.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file({**load_file(path), **tensors}, path, metadata)


def random_weights(units: int, seed: int, inputs: int = 784) -> Weights:
    """Random weights, different for each unit and of similar strength."""
    return np.random.default_rng(seed).normal(0, 0.5, (units, inputs)).astype(np.float32)


def svg_texts(path: str) -> set[str]:
    """The texts of an SVG; they are text elements, not outlines."""
    root = ElementTree.parse(path).getroot()
    return {element.text or "" for element in root.iter() if element.tag.endswith("}text")}


def svg_images(path: str) -> list[Greys]:
    """The images embedded in an SVG."""
    found = []
    for element in ElementTree.parse(path).iter():
        link = element.attrib.get("{http://www.w3.org/1999/xlink}href", "#")
        assert link.startswith(("data:image/png;base64,", "#"))
        if link.startswith("data:"):
            with Image.open(BytesIO(base64.b64decode(link.partition(",")[2]))) as image:
                found.append(np.asarray(image.convert("L")))
    return found


# Positions and greys of units


def test_tile_i_is_unit_i_row_by_row_and_the_rest_is_blank(dae: Dae, runs: list[Path]) -> None:
    weights = random_weights(12, 0)
    ended = dae("filters", runs[0]).succeeded()
    assert ended.out == f"filters-{runs[0].name}.png\n"
    picture = pixels(ended.out.strip())
    found = tiles_in(picture, [greys_of(row, limit_of(weights)) for row in weights])
    assert in_rows(found, 10)
    # The positions of units 12 to 19 show the background.
    (top, left), (_, right) = found[11], found[9]
    assert (picture[top : top + 56, left + 56 : right + 56] == BACKGROUND).all()
    assert texts_of(ended.out.strip()) == {
        "Title": "filters of layer 1",
        "Runs": runs[0].name,
        "Grey scale": "shared",
        "Tiles": "10x10",
        "Sorted by": "unit",
    }


def test_as_many_tiles_as_are_asked_for_show_the_first_units(dae: Dae, runs: list[Path]) -> None:
    for tiles, units, columns in (("2x3", 6, 3), ("2×3", 6, 3), ("1x1", 1, 1)):
        dae("filters", runs[0], "--tiles", tiles, "--out", "new/few.PNG").succeeded()
        weights = random_weights(12, 0)[:units]
        # Units that are not shown do not affect the grey scale.
        shown = [greys_of(row, limit_of(weights)) for row in weights]
        assert in_rows(tiles_in(pixels("new/few.PNG"), shown), columns)


def test_mid_grey_is_a_weight_of_0_and_beyond_the_limits_is_black_and_white(
    dae: Dae, runs: list[Path]
) -> None:
    signs = np.tile(np.array([1, -1, 0.5, -0.5], np.float32), (12, 196))
    signs[0] = 0.0
    signs[3] *= 0.1
    signs[5, :2] = 40, -40  # too few to affect the limit
    plant(runs[0], **{"pretrained.1.weight": signs})
    dae("filters", runs[0], "--out", "shared.png").succeeded()
    dae("filters", runs[0], "--scale", "tile", "--out", "tile.png").succeeded()
    shared, own = pixels("shared.png"), pixels("tile.png")
    # Units 1, 2 and 4 have the same greys.
    (top, left), (_, next_left) = places(shared, enlarged(greys_of(signs[1], 1.0), 2))[:2]

    def tile(picture: Greys, unit: int) -> list[int]:
        at = left + (unit - 1) * (next_left - left)
        return [int(grey) for grey in picture[top : top + 56 : 2, at : at + 56 : 2].ravel()]

    assert tile(shared, 0) == tile(own, 0) == [MID_GREY] * 784
    assert tile(shared, 1)[:4] == [255, 0, 191, 64]
    assert tile(shared, 3)[:4] == [140, 115, 134, 121]
    assert tile(shared, 5)[:4] == [255, 0, 191, 64]
    assert tile(own, 1)[:4] == tile(own, 3)[:4] == [255, 0, 191, 64]
    assert tile(own, 5)[:4] == [255, 0, 129, 126]
    assert texts_of("tile.png")["Grey scale"] == "tile"


def test_a_sheet_for_a_slide_has_the_width_and_theme_asked_for_and_the_same_greys_in_its_tiles(
    dae: Dae, runs: list[Path]
) -> None:
    weights = random_weights(12, 0)
    shown = [greys_of(row, limit_of(weights)) for row in weights]
    slide = ("--tiles", "3x4", "--width", "1000")
    dae("filters", runs[0], *slide, "--theme", "dark", "--out", "dark.png").succeeded()
    dae("filters", runs[0], *slide, "--out", "light.png").succeeded()
    dark, light = pixels("dark.png"), pixels("light.png")
    assert dark.shape == light.shape
    assert dark.shape[1] == 1000
    # At most eight pixels per weight fit: 4 · 28 · 9 is more than 1000.
    found = tiles_in(dark, shown, times=8)
    assert found == tiles_in(light, shown, times=8)
    assert in_rows(found, 4)
    assert light[0, 0] == BACKGROUND
    assert dark[0, 0] < 40
    # Everything except tiles, the grey scale and letters is background.
    assert np.mean(dark == dark[0, 0]) == pytest.approx(np.mean(light == light[0, 0]), abs=0.01)
    dae("filters", runs[0], *slide, "--theme", "dark", "--out", "dark.svg").succeeded()
    assert ElementTree.parse("dark.svg").getroot().attrib["width"] == "750pt"  # 96 pixels per inch


@pytest.mark.parametrize(("width", "side"), [(1280, 39), (1920, 56), (2400, 75)])
def test_thirty_tiles_side_by_side_fill_the_width_of_a_slide_with_the_greys_of_the_weights(
    dae: Dae, runs: list[Path], width: int, side: int
) -> None:
    slide = ("--tiles", "1x15", "--width", str(width), "--out", "slide.png")
    dae("filters", *runs, *slide).succeeded()
    picture = pixels("slide.png")
    assert picture.shape[1] == width
    layers = [random_weights(12, 0), random_weights(12, 1)]
    nearest = np.arange(side) * 28 // side
    for own in layers:
        shown = [greys_of(row, limit_of(*layers))[nearest][:, nearest] for row in own]
        assert in_rows(tiles_in(picture, shown, times=1), 12)


def test_tiles_that_do_not_fit_the_width_are_refused(dae: Dae, runs: list[Path]) -> None:
    ended = dae("filters", *runs, "--width", "300").failed(2)
    assert "2 x 10 tiles" in ended.err and "656 pixels" in ended.err
    assert "larger width or fewer tiles" in ended.err
    assert not list(Path().glob("*.png"))


def test_runs_stand_side_by_side_on_one_grey_scale_with_the_same_unit_at_the_same_place(
    dae: Dae, runs: list[Path]
) -> None:
    plant(runs[1], **{"pretrained.1.weight": 3 * random_weights(12, 1)})
    ended = dae("filters", "tiny/rect-0", "tiny/rect-25", "--tiles", "2x4").succeeded()
    assert ended.out == "filters-side-by-side.png\n"
    shown = [random_weights(12, 0)[:8], 3 * random_weights(12, 1)[:8]]
    picture = pixels(ended.out.strip())
    first, second = (
        tiles_in(picture, [greys_of(row, limit_of(*shown)) for row in weights]) for weights in shown
    )
    assert in_rows(first, 4)
    (shift,) = {(b[0] - a[0], b[1] - a[1]) for a, b in zip(first, second, strict=True)}
    assert shift[0] == 0
    assert shift[1] > first[3][1] - first[0][1] + 56
    assert texts_of(ended.out.strip())["Runs"] == f"{runs[0].name}, {runs[1].name}"


def test_sheets_of_sets_that_are_stored_transposed_are_shown_upright(
    dae: Dae, runs: list[Path]
) -> None:
    config, weights = runs[0] / "config.yaml", random_weights(1, 0)
    tile = greys_of(weights, limit_of(weights))
    for dataset in ("rot", "bg-rand", "bg-img", "rot-bg-img", "basic", "convex", "rect-img"):
        config.write_text(re.sub(r"dataset: \S+", f"dataset: {dataset}", config.read_text()))
        dae("filters", runs[0], "--tiles", "1x1", "--out", "one.png").succeeded()
        turned = dataset.startswith(("rot", "bg"))
        tiles_in(pixels("one.png"), [tile.T if turned else tile])


def test_units_of_higher_layers_are_shown_through_the_weights_below(
    dae: Dae, runs: list[Path]
) -> None:
    below = np.rint(8 * random_weights(12, 0))  # integers, so that sums are exact
    above = np.rint(4 * random_weights(10, 7, 12))
    plant(runs[0], **{"pretrained.1.weight": below, "pretrained.2.weight": above})
    ended = dae("filters", runs[0], "--layer", "2").succeeded()
    assert ended.out == f"filters-{runs[0].name}-layer2.png\n"
    product = above @ below
    tiles = [greys_of(row, limit_of(product)) for row in product]
    assert in_rows(tiles_in(pixels(ended.out.strip()), tiles), 10)
    assert texts_of(ended.out.strip())["Title"] == "filters of layer 2"
    dae("filters", runs[0], "--layer", "3").failed(2, "--layer", "3", "1", "2")
    dae("filters", runs[0], "--layer", "0").failed(2, "--layer")


# Order and choice of units


def test_by_strength_the_largest_norm_of_the_first_run_comes_first_in_every_sheet(
    dae: Dae, runs: list[Path]
) -> None:
    factors = np.array([3, 1, 7, 4, 4, 2, 5, 6, 0.5, 0, 8, 9], np.float32)
    signs = np.where(random_weights(12, 5) > 0, 1, -1).astype(np.float32)
    first, second = signs * factors[:, None], random_weights(12, 1)
    for run, weights in zip(runs, (first, second), strict=True):
        plant(run, **{"pretrained.1.weight": weights})
    order = [11, 10, 2, 7, 6, 3, 4, 0, 5, 1, 8, 9]  # ties: the lower unit first
    dae("filters", *runs, "--sort", "strength", "--out", "sorted.png").succeeded()
    picture, limit = pixels("sorted.png"), limit_of(first, second)
    for weights in (first[order[:-1]], second[order]):
        assert in_rows(tiles_in(picture, [greys_of(row, limit) for row in weights]), 10)
    dae("filters", runs[0], "--sort", "strength", "--tiles", "1x2", "--out", "few.svg").succeeded()
    assert {"11", "10"} <= svg_texts("few.svg")  # each tile has its unit's number below it
    plant(runs[1], **{"pretrained.1.weight": random_weights(5, 1)})
    dae("filters", *runs, "--sort", "strength").failed(2, "--sort", "12", "5")


def test_units_that_are_named_are_drawn_large_a_row_for_each_a_column_for_each_run(
    dae: Dae, runs: list[Path]
) -> None:
    ended = dae("filters", *runs, "--units", "4, 1").succeeded()
    assert ended.out == "zoom-side-by-side.png\n"
    shown = [random_weights(12, seed)[[4, 1]] for seed in (0, 1)]
    tiles = [greys_of(weights[row], limit_of(*shown)) for row in (0, 1) for weights in shown]
    assert in_rows(tiles_in(pixels(ended.out.strip()), tiles, 8), 2)
    texts = texts_of(ended.out.strip())
    assert texts["Units"] == "4, 1"
    assert "Tiles" not in texts
    layer = dae("filters", runs[0], "--units", "9", "--layer", "2").succeeded()
    assert layer.out == f"zoom-{runs[0].name}-layer2.png\n"


# Texts, SVG and PDF


def test_titles_tell_data_and_corruption_and_runs_where_these_do_not_tell_all_apart(
    dae: Dae, runs: list[Path]
) -> None:
    dae("filters", *runs, "--out", "two.svg").succeeded()
    texts = svg_texts("two.svg")
    assert {"rect, no corruption", "rect, 25 % destroyed"} <= texts
    # The number left of a row plus the number above a column is the unit's number.
    assert {"0", "10", *(f"+{column}" for column in range(10))} <= texts
    assert "20" not in texts
    twin = shutil.copytree(runs[1], runs[1].with_name("twin"))
    dae("filters", *runs, twin, "--out", "three.svg").succeeded()
    assert {runs[0].name, runs[1].name, "twin"} <= svg_texts("three.svg")
    # An unusual name gives valid XML without formulas or warnings about missing letters.
    odd = twin.rename(twin.with_name("a\x1b[31m--><x>&$x_1$\u6f22"))
    dae("filters", odd, odd, "--tiles", "1x2", "--out", "odd.svg").succeeded()
    (words,) = [e.text or "" for e in ElementTree.parse("odd.svg").iter() if "}desc" in e.tag]
    assert "Runs: a?[31m--><x>&$x_1$\u6f22" in words
    assert "$x_1$\u6f22" in "".join(svg_texts("odd.svg"))


def test_runs_with_the_same_corruption_are_titled_by_what_differs(
    dae: Dae, runs: list[Path]
) -> None:
    seed = dae("train", "tiny/rect-25", "--seed", "1", "-q").succeeded().lines[0]
    short = dae("train", "tiny/rect-25", "--set", "pretrain.epochs=1", "-q").succeeded().lines[0]
    dae("filters", *runs, seed, "--out", "seeds.svg").succeeded()
    titles = {"rect, no corruption", *(f"rect, 25 % destroyed, seed {k}" for k in (0, 1))}
    assert titles <= svg_texts("seeds.svg")
    dae("filters", seed, short, "--out", "both.svg").succeeded()
    texts = " ".join(svg_texts("both.svg"))
    assert "epochs 2" in texts and "epochs 1" in texts and "seed 1" in texts
    assert not {run.rpartition("/")[2] for run in (seed, short)} & svg_texts("both.svg")


def test_an_svg_and_a_pdf_hold_the_same_tiles_the_settings_and_text(
    dae: Dae, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    weights = random_weights(12, 0)
    for ending in ("svg", "pdf"):
        words = ("filters", runs[0], "--tiles", "3x4", "--out")
        dae(*words, f"a.{ending}").succeeded()
        # Neither the user's style nor the time changes the files.
        with mpl.rc_context({"svg.image_inline": False, "savefig.bbox": "tight", "font.size": 30}):
            monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
            dae(*words, f"b.{ending}").succeeded()
        monkeypatch.delenv("SOURCE_DATE_EPOCH")
        assert Path(f"a.{ending}").read_bytes() == Path(f"b.{ending}").read_bytes()
    (sheet, *_) = svg_images("a.svg")
    # At least eight pixels per weight keep edges sharp in viewers that smooth.
    tiles = [greys_of(row, limit_of(weights)) for row in weights]
    assert in_rows(tiles_in(sheet, tiles, 8), 4)
    root = ElementTree.parse("a.svg").getroot()
    image = next(element for element in root.iter() if element.tag.endswith("}image"))
    across, _, _, down, *_ = re.findall(r"[\d.]+", image.attrib["transform"])
    assert across == down  # pixels are square
    texts = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    assert texts["title"] == "filters of layer 1"
    assert texts["description"] == "\n".join(
        [f"Runs: {runs[0].name}", "Grey scale: shared", "Tiles: 3x4", "Sorted by: unit"]
    )
    pdf = Path("a.pdf").read_bytes()
    for part in (b"%PDF", b"/Title (filters of layer 1)", b"Tiles: 3x4", b"/FontFile2"):
        assert part in pdf
    assert b"/Interpolate" not in pdf
    assert b"image-rendering:pixelated" in Path("a.svg").read_bytes()


# Animations


def test_learning_is_animated_from_the_initial_weights_to_those_of_the_run(
    dae: Dae, tiny: Path
) -> None:
    name = "learning.gif"
    folders = [
        dae("train", "tiny/rect-25", *more).succeeded().lines[-1]
        for more in (("--set", "pretrain.learning_rate=1e-20"), ())
    ]
    weights = [load_file(Path(run) / "checkpoint.safetensors") for run in folders]
    initial, learned = (one["pretrained.1.weight"] for one in weights)
    ended = dae("filters", folders[1], "--animate", name, "--tiles", "1x10").succeeded()
    assert ended.out == f"{name}\n"
    with Image.open(name) as image:
        assert image.format == "GIF"
        assert image.info["loop"] == 0  # repeats endlessly
        comment = image.info["comment"].decode()
        frames, durations = [], []
        # Ten steps and the initial weights are shown; GIF may merge identical frames.
        for place in range(getattr(image, "n_frames", 1)):
            image.seek(place)
            image.load()
            durations.append(int(image.info["duration"]))
            colours = np.asarray(image.convert("RGB"))
            assert (colours == colours[..., :1]).all()
            frames.append(colours[..., 0])
    assert f"Experiment: {folders[1]}" in comment
    assert re.search(r"Engine: \w+", comment)
    assert durations == [500] * 10 + [3000]
    for frame, expected in ((frames[0], initial), (frames[-1], learned)):
        for row, tile in zip(expected[:10], first_row(frame), strict=True):
            assert np.corrcoef(tile.ravel(), row)[0, 1] > 0.999
    for first, row in zip(initial, learned, strict=True):
        assert np.corrcoef(first, row)[0, 1] < 0.99  # the weights changed in training


def test_a_run_is_not_animated_on_other_data_than_its_own(
    dae: Dae, done: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run, _) = (done / "runs").iterdir()
    other = write_other_rect(Path("other"), tiny_data / "rect.npz")
    monkeypatch.setenv("DAE_DATA_DIR", str(other))
    monkeypatch.setenv("HOME", str(done.absolute()))
    for source in (str(run), f"~/runs/{run.name}"):
        refused = dae("filters", source, "--animate", "x.gif").failed(2, source, "--data-dir")
        assert "other/rect.npz" in refused.message
    assert not Path("x.gif").exists()


def test_what_cannot_be_animated_is_refused(dae: Dae, done: Path) -> None:
    for words, parts in (
        (("tiny/rect-0", "--animate", "x.png"), ("x.png", ".gif")),
        (("tiny/rect-0", "--animate", "x.webp"), ("x.webp", ".gif", "x.gif")),
        (("tiny/rect-0", "--animate", "x.gif", "--units", "1"), ("--animate", "--units")),
        (("tiny/rect-0", "--animate", "x.gif", "--layer", "2"), ("--animate", "--layer")),
        (("tiny/rect-0", "--animate", "x.gif", "--out", "y.gif"), ("--animate", "--out")),
        (("tiny/rect-0", "tiny/rect-25", "--animate", "x.gif"), ("--animate",)),
        (("tiny/nosuch", "--animate", "x.gif"), ("nosuch",)),
    ):
        dae("filters", *words).failed(2, *parts)
    config = Path("experiments/tiny/rect-0.yaml")
    config.write_text("pretrain: {epochs: 0}\n")
    dae("filters", "tiny/rect-0", "--animate", "x.gif").failed(2, "pretrain.epochs", "0")
    config.write_text("svm: {kernel: rbf}\n")
    dae("filters", "tiny/rect-0", "--animate", "x.gif").failed(2, "tiny/rect-0", "SVM")
    assert not list(Path.cwd().glob("[xy].*"))


# Errors


def test_wrong_options_are_reported_with_exit_code_2(dae: Dae, done: Path) -> None:
    for words, parts in (
        (("--tiles", "10by10"), ("--tiles", "10by10")),
        (("--tiles", "0x3"), ("--tiles", "0x3")),
        (("--tiles", "3x0"), ("--tiles", "3x0")),
        (("--tiles", "101x1"), ("--tiles", "101x1")),
        (("--out", "sheet.jpg"), ("sheet.jpg", ".png", ".svg", ".pdf", "sheet.png")),
        (("--out", "sheet"), ("sheet", ".png")),
        (("--sort", "beauty"), ("--sort", "beauty")),
        (("--scale", "own"), ("--scale", "own")),
        (("--units", "1,1"), ("--units", "1,1")),
        (("--units", "a"), ("--units", "'a'")),
        (("--units", "-1"), ("--units", "-1")),
        (("--units", "0,12"), ("unit 12", "rect, no corruption", "0", "11")),
        (("--units", "1", "--tiles", "2x2"), ("--units", "--tiles")),
        (("--units", "1", "--sort", "strength"), ("--units", "--sort")),
    ):
        assert dae("filters", "tiny/rect-0", *words).failed(2, *parts).out == ""
    assert not list(Path.cwd().glob("*.*"))


def test_runs_without_finite_filters_are_reported(dae: Dae, runs: list[Path]) -> None:
    weights = random_weights(12, 0)
    weights[7, 3] = np.nan
    plant(runs[0], **{"pretrained.1.weight": weights})
    for words in ((), ("--sort", "strength")):
        dae("filters", runs[0], *words).failed(1, "unit 7", "learning rate")
    dae("filters", runs[0], "--units", "2,7").failed(1, "unit", "learning rate")
    checkpoint = runs[1] / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    dae("filters", runs[1]).failed(2, "checkpoint.safetensors")
    checkpoint.unlink()
    dae("filters", runs[1]).failed(2, runs[1].name)
    Path("empty").mkdir()
    dae("filters", "empty").failed(2, "empty", "config.yaml")
    dae("filters", runs[1].with_name("nosuch")).failed(2, "nosuch")
    dae("filters", "tiny/rect-50").failed(2, "rect-50")
    assert not list(Path.cwd().glob("*.png"))
    dae("filters", runs[0], "--units", "2,6").succeeded()


def test_without_its_run_folder_a_cell_is_reported_with_the_folders_of_drawn_filters(
    dae: Dae, tiny: Path
) -> None:
    sheets = Path("results/filters-mnist/filters")
    assert str(sheets) not in dae("filters", "filters-mnist/mnist-0").failed(2, "dae train").err
    sheets.mkdir(parents=True)
    dae("filters", "filters-mnist/mnist-0").failed(2, "not in git", str(sheets))
