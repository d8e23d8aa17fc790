"""`dae new`: from a user's file to a study that runs at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.support.commands import Ended
from tests.support.own_files import COLUMNS, blobs, images, table
from tests.support.tiny import read_csv

Dae = Callable[..., Ended]
CELLS = ["nnet", "saa", "sda-25", "sda-50", "svm-rbf"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session_cache: Path) -> None:
    """Use a new cache: it finds own data by size and time, which quick changes may not alter."""
    cache = tmp_path / ".cache"
    cache.mkdir()
    (cache / "kernels").symlink_to(session_cache / "kernels")
    monkeypatch.setenv("DAE_CACHE_DIR", str(cache))


def declared(folder: str = "mine") -> dict[str, Any]:
    """The declaration in a study, without its split."""
    (path,) = Path(folder).glob("*.data.yaml")
    keys = yaml.safe_load(path.read_text())
    keys.pop("split", None)
    return keys  # type: ignore[no-any-return]


def numbers(n: int, inputs: int, high: float, *, whole: bool) -> list[list[float]]:
    """Rows of numbers from 0 to `high`; each column contains both ends."""
    values = np.random.default_rng(0).uniform(0, high, (n, inputs))
    values[0], values[1] = 0, high
    return (np.rint(values).astype(int) if whole else values).tolist()  # type: ignore[no-any-return]


def quick(folder: str) -> None:
    """Shorten the training of a study."""
    path = Path(folder, "study.yaml")
    text = re.sub(r"epochs: \d+, patience: \d+", "epochs: 3, patience: 3", path.read_text())
    path.write_text(re.sub(r" epochs: \d+", " epochs: 2", text))


def test_a_table_becomes_a_study_that_runs_and_is_reported(dae: Dae) -> None:
    """The printed commands run; commands accept the study's folder, and a cell in it."""
    table("own.csv", blobs(120), COLUMNS)
    ended = dae("new", "mine", "--data", "own.csv").succeeded()
    for part in ("84 training", "18 validation", "18 test", "4 values", "2 classes: k0, k1"):
        assert part in ended.lines[0]
    assert ended.lines[1:] == ["mine"]
    hints = ended.err.splitlines()
    commands = [re.split(r"  +", line.strip())[0] for line in hints[hints.index("next:") + 1 :]]
    codes = "dae encode mine/saa --out codes.npz"
    assert commands == ["dae replicate mine/", codes, "dae search mine/"]
    assert {file.name for file in Path("mine").iterdir()} == {
        *(f"{cell}.yaml" for cell in CELLS),
        "study.yaml",
        "own.data.yaml",
    }
    for file in Path("mine").iterdir():
        lines = file.read_text().splitlines()
        assert lines[0].startswith("# ") and max(map(len, lines)) <= 100
    assert dae("ls", "mine/").succeeded().lines[1].split()[:2] == ["mine/nnet", "none"]
    assert [line.split()[0] for line in dae("search", "mine/", "--dry-run").lines[1:5]] == CELLS[:4]
    quick("mine")
    assert "mine/REPORT.md" in dae("replicate", "mine/").succeeded().lines[-1]
    page = Path("results/mine/report.html").read_text(encoding="utf-8")
    content = page.partition("<body>")[2]
    assert "depend on each other" in content and not re.search("pixel|An example shape", content)
    rows = read_csv(Path("results/mine/runs.csv"))
    assert [row["cell"] for row in rows] == CELLS
    assert [row["model"] for row in rows] == ["NNet-2", "SAA-2", "SdA-2", "SdA-2", "SVM_rbf"]
    assert dae("report", "mine").succeeded().lines[-1] == "results/mine/REPORT.md"
    dae("verify", "mine/").succeeded()
    dae("evaluate", "mine/sda-25", "mine/saa.yaml").succeeded()
    assert dae(*codes.split()[1:]).succeeded().lines == ["codes.npz"]
    dae("show", "mine/sdb-25").failed(2, "the study mine has no cell", "mine/sda-25")
    assert dae("show", "mine/nnet").out == dae("show", "mine/nnet.yaml").out
    table("own.csv", [["", *row[1:]] for row in blobs(120)], COLUMNS)
    place = "study.yaml:8 dataset: own.data.yaml own.csv, row 1, column a: a value is missing"
    dae("show", "mine/").failed(2, "1 problem with mine", place)


