"""MNIST as a data set, and the layouts in which unpackers leave its files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import Ended
from tests.support.sheets import pixels, tiles_in
from tests.support.tiny import STUDY, read_csv, write_study, write_yaml

Dae = Callable[..., Ended]
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CONTENT = "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"


@pytest.fixture
def mnist(test_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the four genuine files, set as DAE_DATA_DIR."""
    if not (test_data / "mnist").is_dir():
        pytest.skip(f"no MNIST: {test_data}/mnist is not a folder")
    monkeypatch.setenv("DAE_DATA_DIR", str(test_data / "mnist"))
    return test_data / "mnist"


def test_a_network_on_mnist_is_trained_evaluated_and_drawn_like_any_other(
    dae: Dae, mnist: Path
) -> None:
    whole = {key: value for key, value in STUDY["shared"].items() if key != "subset"}
    small = {"model": {"hidden": [2]}, "finetune": {**whole["finetune"], "max_epochs": 1}}
    write_yaml(Path("own.yaml"), whole | small | {"dataset": "mnist"})
    assert "dataset: mnist" in dae("show", "own.yaml").succeeded().out
    words = ("--set", "pretrain.epochs=1", "--set", "finetune.batch_size=1000")
    run = dae("train", "own.yaml", *words, "--quiet").succeeded().lines[-1]
    assert run.startswith("results/single/runs/mnist-saa1-0-s0-")
    for split, n in (("train", 50_000), ("valid", 10_000), ("test", 10_000)):
        (row,) = dae("evaluate", run, "--split", split, "--format", "json").succeeded().json
        assert (row["n_rows"], row["data_origin"]) == (n, "original")
    dae("filters", run, "--out", "own.png").succeeded()
    assert Path("own.png").stat().st_size > 0


def test_mnist_is_a_cell_of_a_study_beside_others_without_a_published_number(
    dae: Dae, mnist: Path, tiny_data: Path
) -> None:
    Path("data").mkdir()
    for path in (*mnist.iterdir(), tiny_data / "rect.npz"):
        Path("data", path.name).symlink_to(path)
    svm = {"kernel": "rbf", "gammas": [0.01], "penalties": [10.0], "refine": False}
    cells: dict[str, dict[str, Any]] = {
        "mnist-25": {"dataset": "mnist", "corruption": {"destruction": 0.25}},
        "mnist-svm": {"dataset": "mnist", "svm": svm},
        "rect-0": {"dataset": "rect"},
    }
    shared = STUDY["shared"] | {"model": {"hidden": [5, 5, 5]}}
    write_study(Path.cwd(), "own", cells, shared=shared, reference="model")
    words = ("--data-dir", "data")
    dae("replicate", "own", *words).succeeded()
    report = Path("results/own/REPORT.md").read_text(encoding="utf-8")
    claims = report.partition("## Which of the paper's claims")[2].partition("\n## Our results")[0]
    assert claims and "mnist" not in claims, "the paper says nothing of MNIST"
    rows = {row["cell"]: row for row in read_csv(Path("results/own/runs.csv"))}
    assert list(rows) == list(cells)
    for name in ("mnist-25", "mnist-svm"):
        assert (rows[name]["data_origin"], rows[name]["data_sha256"]) == ("original", CONTENT)
        assert (rows[name]["n_test"], rows[name]["paper_error_percent"]) == ("400", "")
    table = {row["cell"]: row["verdict"] for row in read_csv(Path("results/own/table.csv"))}
    assert table["mnist-25"] == table["mnist-svm"] == "no reference"
    dae("verify", "own", *words).succeeded()
    dae("replicate", "own", *words, "--origin", "regenerated").failed(2, "mnist", "--origin")


def test_the_rows_of_mnists_validation_are_the_last_10_000_of_its_training_file(
    dae: Dae, mnist: Path
) -> None:
    images = np.frombuffer(unpacked(mnist, "train-images-idx3-ubyte")[16:], np.uint8)
    test = np.frombuffer(unpacked(mnist, "t10k-images-idx3-ubyte")[16:], np.uint8)
    for split, first in (("train", images), ("valid", images[50_000 * 784 :]), ("test", test)):
        words = ("--split", split, "--tiles", "1x1", "--out", f"{split}.png")
        dae("data", "show", "mnist", *words).succeeded()
        tiles_in(pixels(f"{split}.png"), [first[:784].reshape(28, 28)])


