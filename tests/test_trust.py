"""Trust in original data: verified, plausible, unverified or refused, and how results show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.entry_points.data import (
    GENUINE_ROWS,
    digests_of_rows,
    follows_its_law,
    forget_small,
    register_small,
    restore,
    shrink,
)
from tests.support import commands
from tests.support.commands import Ended
from tests.support.data_files import text
from tests.support.tiny import read_csv, write_study

Dae = Callable[..., Ended]
Arrays = dict[str, NDArray[Any]]

RECT = "e78debd8f697c01f00e519f24a1eb7f41a5f6dd01fb32add7abe39c1d3d38628"


@pytest.fixture(autouse=True)
def strict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test, and no unverified data accepted."""
    monkeypatch.delenv("DAE_ACCEPT_UNVERIFIED")
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def cached(path: str | Path) -> Arrays:
    """Arrays of a cache entry."""
    with np.load(path) as arrays:
        return {key: arrays[key] for key in ("X", "Y", "Xtest", "Ytest")}


@pytest.fixture(scope="session")
def rect(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """The authors' rect."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        words = ("data", "fetch", "rect", "--data-dir", test_data, "--format", "json")
        (shown,) = commands.dae(*words).succeeded().json
        assert (shown["sha256"], shown["trust"]) == (RECT, "verified")
        return cached(shown["path"])


@pytest.fixture
def few(rect: Arrays) -> Iterator[Arrays]:
    """The authors' rect with 2000 of its test rows; the data set is registered with that size."""
    before = shrink("rect", 1000, 200, 2000)
    rows = np.r_[0:1990, 49_990:50_000]
    yield rect | {"Xtest": rect["Xtest"][rows], "Ytest": rect["Ytest"][rows]}
    restore(before)


@pytest.fixture
def rot(test_data: Path) -> Iterator[Arrays]:
    """A random rot of 100 rows per split, with the sixty genuine rows in place."""
    before = shrink("rot", 100, 100, 100)
    random = np.random.default_rng(1)
    images = random.random((300, 784), dtype=np.float32)
    labels = random.integers(0, 10, 300)
    with np.load(test_data / "genuine_rows" / "rot.npz") as rows:
        for k, start in enumerate((0, 90, 100, 190, 200, 290)):
            images[start : start + 10] = rows["X"][10 * k : 10 * k + 10]
            labels[start : start + 10] = rows["y"][10 * k : 10 * k + 10]
    yield {"X": images[:200], "Y": labels[:200], "Xtest": images[200:], "Ytest": labels[200:]}
    restore(before)


@pytest.fixture
def small() -> Iterator[Arrays]:
    """The small set as grey values; some of its rows are known genuine rows."""
    original, _ = register_small(genuine=True)
    greys = {"X": original.X / 255, "Xtest": original.Xtest / 255}
    yield greys | {"Y": original.Y, "Ytest": original.Ytest}
    forget_small()


def supplied(name: str, arrays: Arrays, folder: str = "mine") -> Path:
    """Write NAME.npz into a folder, and return the folder."""
    Path(folder).mkdir(exist_ok=True)
    np.savez(Path(folder) / f"{name}.npz", allow_pickle=False, **arrays)
    return Path(folder)


def fetched(dae: Dae, name: str, *words: object) -> dict[str, str]:
    """Run `dae data fetch` on the folder mine and return its JSON."""
    options = ("--data-dir", "mine", "--format", "json", *words)
    (shown,) = dae("data", "fetch", name, *options).succeeded().json
    return dict(shown)


def upright(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Arrays], Arrays]:
    """Change all images, (n, 28, 28)."""

    def changed(arrays: Arrays) -> Arrays:
        images = {key: arrays[key].reshape(-1, 28, 28) for key in ("X", "Xtest")}
        return arrays | {key: change(image).reshape(-1, 784) for key, image in images.items()}

    return changed


def label_first(arrays: Arrays) -> Arrays:
    """Rows with the label first, then the pixels; the last pixel is read as the label."""
    rows = {
        key: np.column_stack([arrays[labels], arrays[key]])
        for key, labels in (("X", "Y"), ("Xtest", "Ytest"))
    }
    return {"X": rows["X"][:, :784], "Y": rows["X"][:, 784], "Xtest": rows["Xtest"][:, :784],
            "Ytest": rows["Xtest"][:, 784]}  # fmt: skip


def permuted(key: str) -> Callable[[Arrays], Arrays]:
    """Shuffle one array only."""

    def changed(arrays: Arrays) -> Arrays:
        return arrays | {key: arrays[key][np.random.default_rng(0).permutation(len(arrays[key]))]}

    return changed


