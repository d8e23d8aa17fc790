"""Unavailable data sets only stop their own cells, and a dry run downloads nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Ended
from tests.support.tiny import STUDY, read_csv, run_of, snapshot, write_study

Dae = Callable[..., Ended]
SEARCH = [
    {"cells": "*", "space": {"finetune.learning_rate": {"low": 0.1, "high": 2.0, "log": True}}}
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the cache, which does not exist yet."""
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def study_with(*datasets: str) -> None:
    """Write the tiny study with an additional cell for each of these data sets."""
    cells: dict[str, dict[str, Any]] = {f"{name}-x": {"dataset": name} for name in datasets}
    write_study(Path(), "tiny", cells, search=SEARCH)


@pytest.mark.parametrize(
    ("datasets", "words", "remedy"),
    [
        pytest.param(["rot"], (), "train-images-idx3-ubyte.gz", marks=pytest.mark.slow),
        (["bg-rand", "rot-bg-img"], (), "t10k-labels-idx1-ubyte.gz"),
        pytest.param(["mnist"], (), "DAE_DATA_DIR", marks=pytest.mark.slow),
        (["convex"], ("--origin", "original"), "convex.zip"),
    ],
    ids=["rot", "two of MNIST", "MNIST", "originals alone"],
)
@pytest.mark.usefixtures("cache")
def test_cells_whose_data_are_here_are_run_and_the_others_named_with_reason_and_remedy(
    dae: Dae, tiny: Path, datasets: list[str], words: tuple[str, ...], remedy: str
) -> None:
    study_with(*datasets)
    cells = [f"{name}-x" for name in datasets]
    ended = dae("replicate", "tiny", *words).failed(1)
    parts = ended.err.partition("\nnot run: ")[2]
    for part in (*cells, *datasets, remedy, "--data-dir"):
        assert part in parts, part
    assert ended.lines[-1].startswith("2 done, 0 skipped, 0 failed")
    assert [row["cell"] for row in read_csv(tiny / "runs.csv")] == ["rect-0", "rect-25"]
    assert (tiny / "REPORT.md").is_file()
    quiet = dae("replicate", "tiny", *words, "--quiet").failed(1, *cells, remedy)
    assert quiet.out == "results/tiny/REPORT.md\n"
    ended = dae("search", "tiny", *words, "--trials", "1", "--no-write").failed(1)
    assert all(part in ended.err.partition("\nnot run: ")[2] for part in (*cells, remedy))
    assert [row["cell"] for row in read_csv(tiny / "search.csv")] == ["rect-0", "rect-25"]


@pytest.mark.usefixtures("cache")
def test_rows_of_cells_whose_data_are_gone_stay_in_the_tables(
    dae: Dae, done: Path, test_data: Path
) -> None:
    if not (test_data / "mnist").is_dir():
        pytest.skip(f"no MNIST: {test_data}/mnist is not a folder")
    study_with("mnist")
    before = read_csv(done / "runs.csv")
    words = ("--origin", "original", "--data-dir", test_data / "mnist")
    dae("replicate", "tiny", *words).failed(1, "not run: rect-0, rect-25", "rectangles.zip")
    mnist, *others = read_csv(done / "runs.csv")
    assert (mnist["cell"], others) == ("mnist-x", before)


@pytest.mark.usefixtures("cache", "tiny")
def test_nothing_is_run_if_no_data_are_available_or_a_file_is_bad(dae: Dae) -> None:
    study_with("rot", "mnist")
    only = ("--only", "rot-x", "--only", "mnist-x")
    for command in ("replicate", "search"):
        dae(command, "tiny", *only).failed(1, "MNIST not found", "--data-dir")
        assert not Path("results").exists()
    Path("mine").mkdir()
    Path("mine/rot.npz").write_bytes(b"no archive")
    dae("replicate", "tiny", "--data-dir", "mine").failed(2, "mine/rot.npz")
    Path("mine/mnist.npz").write_bytes(b"no archive")
    dae("replicate", "tiny", "--data-dir", "mine").failed(2, "mine/mnist.npz", "train-images-idx3")
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("dataset", "words", "parts"),
    [
        ("rot", (), ("downloaded", "regenerated from MNIST", "MNIST would be downloaded")),
        ("convex", (), ("downloaded", "regenerated")),
        ("rect-img", ("--origin", "original"), ("downloaded",)),
        ("bg-img", ("--origin", "regenerated"), ("regenerated from MNIST", "downloaded")),
        ("mnist", (), ("would be downloaded",)),
    ],
)
def test_a_dry_run_says_what_would_be_fetched_or_regenerated_and_does_nothing(
    dae: Dae, tiny: Path, cache: Path, dataset: str, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    study_with(dataset)
    before = snapshot(Path())
    for command in ("replicate", "search"):
        ended = dae(command, "tiny", "--dry-run", *words).succeeded()
        (line,) = [one for one in ended.lines if one.startswith(f"{dataset}-x ")]
        assert dataset in line
        (note,) = [one for one in ended.err.splitlines() if one.startswith(f"{dataset}")]
        assert all(part in note for part in parts), note
        assert "127.0.0.1" not in ended.err  # no host was contacted
    assert snapshot(Path()) == before
    assert not cache.exists() and not tiny.exists()


def test_a_dry_run_knows_the_runs_of_files_that_were_not_read_yet(
    dae: Dae, done: Path, cache: Path
) -> None:
    ended = dae("replicate", "tiny", "--dry-run").succeeded()
    assert [line.split()[1:3] for line in ended.lines[1:-1]] == [
        [run_of(done, cell).name, "done"] for cell in ("rect-0", "rect-25")
    ]
    assert not cache.exists()
    dae("data", "make", "rect").succeeded()
    (entry,) = cache.glob("rect-regenerated-*.npz")
    entry.write_bytes(entry.read_bytes()[:-9])
    before = snapshot(cache)
    words = ("replicate", "tiny", "--dry-run", "--out", "other")
    regenerated = dae(*words, "--origin", "regenerated").succeeded()
    assert "would be regenerated" in regenerated.err
    assert snapshot(cache) == before
    names = [line.split()[1] for line in regenerated.lines[1:3]]
    dae("replicate", "tiny", "--origin", "regenerated", "--out", "other").succeeded()
    assert {row["run"] for row in read_csv(Path("other/runs.csv"))} == set(names)


@pytest.mark.usefixtures("cache", "tiny")
def test_a_dry_run_refuses_files_that_the_run_would_refuse(dae: Dae) -> None:
    assert "subset" in STUDY["shared"]
    Path("mine").mkdir()
    Path("mine/rect.npz").write_bytes(b"no archive")
    for command in ("replicate", "search"):
        study_with()
        dae(command, "tiny", "--dry-run", "--data-dir", "mine").failed(2, "mine/rect.npz")
    for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"):
        Path("mine", name).write_bytes(b"")
    study_with("mnist")
    words = ("--only", "mnist-x", "--data-dir", "mine")
    dae("replicate", "tiny", "--dry-run", *words).failed(2, "train-images-idx3-ubyte")