@pytest.mark.parametrize(
    ("columns", "rows", "keys"),
    [
        (
            ["a", "b", "c", "y"],
            [[*row, k % 2] for k, row in enumerate(numbers(40, 3, 1, whole=False))],
            {},
        ),
        (
            ["a", "b", "c", "Target"],
            [[*row, k % 2] for k, row in enumerate(numbers(40, 3, 7.5, whole=False))],
            {"label": "Target", "scale": "minmax"},
        ),
        (
            [*(f"p{k}" for k in range(64)), "class"],
            [[*row, k % 2] for k, row in enumerate(numbers(40, 64, 16, whole=True))],
            {"label": "class", "image": [8, 8], "scale": {"from": [0, 16]}},
        ),
        (
            ["label", *(f"p{k}" for k in range(12))],
            [[k % 2, *row] for k, row in enumerate(numbers(40, 12, 250, whole=True))],
            {"label": "label", "scale": {"from": [0, 255]}},
        ),
        (  # counts of several things, with different ranges
            ["label", "age", "sons", "daughters"],
            [[k % 2, 7 * k % 40, k % 3, k % 4] for k in range(40)],
            {"label": "label", "scale": "minmax"},
        ),
        (
            ["id", "a", "b", "c", "name", "label"],
            [[k, *row, "me", k % 2] for k, row in enumerate(numbers(40, 3, 1, whole=False))],
            {"label": "label", "ignore": ["id", "name"]},
        ),
        (  # row numbers of a table that was saved with its index, under any name
            ["Unnamed: 0", "a", "b", "c", "label"],
            [[k + 1, *row, k % 2] for k, row in enumerate(numbers(40, 3, 1, whole=False))],
            {"label": "label", "ignore": ["Unnamed: 0"]},
        ),
    ],
)
def test_labels_scale_image_and_what_is_no_input_are_read_from_a_table(
    dae: Dae, columns: list[str], rows: list[list[object]], keys: dict[str, Any]
) -> None:
    """They are in the declaration, and the study can be read."""
    table("own.csv", rows, columns)
    ended = dae("new", "mine", "--data", "own.csv").succeeded()
    assert declared() == {"file": "../own.csv", "label": "y"} | keys
    assert ("left out" in ended.err) == ("ignore" in keys)
    assert dae("show", "mine/").succeeded().out.count("dataset:") == 5