def reordered(arrays: Arrays) -> Arrays:
    """Shuffle training rows together with their labels."""
    order = np.random.default_rng(0).permutation(len(arrays["X"]))
    return arrays | {"X": arrays["X"][order], "Y": arrays["Y"][order]}


def exchanged(arrays: Arrays) -> Arrays:
    """Exchange the training rows with the first test rows."""
    n = len(arrays["X"])
    test, test_labels = arrays["Xtest"].copy(), arrays["Ytest"].copy()
    test[:n], test_labels[:n] = arrays["X"], arrays["Y"]
    return {"X": arrays["Xtest"][:n], "Y": arrays["Ytest"][:n], "Xtest": test, "Ytest": test_labels}


def one_pixel(arrays: Arrays) -> Arrays:
    """Flip one pixel of one training row."""
    X = arrays["X"].copy()
    X[600, 0] ^= 1
    return arrays | {"X": X}


def repeated(key: str) -> Callable[[Arrays], Arrays]:
    """Replace all test rows except the known ones by one row of a file."""

    def changed(arrays: Arrays) -> Arrays:
        test, labels = arrays["Xtest"].copy(), arrays["Ytest"].copy()
        test[10:-10], labels[10:-10] = arrays[key][100], arrays[key.replace("X", "Y")][100]
        return arrays | {"Xtest": test, "Ytest": labels}

    return changed


MISREAD: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "label first": (label_first, "labels seem to be first"),
    "transposed": (upright(lambda images: images.swapaxes(1, 2)), "transposed"),
    "mirrored": (upright(lambda images: images[:, :, ::-1]), "mirrored"),
    "upside down": (upright(lambda images: images[:, ::-1]), "upside down"),
    "turned": (upright(lambda images: np.rot90(images, axes=(1, 2))), "rotated by 90"),
    "inverted": (upright(lambda images: 1 - images), "inverted"),
    "labels swapped": (lambda a: a | {"Y": 1 - a["Y"], "Ytest": 1 - a["Ytest"]}, "labels"),
    "constant labels": (lambda a: a | {"Ytest": 0 * a["Ytest"]}, "labels do not match"),
    "labels shuffled": (permuted("Y"), "labels"),
    "images shuffled": (permuted("Xtest"), "shuffled"),
    "rows reordered": (reordered, "another order"),
    "files exchanged": (exchanged, "swapped"),
    "shifted": (lambda a: a | {"X": np.roll(a["X"], 1, axis=1)}, "of its 1200 training rows"),
    "one pixel": (one_pixel, "in 1 of its 1200 training rows, such as row 601"),
}


@pytest.mark.parametrize("case", MISREAD)
def test_rect_that_is_misread_is_refused_and_the_misreading_is_named(
    dae: Dae, few: Arrays, case: str
) -> None:
    misread, named = MISREAD[case]
    supplied("rect", misread(few))
    parts = ("mine/rect.npz", "not the original rect", named, "--accept-unverified")
    dae("data", "fetch", "rect", "--data-dir", "mine").failed(2, *parts)


@pytest.mark.parametrize(
    ("key", "named"), [("X", "training rows: 4998"), ("Xtest", "one image occurs 4998")]
)
def test_a_test_file_that_repeats_itself_is_refused_though_its_known_rows_are_right(
    dae: Dae, rect: Arrays, key: str, named: str
) -> None:
    supplied("rect", repeated(key)(rect))
    dae("data", "fetch", "rect", "--data-dir", "mine").failed(2, "mine/rect.npz", named)


GREYS: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "mirrored": (upright(lambda images: images[:, :, ::-1]), "mirrored"),
    "inverted": (upright(lambda images: 1 - images), "inverted"),
    "rounded": (upright(lambda images: np.rint(images * 51) / 51), "scaled or rounded"),
    "other labels": (lambda a: a | {"Y": (a["Y"] + 1) % 3}, "labels"),
    "shuffled": (permuted("X"), "shuffled"),
}


@pytest.mark.parametrize("case", GREYS)
def test_grey_values_that_are_misread_are_refused_and_the_misreading_is_named(
    dae: Dae, small: Arrays, case: str
) -> None:
    misread, named = GREYS[case]
    supplied("small", misread(small))
    dae("data", "fetch", "small", "--data-dir", "mine").failed(2, "mine/small.npz", named)


