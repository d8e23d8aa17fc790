"""Bars: what holds and what does not, for whole sets and for samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dae_cli.data.dataset import Dataset, Split
from dae_cli.data.registry import REGISTRY
from dae_cli.errors import DataError
from dae_cli.proof.compare import Comparison, compare
from dae_cli.proof.prove import statistics_csv
from dae_cli.proof.rows import Genuine, Rows, at_places, find_genuine


def squares(n: int, area: int) -> Dataset:
    """A made-up convex: white runs of about ``area`` pixels, labels alternating."""
    random = np.random.default_rng(area)
    lengths = random.integers(area - 15, area + 16, n)
    pixels = (np.arange(784) < lengths[:, None]).astype(np.uint8)
    split = Split(pixels, (np.arange(n) % 2).astype(np.uint8), 1.0)
    return Dataset("convex", 2, split, split, split, "regenerated", "0" * 64)


def genuine(dataset: Dataset, whole: bool) -> Genuine:
    rows = Rows(dataset.test.as_float(), dataset.test.labels, whole)
    return Genuine(rows, dataset if whole else None, ())


def verdicts(found: list[Comparison]) -> dict[str, bool | None]:
    return {f"{c.part}: {c.measure}": c.holds for c in found}


def test_areas_of_a_whole_set_may_be_off_by_a_tenth_and_no_more() -> None:
    theirs = genuine(squares(600, 300), whole=True)
    near = verdicts(compare(squares(600, 325), theirs))
    assert near["convex: white pixels, mean"] is True
    far = verdicts(compare(squares(600, 335), theirs))
    assert far["convex: white pixels, mean"] is False


def test_small_areas_of_a_whole_set_may_be_off_by_four_pixels() -> None:
    theirs = genuine(squares(600, 20), whole=True)
    assert verdicts(compare(squares(600, 23), theirs))["convex: white pixels, mean"]
    assert not verdicts(compare(squares(600, 26), theirs))["convex: white pixels, mean"]


def test_a_sample_is_given_three_of_its_standard_errors() -> None:
    theirs = genuine(squares(60, 300), whole=False)
    (mean,) = (
        c
        for c in compare(squares(600, 300), theirs)
        if (c.part, c.measure) == ("convex", "white pixels, mean")
    )
    assert mean.genuine_error is not None
    assert mean.tolerance == pytest.approx(3 * mean.genuine_error)
    assert mean.holds


def write_sample(folder: Path, **changes: np.ndarray) -> Path:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "X": random.integers(0, 2, (12, 784)).astype(np.float64),
        "y": random.integers(0, 2, 12),
        "split": np.repeat(["train", "valid", "test"], 4),
        "end": np.tile(["first", "first", "last", "last"], 3),
    }
    path = folder / "rect.npz"
    np.savez(path, allow_pickle=False, **(arrays | changes))
    return path


def test_rows_of_a_sample_are_found_at_their_places(tmp_path: Path) -> None:
    write_sample(tmp_path)
    found = find_genuine(REGISTRY["rect"], [tmp_path], lambda _: None)
    assert found is not None
    assert not found.rows.whole
    assert found.places[:4] == (("train", 0), ("train", 1), ("train", -2), ("train", -1))
    dataset = squares(50, 100)
    picked = at_places(dataset, found.places)
    np.testing.assert_array_equal(picked[3], dataset.train.as_float()[-1])
    np.testing.assert_array_equal(picked[8], dataset.test.as_float()[0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"X": np.full((12, 784), 255.0)}, "expected a grey value from 0 to 1"),
        ({"X": np.zeros((12, 700))}, r"X has shape \(12, 700\)"),
        ({"y": np.full(12, 7)}, "label 7 found"),
        ({"end": np.full(12, "middle")}, "expected train, valid, test and first or last"),
    ],
)
def test_a_sample_that_is_none_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], told: str
) -> None:
    path = write_sample(tmp_path, **changes)
    with pytest.raises(DataError, match=told) as caught:
        find_genuine(REGISTRY["rect"], [tmp_path], lambda _: None)
    assert str(path) in str(caught.value)


def test_an_npz_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "rect.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="has no X, y, split, end"):
        find_genuine(REGISTRY["rect"], [tmp_path], lambda _: None)


@pytest.mark.parametrize("damage", ["cut", "altered", "npy", "text"])
def test_a_damaged_sample_is_a_plain_error(tmp_path: Path, damage: str) -> None:
    path = write_sample(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-200])
    elif damage == "altered":
        data[len(data) // 3] ^= 0xFF
        path.write_bytes(data)
    elif damage == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    else:
        write_sample(tmp_path, X=np.full((12, 784), "a"))
    with pytest.raises(DataError, match=r"rect.npz: (damaged|X is <U1)"):
        find_genuine(REGISTRY["rect"], [tmp_path], lambda _: None)


def test_figures_of_classifiers_stay_while_the_content_is_the_same(tmp_path: Path) -> None:
    def figure(sha256: str, trained: bool = False) -> Comparison:
        return Comparison("rect", "all", "x", 1.0, None, "60", 1.0, 10, 0.5, sha256, trained)

    statistics_csv(tmp_path, [figure("a"), figure("a", trained=True)])
    assert statistics_csv(tmp_path, [figure("a")]).read_text().count("\nrect,") == 2
    assert statistics_csv(tmp_path, [figure("b")]).read_text().count("\nrect,") == 1


def test_figures_of_other_sets_stay_when_one_is_measured_again(tmp_path: Path) -> None:
    def figure(dataset: str, value: float) -> Comparison:
        return Comparison(dataset, "all", "x", 1.0, None, "60", value, 10, 0.5, "a" * 64)

    statistics_csv(tmp_path, [figure("convex", 1.0), figure("rect", 2.0)])
    text = statistics_csv(tmp_path, [figure("rect", 3.0)]).read_text()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    assert [(row[0], float(row[6]), row[-1]) for row in rows] == [
        ("rect", 3.0, "False"),
        ("convex", 1.0, "True"),
    ]