def test_labels_images_and_splits_are_inferred_from_an_npz(dae: Dae) -> None:
    """The data have its name unless it is that of another set; upper and lower case are equal."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 6, 5), np.uint8)
    pixels[0, 0, 0] = 254
    arrays = {"x_train": pixels, "y_train": np.arange(40) % 4}
    np.savez(
        "mnist.npz", allow_pickle=False, **arrays, x_test=pixels[:8], y_test=np.arange(8) % 4
    )  # the keys of keras
    dae("new", "mine", "--data", "mnist.npz").succeeded()
    assert declared() == {"file": "../mnist.npz", "label": "y", "scale": {"from": [0, 255]}}
    shown = yaml.safe_load(dae("show", "mine/saa").succeeded().out)["dataset"]
    assert (shown["declared"], shown["image"]) == ("mine/my-mnist.data.yaml", [6, 5])
    assert shown["rows"] == [32, 8, 8]
    np.savez("own.npz", X=pixels.reshape(40, 30), kinds=np.arange(40) % 4)
    dae("new", "two", "--data", "own.npz").failed(2, "own.npz", "--label", "kinds", "--unlabelled")
    dae("new", "two", "--data", "own.npz", "--label", "kinds", "--image", "5x6").succeeded()
    assert declared("two")["image"] == [5, 6]


def test_a_folder_of_images_keeps_its_classes_colours_and_splits(dae: Dae) -> None:
    """Images of several sizes are resized to --image."""
    images("rgb", (4, 5, 3))
    dae("new", "mine", "--data", "rgb").succeeded()
    assert declared() == {"file": "../rgb"}
    shown = yaml.safe_load(dae("show", "mine/saa").succeeded().out)["dataset"]
    assert (shown["image"], shown["channels"], shown["classes"]) == ([4, 5], 3, ["a", "b"])
    quick("mine")
    dae("replicate", "mine/", "--only", "sda-25").succeeded()
    with Image.open("results/mine/filters/sda-25.png") as sheet:
        assert sheet.mode == "RGB"
    dae("new", "no", "--data", "rgb", "--unlabelled").failed(2, "subfolders are classes")
    Image.fromarray(np.zeros((9, 4, 3), np.uint8)).save("rgb/a/odd.png")
    dae("new", "two", "--data", "rgb").failed(2, "rgb", "4x5", "9x4 (odd.png)", "--image")
    dae("new", "two", "--data", "rgb", "--image", "4x4x3").succeeded()
    assert declared("two") == {"file": "../rgb", "image": [4, 4, 3], "resize": True}
    dae("new", "rgb/study", "--data", "rgb").failed(2, "rgb/study: is inside", "outside rgb")
    images("parts/train", (3, 3))
    images("parts/test", (3, 3), per_class=4)
    dae("new", "three", "--data", "parts").succeeded()
    shown = yaml.safe_load(dae("show", "three/saa").succeeded().out)["dataset"]
    assert (declared("three")["file"], shown["rows"]) == ("../parts/train", [28, 4, 8])


def test_a_location_that_can_move_with_the_study_is_written_relative_to_it(
    dae: Dae, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data in a sibling folder are, unless the common folder contains the home folder."""
    work = Path.cwd() / "project" / "work"
    (work.parent / "data").mkdir(parents=True)
    work.mkdir()
    table("project/data/own.csv", blobs(), COLUMNS)
    monkeypatch.chdir(work)
    words = ("--data", "../data/own.csv")
    dae("new", "mine", *words).succeeded()
    assert declared()["file"] == "../../data/own.csv"
    dae("new", str(work.parent / "other"), *words).succeeded()
    assert declared("../other")["file"] == "../data/own.csv"
    dae("show", "mine/").succeeded()
    for home in (work.parent, work.parent / "me"):
        monkeypatch.setenv("HOME", str(home))
        dae("new", home.name, *words).succeeded()
        assert declared(home.name)["file"] == str(work.parent / "data" / "own.csv")


def test_data_without_labels_become_a_study_of_autoencoders_only(dae: Dae) -> None:
    """A table of text and numbers shows its labels; for a table of numbers the user must decide."""
    table("own.csv", [row[:4] for row in blobs(30)], COLUMNS[:4])
    dae("new", "mine", "--data", "own.csv").failed(2, "own.csv", "--label", "a, b", "--unlabelled")
    ended = dae("new", "mine", "--data", "own.csv", "--unlabelled", "--image", "2x2").succeeded()
    assert "search" not in ended.out + ended.err
    quick("mine")
    dae("replicate", "mine/").succeeded()
    rows = read_csv(Path("results/mine/runs.csv"))
    assert [row["cell"] for row in rows] == ["ae", "dae-25", "dae-50"]
    assert Path("results/mine/figures/by-destruction.png").is_file()
    table("own.csv", [[k % 2, *row] for k, row in enumerate(blobs(30))], ("y", *COLUMNS))
    dae("new", "two", "--data", "own.csv", "--unlabelled").succeeded()
    assert declared("two") == {"file": "../own.csv", "ignore": ["y", "kind"]}