def test_grey_values_rounded_to_8_bits_are_refused_if_the_original_is_finer(
    dae: Dae, rot: Arrays
) -> None:
    supplied("rot", rot)
    assert fetched(dae, "rot")["trust"] == "plausible"
    supplied("rot", upright(lambda images: np.rint(images * 255) / 255)(rot))
    ended = dae("data", "verify", "rot", "--data-dir", "mine")
    assert ended.code == 2 and "mine/rot.npz" in ended.out and "scaled or rounded" in ended.out


def test_a_label_in_the_first_column_of_text_is_named(dae: Dae, rot: Arrays) -> None:
    """With ten classes a label is not a grey value, so reading the file fails."""
    Path("mine").mkdir()
    for part, key in (("train_valid", "X"), ("test", "Xtest")):
        labels = rot["Y" if key == "X" else "Ytest"]
        first = text(np.column_stack([labels[:20], rot[key][:20, :783]]), rot[key][:20, 783])
        Path("mine", f"mnist_all_rotation_normalized_float_{part}.amat").write_bytes(first)
    dae("data", "fetch", "rot", "--data-dir", "mine").failed(2, "row 1", "label", "last")


def test_other_bytes_with_the_known_rows_at_their_places_are_plausible(
    dae: Dae, small: Arrays
) -> None:
    for key, row in (("X", 2), ("Xtest", 2), ("Y", 3)):  # none of the known rows
        other = small[key].copy()
        other[row] = other[row - 1] if key.startswith("X") else (other[row] + 1) % 3
        supplied("small", small | {key: other})
        shown = fetched(dae, "small")
        assert (shown["origin"], shown["trust"]) == ("original", "plausible")
    for key, row in (("X", 0), ("Xtest", 4), ("Y", 7)):
        other = small[key].copy()
        other[row] = small[key][2] if key.startswith("X") else (other[row] + 1) % 3
        supplied("small", small | {key: other})
        dae("data", "fetch", "small", "--data-dir", "mine").failed(2, "not the original")
    register_small(genuine=True, known_sha256="f" * 64)  # now the digest contradicts
    supplied("small", small)
    dae("data", "fetch", "small", "--data-dir", "mine").failed(2, "f" * 12)


def test_if_the_digest_is_known_each_row_must_obey_the_law(dae: Dae, few: Arrays) -> None:
    """Swapping two training rows changes the bytes but no label."""
    order = np.arange(1200)
    order[[500, 700]] = 700, 500
    supplied("rect", few | {"X": few["X"][order], "Y": few["Y"][order]})
    assert fetched(dae, "rect")["trust"] == "plausible"
    wrong = few["Y"].copy()
    wrong[500] ^= 1
    supplied("rect", few | {"Y": wrong})
    dae("data", "fetch", "rect", "--data-dir", "mine").failed(2, "row 501")


def test_the_authors_rect_and_convex_are_verified_and_rows_in_both_files_are_counted(
    dae: Dae, rect: Arrays, test_data: Path
) -> None:
    words = ("data", "fetch", "rect", "convex", "--format", "json", "--data-dir", test_data)
    ended = dae(*words).succeeded()
    assert [one["trust"] for one in ended.json] == ["verified"] * 2
    assert "rect: 2076 of its 50000 test rows are also training rows" in ended.err
    assert "convex: 481 of its 50000 test rows are also training rows" in ended.err
    found = dae("data", "verify", "rect", "--format", "json").succeeded().json
    assert found[0]["trust"] == "verified" and "2076 of its 50000" in found[0]["found"]
    supplied("rect", rect)  # the same content in another format
    assert fetched(dae, "rect")["trust"] == "verified"
    dae("data", "make", "rect").succeeded()
    (listed,) = dae("data", "list", "rect", "--format", "json").succeeded().json
    assert [copy["trust"] for copy in listed["copies"]] == ["verified", ""]


def test_training_rows_in_the_test_file_are_reported(dae: Dae, rect: Arrays) -> None:
    test, labels = rect["Xtest"][1200:], rect["Ytest"][1200:]
    both = {"Xtest": np.r_[rect["X"], test], "Ytest": np.r_[rect["Y"], labels]}
    supplied("rect", rect | both)
    shown = fetched(dae, "rect", "--accept-unverified")
    assert shown["trust"] == "unverified"
    assert "seems to contain training rows" in shown["source"]
    assert " of its 50000 test rows are also training rows" in shown["source"]


def test_every_row_of_rect_and_convex_obeys_the_law_of_its_set(
    dae: Dae, rect: Arrays, test_data: Path
) -> None:
    """The label is a function of the image in all 51 200 and 58 000 rows of the originals."""
    words = ("data", "fetch", "convex", "--data-dir", test_data, "--format", "json")
    (shown,) = dae(*words).succeeded().json
    for name, arrays in (("rect", rect), ("convex", cached(shown["path"]))):
        for X, Y in (("X", "Y"), ("Xtest", "Ytest")):
            assert follows_its_law(name, arrays[X], arrays[Y]).all()
            assert not follows_its_law(name, arrays[X][:1000], 1 - arrays[Y][:1000]).any()