# Possible paths of the file N; D is its name with a dot before idx. The last path is read.
LAYOUTS = {
    "a folder next to the file": ("N/N", "D"),
    "a folder with the dotted file": ("N/D",),
    "a folder named like the archive": ("N.gz/N",),
    "a folder with the packed file": ("D/N.gz",),
    "packed and unpacked together": ("N", "N.gz"),
    "a folder named like the archive, and the file": ("N.gz/N.gz", "N"),
    "folders within a folder": ("mnist/N/N",),
    "torchvision's folder itself": ("raw/N", "raw/N.gz"),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_mnist_is_read_as_unpackers_leave_it(dae: Dae, layout: tuple[str, ...]) -> None:
    def places(name: str) -> list[Path]:
        dotted = name.replace("-idx", ".idx")
        return [Path("mine", where.replace("N", name).replace("D", dotted)) for where in layout]

    for name in NAMES:
        for path in places(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
    words = ("data", "list", "mnist", "--format", "json", "--data-dir", "mine")
    ((copy, *_),) = [listed["copies"] for listed in dae(*words).succeeded().json]
    assert copy["paths"] == [str(places(name)[-1]) for name in NAMES]
    assert copy["place"] == "yours"


def test_mnist_with_folders_beside_its_files_gives_its_content(dae: Dae, mnist: Path) -> None:
    for name in NAMES:
        Path("mine", name).mkdir(parents=True)
        (path := Path("mine", name.replace("-idx", ".idx"))).write_bytes(unpacked(mnist, name))
        Path("mine", name, name).symlink_to(path.resolve())
    words = ("data", "fetch", "mnist", "--data-dir", "mine", "--format", "json")
    (fetched,) = dae(*words).succeeded().json
    assert fetched["sha256"] == CONTENT
    (path := Path("mine", NAMES[2].replace("-idx", ".idx"))).unlink()
    Path("mine", NAMES[2], NAMES[2]).unlink()
    dae(*words).failed(2, f"mine/{NAMES[2]}", "folder", "expected")
    path.mkdir()
    dae(*words).failed(2, f"mine/{NAMES[2]}", "folder", "expected")


def unpacked(folder: Path, name: str) -> bytes:
    """Return the decompressed bytes of one of the four files."""
    return gzip.decompress((folder / f"{name}.gz").read_bytes())


# Possible spellings of the names.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "capitals": lambda name: f"{name.upper()}.GZ",
    "underscores": lambda name: f"{name.replace('-', '_')}.gz",
    "spaces, and a folder": lambda name: f"Mnist/{name.replace('-', ' ').title()}",
    "torchvision's, small": lambda name: f"mnist/Raw/{name}",
    "folders": lambda name: f"{name.upper()}/{name.replace('-', '_')}",
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_mnist_is_found_whatever_its_capitals_and_separators(
    dae: Dae, spelled: Callable[[str], str]
) -> None:
    paths = [Path("mine", spelled(name)) for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    words = ("data", "list", "mnist", "--format", "json", "--data-dir", "mine")
    ((copy, *_),) = [listed["copies"] for listed in dae(*words).succeeded().json]
    assert copy["paths"] == [str(path) for path in paths]
    twin = paths[0].with_name(paths[0].name.swapcase())
    twin.write_bytes(b"x")
    if twin.name not in (f"{NAMES[0]}.gz", NAMES[0]) and paths[0].name != NAMES[0]:
        dae(*words).failed(2, "mine", paths[0].name, twin.name, NAMES[0])


@pytest.mark.parametrize(
    "name",
    [
        *("mnist.npz", "MNIST.pkl.gz", "mnist (1).npz", "mnist/mnist.h5", "Mnist.tar.gz"),
        *("train-images-idx3-ubyte (1).gz", "t10k_labels.idx1-ubyte copy", f"{NAMES[1]}.gz.part"),
        f"{NAMES[3]}.zip",
    ],
)
def test_what_can_only_be_meant_as_mnist_is_refused_where_mnist_is_asked_for(
    dae: Dae, tiny_data: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))  # so that rot is not cached
    path = Path("mine", name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    words = ("--data-dir", "mine")
    for command in (("fetch", "mnist"), ("make", "rot")):
        dae("data", *command, *words).failed(2, str(path), "meant as MNIST", *NAMES)
    Path("mine", "rect.npz").symlink_to(tiny_data / "rect.npz")
    assert "mine/rect.npz" in dae("data", "fetch", "rect", *words).succeeded().out


@pytest.mark.parametrize(
    "name", ["mnist.zip", "mnist (1).zip", "mnist/a.txt", "mnist.md", "train.gz"]
)
def test_files_that_may_be_something_else_are_listed_with_the_expected_files(
    dae: Dae, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    Path("mine", name).parent.mkdir(parents=True)
    Path("mine", name).write_bytes(b"x")
    ended = dae("data", "fetch", "mnist", "--data-dir", "mine")
    ended.failed(1, "looked for", *NAMES, f"found {name.partition('/')[0]}")