def test_nothing_is_overwritten_and_a_refusal_leaves_nothing(dae: Dae) -> None:
    """Exit code 2, with a remedy."""
    table("own.csv", blobs(), COLUMNS)
    Path("mine").mkdir()
    Path("mine/notes.yaml").write_text("a: 1\n")
    dae("new", "mine", "--data", "own.csv").failed(2, "mine: already has settings (notes.yaml)")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.yaml"]
    dae("new", "sub/smoke", "--data", "own.csv").failed(2, "results/smoke belongs to another")
    dae("new", "two", "--data", "no.csv").failed(2, "--data", "'no.csv' does not exist")
    dae("new", "two", "--data", "own.csv", "--image", "9").failed(2, "--image", "'9'", "28x28")
    dae("new", "two", "--data", "own.csv", "--image", "3x3").failed(
        2, "own.csv", "has 4 values", "3x3"
    )
    dae("new", "two", "--data", "own.csv", "--label", "kin").failed(2, "did you mean kind?")
    labels = ("--label", "kind", "--unlabelled")
    dae("new", "two", "--data", "own.csv", *labels).failed(2, "--label", "--unlabelled")
    table("own.csv", [[*row[:3], "", row[4]] for row in blobs()], COLUMNS)
    dae("new", "two", "--data", "own.csv").failed(2, "own.csv, row 1, column d", "fill them in")
    for name in ("own.csv", "own.tsv"):
        table(name, [["391,3948", 1, f"{k},5", k % 2] for k in range(9)], ("a", "b", "c", "kind"))
        parts = (f"{name}, row 1, column a", "391,3948", "decimal comma", "decimal point")
        dae("new", "two", "--data", name).failed(2, *parts)
    table("own.csv", [["x", *row[1:]] for row in blobs()], COLUMNS)  # text at both ends
    dae("new", "two", "--data", "own.csv").failed(2, "own.csv", "--label", "--unlabelled")
    Path("own.csv").write_text("a;b;c;d;kind\n1,5;2;3;4;k0\n")
    dae("new", "two", "--data", "own.csv").failed(2, "separated by a semicolon, expected a comma")
    table("own.csv", blobs()[1:], tuple(map(str, blobs()[0])))
    dae("new", "two", "--data", "own.csv").failed(2, "own.csv", "column names", "first row")
    table("own.csv", [[-3, -3, -3, -3, row[4]] for row in blobs()], COLUMNS)
    dae("new", "two", "--data", "own.csv", "--image", "2x2").failed(2, "every value is -3")
    np.savez("own.npz", X=np.zeros((5, 0)), y=np.arange(5))
    dae("new", "two", "--data", "own.npz").failed(2, "X is float64 of shape (5, 0)")
    Path("results/two").mkdir(parents=True)
    dae("new", "two", "--data", "own.csv").failed(2, "results/two belongs to another")
    names = {path.name for path in Path().iterdir()}
    assert names == {".cache", "mine", "own.csv", "own.tsv", "own.npz", "results"}


def test_reading_a_large_file_is_announced_once_and_never_with_quiet(dae: Dae) -> None:
    """The command that reads it first announces it."""
    table("own.csv", blobs(), COLUMNS)
    assert "reading" not in dae("new", "small", "--data", "own.csv").succeeded().err
    np.savez("own.npz", X=np.zeros((20_001, 1000), bool))
    Path("own.yaml").write_text("file: own.npz\n")
    model = "model: {hidden: [2]}\npretrain: {learning_rate: 0.1, epochs: 1}\n"
    Path("one.yaml").write_text(f"dataset: own.yaml\n{model}")
    reading = "reading own.npz (20 MB)"
    assert reading in dae("show", "one.yaml").succeeded().err
    assert reading not in dae("show", "one.yaml").succeeded().err
    Path("own.yaml").write_text("file: own.npz\nimage: [10, 100]\n")
    assert "reading" not in dae("train", "one.yaml", "-q", "--set", "rows=1").err