def test_the_packaged_digests_are_those_of_the_genuine_rows(test_data: Path) -> None:
    assert sum(map(len, GENUINE_ROWS.values())) == 480
    for name, known in GENUINE_ROWS.items():
        with np.load(test_data / "genuine_rows" / f"{name}.npz") as rows:
            assert [row.sha256 for row in known] == digests_of_rows(name, rows["X"])
            assert [row.label for row in known] == rows["y"].tolist()


SMALL_NET: dict[str, Any] = {
    "dataset": "rect",
    "model": {"hidden": [4, 4, 4]},
    "pretrain": {"learning_rate": 0.1, "epochs": 1},
    "finetune": {"learning_rate": 0.1, "max_epochs": 1, "patience": 1},
}


def test_every_result_with_unverified_data_is_marked(dae: Dae, rect: Arrays) -> None:
    supplied("rect", label_first(rect))
    write_study(Path(), cells={"rect-0": {"corruption": {"destruction": 0.0}}}, shared=SMALL_NET)
    words = ("replicate", "tiny", "--data-dir", "mine")
    dae(*words).failed(2, "labels seem to be first", "--accept-unverified")
    assert not Path("results").exists()
    ended = dae(*words, "--accept-unverified").succeeded()
    assert ended.lines[1].endswith(" (unverified data)")
    out = Path("results/tiny")
    for name in ("runs.csv", "table.csv"):
        (row,) = read_csv(out / name)
        assert (row["data_origin"], row["trust"]) == ("original", "unverified")
    report, page = ((out / name).read_text() for name in ("REPORT.md", "report.html"))
    assert "(unverified data) |" in report and "| original (unverified) |" in report
    assert ">unverified data</span>" in page and "Unverified data" in page
    dae("verify", "tiny", "--data-dir", "mine").succeeded()
    assert read_csv(out / "table.csv") == [row]
    run = next((out / "runs").iterdir())
    dae("evaluate", run, "--data-dir", "mine").succeeded()
    again = dae("train", "tiny/rect-0", "--data-dir", "mine", "--accept-unverified").succeeded()
    assert any("(unverified data)" in line for line in again.lines)
    dae("train", "tiny/rect-0", "--data-dir", "mine").failed(2, "--accept-unverified")


def test_rows_of_earlier_versions_get_the_trust_that_their_digest_proves(
    dae: Dae, rect: Arrays, test_data: Path
) -> None:
    write_study(Path(), cells={"rect-0": {"corruption": {"destruction": 0.0}}}, shared=SMALL_NET)
    dae("replicate", "tiny", "--data-dir", test_data).succeeded()
    path = Path("results/tiny/runs.csv")
    written = path.read_text()
    assert ",original,verified," in written
    for digest, trust in ((RECT, "verified"), ("0" * 64, "unverified")):
        (run,) = Path("results/tiny/runs").glob("*")
        (run / "status.json").rename("status.json")
        path.write_text(
            written.replace(",trust", "").replace("verified,", "").replace(RECT, digest)
        )
        if digest == RECT:
            dae("report", "tiny").succeeded()
            assert read_csv(path)[0]["trust"] == trust
        Path("status.json").rename(run / "status.json")
    path.write_text(written.replace(",verified,", ",certain,"))
    dae("report", "tiny").failed(2, "runs.csv:2", "trust", "certain", "plausible")


@pytest.mark.parametrize(
    ("value", "code"),
    [("1", 0), ("Yes", 0), ("TRUE", 0), ("0", 2), ("No", 2), ("", 2)],
)
def test_the_variable_accepts_as_the_option_does(
    dae: Dae, small: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, code: int
) -> None:
    arrays: dict[str, Any] = small | {"X": small["X"][::-1]}
    np.savez(tmp_path / "small.npz", **arrays)
    monkeypatch.setenv("DAE_ACCEPT_UNVERIFIED", value)
    assert dae("data", "fetch", "small", "--data-dir", tmp_path).code == code


@pytest.mark.parametrize("value", ["xyz", "2", "ja", "1,"])
def test_what_the_variable_cannot_mean_is_a_usage_error(
    dae: Dae, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DAE_ACCEPT_UNVERIFIED", value)
    dae("data", "fetch", "rect").failed(2, "DAE_ACCEPT_UNVERIFIED", "valid boolean")
