"""Users' own data sets, declared in YAML: an .npz, a table or a folder of images."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from tests.support.commands import Ended
from tests.support.own_files import COLUMNS, blobs, declare, images, table
from tests.support.tiny import read_csv, read_json

Dae = Callable[..., Ended]
NETWORK = {
    "model": {"hidden": [12]},
    "corruption": {"destruction": 0.25},
    "pretrain": {"learning_rate": 0.1, "epochs": 2},
    "finetune": {"learning_rate": 0.1, "max_epochs": 3, "patience": 3},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session_cache: Path) -> None:
    """Use a new cache: it finds own data by size and time, which quick changes may not alter."""
    cache = tmp_path / ".cache"
    cache.mkdir()
    (cache / "kernels").symlink_to(session_cache / "kernels")
    monkeypatch.setenv("DAE_CACHE_DIR", str(cache))


@pytest.fixture(scope="session")
def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """scikit-learn's digits: 1797 images of 8 x 8, from 0 to 16, and their labels."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)  # type: ignore[no-any-return]


def experiment(dataset: str = "own.yaml", name: str = "one.yaml", **sections: Any) -> str:
    """Write an experiment on own data."""
    sections = NETWORK | sections
    kept = {key: section for key, section in sections.items() if section is not None}
    return declare(name, dataset=dataset, **kept)


def facts(dae: Dae, path: str = "one.yaml") -> dict[str, Any]:
    """The facts of an experiment's data that `dae show` prints."""
    return yaml.safe_load(dae("show", path).succeeded().out)["dataset"]  # type: ignore[no-any-return]


def declare_study(cells: Sequence[str] = ("a",), **sections: Any) -> str:
    """Write a study on own data declared outside its folder; its cells differ in their seed."""
    keys = {"dataset": "../own.yaml"} | NETWORK | sections
    shared = {key: section for key, section in keys.items() if section is not None}
    declare("study/study.yaml", title="Own", shared=shared)
    for seed, cell in enumerate(cells):
        declare(f"study/{cell}.yaml", seed=seed)
    return "study/"


def trained(dae: Dae, *words: str) -> tuple[Path, Ended]:
    """Train one.yaml; return the folder of the run."""
    ended = dae("train", "one.yaml", *words).succeeded()
    return Path(ended.lines[-1]), ended


def test_the_same_digits_of_three_formats_are_the_same_data(
    dae: Dae, digits: tuple[NDArray[np.float64], NDArray[np.int64]]
) -> None:
    """Rows, splits and stored values agree; a network can be trained on each and evaluated."""
    values, labels = digits[0][:500], digits[1][:500]
    np.savez("digits.npz", X=values.reshape(-1, 8, 8), y=labels)
    rows = [[*map(int, row), label] for row, label in zip(values, labels, strict=True)]
    table("digits.csv", rows, [*(f"p{k}" for k in range(64)), "digit"])
    for k, (row, label) in enumerate(zip(values, labels, strict=True)):
        Path("images", str(label)).mkdir(parents=True, exist_ok=True)
        grey = (row.reshape(8, 8) * 15).astype(np.uint8)
        Image.fromarray(grey).save(f"images/{label}/{k:03}.png")
    scale = {"from": [0, 16]}
    declare("a.yaml", file="digits.npz", label="y", scale=scale)
    declare("b.yaml", file="digits.csv", label="digit", scale=scale, image=[8, 8])
    declare("c.yaml", file="images", scale={"from": [0, 240]})
    found = []
    for name in "abc":
        experiment(f"{name}.yaml")
        one = facts(dae)
        assert one["classes"] == list("0123456789")
        assert (one["image"], sum(one["rows"])) == ([8, 8], 500)
        run, ended = trained(dae)
        assert run.name.startswith(f"{name}-sda1-25-s0-")
        assert "500" in str(sum(one["rows"])) and f"{name} (own):" in ended.err
        assert "paper" not in ended.out and "no reference" not in ended.out
        status = read_json(run / "status.json")
        assert (status["data_origin"], status["data_sha256"]) == ("own", one["sha256"])
        again = dae("evaluate", str(run), "--format", "json").succeeded().json
        found.append((one["rows"], again[0]["n_wrong"], again[0]["n_rows"]))
        assert (run / "filters.png").is_file()
    assert found[0] == found[1] and found[0][0] == found[2][0]
    assert found[0][1] == status["n_wrong"] or found[2][1] == status["n_wrong"]


def test_a_study_on_own_data_is_replicated_reported_and_verified_without_a_paper(
    dae: Dae, digits: tuple[NDArray[np.float64], NDArray[np.int64]]
) -> None:
    """From the study's folder to a report; then again without the files, from the cache."""
    np.savez("digits.npz", X=digits[0][:300].reshape(-1, 8, 8), y=digits[1][:300])
    declare("study/digits.data.yaml", file="../digits.npz", label="y", scale={"from": [0, 16]})
    shared = {"dataset": "digits.data.yaml"} | {
        k: NETWORK[k] for k in ("model", "pretrain", "finetune")
    }
    declare("study/study.yaml", title="Digits", shared=shared)
    for percent in (0, 25):
        declare(f"study/sda-{percent}.yaml", corruption={"destruction": percent / 100})
    declare("study/svm.yaml", svm={"kernel": "rbf", "gammas": [0.1], "penalties": [10.0]})
    ended = dae("replicate", "study/", "--seeds", "2").succeeded()
    assert ended.lines[0].split() == ["cell", "destruction", "ours"]
    results = Path("results/study")
    rows = read_csv(results / "runs.csv")
    assert [row["cell"] for row in rows] == ["sda-0", "sda-0", "sda-25", "sda-25", "svm"]
    assert {(row["dataset"], row["data_origin"]) for row in rows} == {("digits", "own")}
    assert {(row["verdict"], row["paper_model"]) for row in rows} == {("", "")}
    report, page = (results / "REPORT.md").read_text(), (results / "report.html").read_text()
    assert "## Test errors" in report and "the paper" not in report.casefold()
    assert f"| digits | own | `{rows[0]['data_sha256']}` |" in report
    assert 'file: "../digits.npz"' in report  # the settings contain the declaration
    assert "the paper’s" not in page and "no reference" not in page
    assert len(read_csv(results / "mcnemar.csv")) == 6
    assert {path.name for path in (results / "filters").iterdir()} >= {"sda-0.png", "sda-25.png"}
    assert dae("replicate", "study/", "--seeds", "2").succeeded().lines[-1].startswith("0 done, 5")
    Path("digits.npz").unlink()
    dae("verify", str(results)).succeeded()
    assert dae("report", str(results)).succeeded().lines[-1] == "results/study/REPORT.md"
    latex = dae("report", str(results), "--format", "latex").succeeded().out
    assert "Model & Test error & Seeds \\\\\n" in latex and "Paper" not in latex
    assert (results / "REPORT.md").read_text() == report
    dae("replicate", "study/").failed(2, "digits.npz", "does not exist", "digits.data.yaml")


SHORT = {
    "study.yaml": [
        (r"epochs: \d+, patience: \d+", "epochs: 3, patience: 3"),
        (" epochs: .+}", " epochs: 2}"),
    ],
    "svm-rbf.yaml": [("rbf", "rbf, gammas: [0.1], penalties: [1.0]")],
}
"""Changes that make the cells of a new study train quickly, by file."""


@pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_the_page_on_own_data_is_true(dae: Dae, whole: bool) -> None:
    """Run every file and command of docs/your-data.md; `whole`: with its settings, too."""
    page = (Path(__file__).parents[1] / "docs" / "your-data.md").read_text()
    for name, content in re.findall(r"```(?:yaml|python)\n# (\S+)\n(.*?)```", page, re.DOTALL):
        Path(name).write_text(content)
        if name.endswith(".py"):
            exec(content if whole else content.replace("range(900)", "range(60)"))
    for command in re.findall(r"^\$ dae ([^#\n]+)", page, re.MULTILINE):
        ended = dae(*command.split()).succeeded()
        folder, _, _ = command.removeprefix("new ").partition(" ")
        if command.startswith("new") and not whole:
            for name, changes in SHORT.items():
                text = Path(folder, name).read_text()
                for old, new in changes:
                    text = re.sub(old, new, text)
                Path(folder, name).write_text(text)
        if command.startswith("replicate"):
            assert "sda-25" in ended.out and "REPORT.md" in ended.lines[-1]
    rows = read_csv(Path("results/digits/table.csv"))
    errors = {row["cell"]: float(row["test_error_percent"]) for row in rows}
    assert set(errors) == {"nnet", "saa", "sda-25", "sda-50", "svm-rbf"}
    assert max(errors.values()) < (6 if whole else 95)  # chance: 90
    assert not whole or errors["sda-25"] < errors["nnet"]
    documented = set(re.findall(r"^\| `([a-z]+)`", page.partition("| key |")[2], re.MULTILINE))
    assert documented == {"file", "label", "ignore", "image", "resize", "scale", "split"}


def test_rows_are_split_by_class_and_the_seed_draws_others(dae: Dae) -> None:
    """Fractions are of each class; digests are equal only for the same seed."""
    rows = [*blobs(120), *[[0.5, 0.5, 0.5, 0.5, "rare"]] * 4]
    table("own.csv", rows, COLUMNS)
    experiment()
    digests = []
    for seed in (0, 0, 1):
        split = {"valid": 0.25, "test": 0.5, "seed": seed}
        declare(file="own.csv", label="kind", split=split)
        one = facts(dae)
        assert one["rows"] == [31, 31, 62]
        assert one["classes"] == ["k0", "k1", "rare"]
        digests.append(one["sha256"])
        os.utime("own.csv", (seed, seed))
    assert digests[0] == digests[1] != digests[2]
    declare(file="own.csv", label="kind", split={"valid": 0.5, "test": 0.5})
    dae("show", "one.yaml").failed(2, "own.csv", "split leaves no training rows")
    table("own.csv", rows[:-2], COLUMNS)
    declare(file="own.csv", label="kind")
    dae("show", "one.yaml").failed(2, "the class rare has too few rows (2)", "split.test")


def test_splits_can_be_given_as_files_and_as_keys(dae: Dae) -> None:
    """A test file may have another order of columns; an .npz has X_train and X_test."""
    table("train.tsv", blobs(40), COLUMNS)
    swapped = [[row[4], *row[3::-1]] for row in blobs(20, seed=1)]
    table("test.tsv", swapped, ("kind", "d", "c", "b", "a"))
    declare(file="train.tsv", label="kind", split={"test": "test.tsv"})
    experiment()
    assert facts(dae)["rows"] == [34, 6, 20]
    values = np.array([row[:4] for row in blobs(40)], np.float32)
    other = np.array([row[:4] for row in blobs(20, seed=1)], np.float32)
    labels = np.array([int(str(row[4])[1:]) for row in blobs(40)])
    whole = {"X_train": values, "y_train": labels, "X_test": other, "y_test": labels[:20]}
    np.savez("own.npz", allow_pickle=False, **whole)
    declare("npz.yaml", file="own.npz", label="y")
    experiment("npz.yaml")
    assert facts(dae)["rows"] == [34, 6, 20]
    np.savez("own.npz", allow_pickle=False, **whole, X_valid=other[:10], y_valid=labels[:10])
    assert facts(dae)["rows"] == [40, 10, 20]
    declare("npz.yaml", file="own.npz", label="y", split={"test": 0.2})
    dae("show", "one.yaml").failed(2, "own.npz", "test rows", "remove split.test")


def test_three_hundred_classes_of_text_are_learned_and_counted(dae: Dae) -> None:
    """More classes than fit a byte; labels that are numbers are in numeric order."""
    rows = [[k % 7 / 7, k % 11 / 11, k % 13 / 13, k / 300, str(k)] for k in range(300)] * 3
    table("own.csv", rows, COLUMNS)
    declare(file="own.csv", label="kind")
    experiment(corruption=None)
    one = facts(dae)
    assert one["classes"] == [str(k) for k in range(300)]
    assert one["rows"] == [300, 300, 300]
    run, _ = trained(dae)
    assert read_json(run / "status.json")["n_test"] == 300
    table("own.csv", [[*row[:4], f"{k / 7}"] for k, row in enumerate(rows * 2)], COLUMNS)
    dae("show", "one.yaml").failed(2, "1800 different labels", "at most 1000", "the right column")


def test_values_without_bounds_are_learned_by_squared_error_alone(dae: Dae) -> None:
    """scale: none keeps the values, but cross-entropy needs probabilities."""
    rows = [[*(3 * float(str(v)) - 1 for v in row[:4]), row[4]] for row in blobs()]
    table("own.csv", rows, COLUMNS)
    declare(file="own.csv", label="kind", scale="none")
    experiment()
    place = "one.yaml:7 pretrain"
    message = ("own has values below 0 or above 1", "squared-error", "scale: minmax in own.yaml")
    dae("show", "one.yaml").failed(2, place, *message)
    experiment(pretrain={"learning_rate": 0.05, "epochs": 2, "loss": "squared-error"})
    run, _ = trained(dae)
    assert read_json(run / "status.json")["data_source"].startswith("own.csv, 44 + 8 + 8 rows")
    declare(file="own.csv", label="kind", scale="minmax")
    experiment()
    assert facts(dae)["sha256"] != ""
    trained(dae)


def test_data_without_labels_are_trained_on_for_filters(dae: Dae) -> None:
    """All rows are training rows; filters are drawn and measured, but errors cannot be counted."""
    images("grey", (6, 5), classes="ab")
    for path in Path("grey").glob("*/*.png"):
        path.rename(Path("grey", f"{path.parent.name}{path.name}"))
    declare(file="grey")
    experiment()
    dae("show", "one.yaml").failed(2, "own has no labels", "finetune (one.yaml:10)", "own.yaml")
    experiment(finetune=None, pretrain={"learning_rate": 0.1, "epochs": 2, "batch_size": 5})
    one = facts(dae)
    assert (one["rows"], one["image"], "classes" in one) == ([32, 0, 0], [6, 5], False)
    run, ended = trained(dae)
    assert run.name.startswith("own-dae-25-s0-") and "no labels" in ended.err
    assert ended.err.splitlines()[-1] == f"next: dae filters {run}"
    assert len(read_csv(run / "filters.csv")) == 12
    dae("filters", str(run)).succeeded()
    dae("evaluate", str(run)).failed(2, "without labels")
    table("own.csv", [row[:4] for row in blobs()], COLUMNS[:4])
    declare(file="own.csv")
    run, ended = trained(dae)
    assert ended.err.splitlines()[-1] == f"next: dae encode {run} --out codes.npz"
    (first, *_) = read_csv(run / "filters.csv")
    assert float(first["norm"]) > 0 and first["explained_variance"] == "nan"  # no image, no shape
    assert not (run / "filters.png").exists()
    dae("filters", str(run)).failed(2, "own:", "image: [height, width]")
    (report,) = dae("replicate", declare_study(finetune=None)).succeeded().lines[-1:]
    assert report.endswith("results/study/REPORT.md")
    assert "| a | 0 | 12 | – | – | – | – | – |" in Path("results/study/REPORT.md").read_text()
    dae("verify", "study/").succeeded()
    table("own.csv", [row[:4] for row in blobs(70)], COLUMNS[:4])
    ended = dae("replicate", "study/").failed(2, "your files have changed", "--out", "--replace")
    assert "--origin" not in ended.err
    table("own.csv", [row[:4] for row in blobs()], COLUMNS[:4])
    dae("train", "one.yaml", "--set", "rows=61").failed(2, "--set rows=61 must be from 1 to 60")


def test_colours_are_three_values_per_pixel_and_are_drawn_in_colours(dae: Dae) -> None:
    """A folder of RGB images, resized on request."""
    images("rgb", (4, 5, 3))
    Image.fromarray(np.full((4, 5, 3), (200, 100, 0), np.uint8)).save("rgb/a/0.png")
    declare(file="rgb")
    experiment()
    one = facts(dae)
    assert (one["image"], one["channels"], one["levels"]) == ([4, 5], 3, 255)
    run, _ = trained(dae)
    for name in ("f.png", "f.svg"):
        dae("filters", str(run), "--out", name, "--sort", "strength").succeeded()
    with Image.open("f.png") as sheet:
        assert len(sheet.getcolors(100_000) or ()) > 100  # of 12 filters of 20 pixels
        assert sheet.mode == "RGB"
    assert dae("data", "show", "own.yaml", "--tiles", "2x3").succeeded().lines == ["own-own.png"]
    with Image.open("own-own.png") as sheet:
        colours = {colour: n for n, colour in sheet.getcolors(100_000) or ()}
    tile = 14 * 4 * 14 * 5  # pixels of an enlarged image
    assert colours[(200, 100, 0)] == tile
    declare(file="rgb", image=[2, 2], resize=True)
    one = facts(dae)
    assert (one["image"], one.get("channels", 1)) == ([2, 2], 1)  # declared as grey
    Image.fromarray(np.zeros((9, 4, 3), np.uint8)).save("rgb/a/odd.png")
    declare(file="rgb")
    parts = ("rgb/a/odd.png", "4 x 9 pixels", "expected 5 x 4", "rgb/a/0.png", "resize: true")
    dae("show", "one.yaml").failed(2, *parts)
    Path("rgb/a/odd.png").write_bytes(b"no image")
    dae("show", "one.yaml").failed(2, "rgb/a/odd.png", "cannot be read as an image")


def test_the_commands_of_data_take_a_declaration(dae: Dae) -> None:
    """List, verify and show; a changed file is read again."""
    table("own.csv", blobs(), COLUMNS)
    declare(file="own.csv", label="kind", image=[2, 2])
    (listed,) = dae("data", "list", "own.yaml", "--format", "json").succeeded().json
    assert (listed["name"], listed["classes"]) == ("own", 2)
    assert listed["rows"] == {"train": 44, "valid": 8, "test": 8}
    checked = dae("data", "verify", "own.yaml", "--format", "json").succeeded().json
    assert [copy["origin"] for copy in checked] == ["own", "own"]
    assert all(copy["sound"] for copy in checked)
    dae("data", "show", "own.yaml", "--split", "test").succeeded()
    table("own.csv", blobs(80), COLUMNS)
    (again,) = dae("data", "list", "own.yaml", "--format", "json").succeeded().json
    assert again["rows"] == {"train": 56, "valid": 12, "test": 12}
    entry = Path(again["copies"][1]["paths"][0])
    content = bytearray(entry.read_bytes())
    content[300] ^= 1
    entry.write_bytes(content)
    dae("data", "verify", "own.yaml").failed(1)
    dae("data", "list", "nothing.yaml").failed(2, "nothing.yaml", "cannot be read")


def test_notes_name_constant_columns_and_rows_in_both_train_and_test(dae: Dae) -> None:
    """Neither is an error."""
    rows = [[*row[:3], 0.5, row[4]] for row in blobs(40)]
    table("own.csv", rows, COLUMNS)
    table("test.csv", [*rows[:3], *([*row[:3], 0.5, row[4]] for row in blobs(9, seed=1))], COLUMNS)
    declare(file="own.csv", label="kind", split={"test": "test.csv"})
    experiment()
    _, ended = trained(dae)
    assert "1 of 4 inputs are the same in every training row" in ended.message
    assert "3 of its 12 test rows are also training rows" in ended.message


def changed(row: int, column: int, value: object) -> list[list[object]]:
    """The rows of `blobs` with one value changed."""
    rows = blobs()
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "keys", "parts"),
    [
        (changed(4, 1, 1.5), {}, ("row 5, column b: found 1.5", "from 0 to 1", "scale: {from: [0")),
        (
            changed(4, 1, -7),
            {"scale": {"from": [0, 1]}},
            ("row 5, column b: found -7, expected a value from 0 to 1", "scale: {from: [-7, "),
        ),
        (changed(2, 0, ""), {}, ("row 3, column a: a value is missing", "fill it in")),
        (
            [["", "", *row[2:]] if k else ["", *row[1:]] for k, row in enumerate(blobs())],
            {},
            ("row 1, column a", "119 values in 60 of 60 rows: a 60, b 59)", "remove their rows"),
        ),
        (changed(2, 0, "-1.203,5"), {}, ("row 3, column a", "'-1.203,5'", "decimal comma")),
        (changed(2, 4, " "), {}, ("row 3, column kind: the label is missing",)),
        (changed(7, 2, "x1"), {}, ("row 8, column c: found 'x1'", "a number", "ignore: [c]")),
        (blobs(), {"label": "kid"}, ("has no column kid; did you mean kind?", "a, b, c, d, kind")),
        (blobs(), {"label": None}, ("column kind: found 'k0'", "declare label: kind")),
        ([[*row, 1] for row in blobs()], {}, ("row 1: has more values than",)),
        (blobs(), {"image": [3, 2]}, ("own.yaml", "image [3, 2] has 6 values", "own.csv has 4")),
        ([[*row[:4], "k"] for row in blobs()], {}, ("all labels are k", "at least two")),
        ([], {}, ("own.csv", "has no rows")),
    ],
)
def test_errors_in_a_table_are_named_with_their_place(
    dae: Dae, rows: list[list[object]], keys: dict[str, Any], parts: tuple[str, ...]
) -> None:
    """File, row, column and value; and what to do."""
    table("own.csv", rows, COLUMNS)
    declared = {"file": "own.csv", "label": "kind"} | keys
    declare(**{key: value for key, value in declared.items() if value is not None})
    experiment()
    dae("show", "one.yaml").failed(2, "one.yaml:1 dataset: own.yaml", "own.csv", *parts)


def test_a_test_file_with_other_columns_or_labels_is_refused(dae: Dae) -> None:
    """Missing and unexpected columns; a label that no training row has."""
    table("own.csv", blobs(), COLUMNS)
    declare(file="own.csv", label="kind", split={"test": "test.csv"})
    experiment()
    table("test.csv", [[*row[:3], row[4]] for row in blobs()], ("a", "b", "e", "kind"))
    parts = (
        "test.csv: has 3 columns of values",
        "own.csv has 4",
        "missing: c, d",
        "unexpected: e; remove",
    )
    dae("show", "one.yaml").failed(2, *parts)
    table("test.csv", changed(3, 4, "new"), COLUMNS)
    dae("show", "one.yaml").failed(2, "test.csv, row 4: no training row has the label new")
    for names, part in (
        (("", "b", "c", "d", "kind"), "column 1 has no name"),
        (("a", "a", "c", "d", "kind"), "two columns are named a"),
        (("1", "2", "3", "4", "5"), "numbers in the first row, expected column names"),
    ):
        table("own.csv", blobs(), names)
        dae("show", "one.yaml").failed(2, "own.csv", part)
    table("own.csv", changed(0, 1, "t9"), ("a", "b\x1b[2J", "c", "d", "kind"))
    assert "\x1b" not in dae("show", "one.yaml").failed(2, "row 1", r"'b\x1b[2J'").err
    np.savez("own.npz", X_train=np.ones((9, 4)), X_test=np.ones((9, 3)))
    declare(file="own.npz")
    dae("show", "one.yaml").failed(2, "X_test: has 3 values", "X_train has 4")


def test_an_npz_that_does_not_match_its_declaration_is_refused(dae: Dae) -> None:
    """Missing keys, wrong shapes, and arrays of objects."""
    experiment()
    declare(file="own.npz", label="y")
    values = np.ones((9, 4))
    np.savez("own.npz", X=values, Y=np.arange(9))
    dae("show", "one.yaml").failed(2, "own.npz: has no key y", "its keys are X, Y")
    np.savez("own.npz", data=values, y=np.arange(9))
    dae("show", "one.yaml").failed(2, "has neither X nor X_train", "data, y")
    np.savez("own.npz", X=values, y=np.arange(8))
    dae("show", "one.yaml").failed(2, "y has shape (8,)", "each of 9 rows")
    np.savez("own.npz", X=values.astype(object), y=np.arange(9))
    dae("show", "one.yaml").failed(2, "own.npz", "cannot be read", "save its arrays as numbers")
    values[2, 1] = np.nan
    np.savez("own.npz", X=values, y=np.arange(9))
    dae("show", "one.yaml").failed(2, "own.npz: X, row 3, value 2: a value is missing")
    with Path("own.npz").open("wb") as file:
        np.save(file, values)
    dae("show", "one.yaml").failed(2, "own.npz", "it is a single array", "as X")
    Path("own.npz").write_bytes(b"PK nothing")
    dae("show", "one.yaml").failed(2, "own.npz: cannot be read as an .npz")
    Path("own.npz").unlink()
    dae("show", "one.yaml").failed(2, "own.npz", "does not exist")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("fil: own.csv\n", ("own.yaml:1 fil: own.csv", "did you mean file?")),
        ("file: own.csv\nscale: max\n", ("own.yaml:2 scale: max", "must be minmax, none, or")),
        ("file: own.csv\nscale: {from: [1, 0]}\n", ("own.yaml:2 scale", "{from: [low, high]}")),
        ("file: own.csv\nsplit: {test: 2}\n", ("own.yaml:2 split.test: 2", "a fraction above 0")),
        ("file: own.csv\nimage: [8]\n", ("own.yaml:2 image: [8]", "[height, width]")),
        ("label: kind\n", ("own.yaml", "file is missing")),
        ("- a\n", ("own.yaml", "must be a mapping")),
    ],
)
def test_a_wrong_key_of_a_declaration_is_named_with_its_line(
    dae: Dae, text: str, parts: tuple[str, ...]
) -> None:
    """Messages are like those of all other settings."""
    Path("own.yaml").write_text(text)
    experiment()
    dae("show", "one.yaml").failed(2, *parts)


def test_the_name_of_a_declaration_must_not_be_that_of_other_data(dae: Dae) -> None:
    """Runs and columns of tables are named after it."""
    table("own.csv", blobs(), COLUMNS)
    for name in ("convex", "my data"):
        declare(f"{name}.yaml", file="own.csv", label="kind")
        experiment(f"{name}.yaml")
        dae("show", "one.yaml").failed(2, f"dataset: {name}.yaml", f"'{name}'", "rename the file")
    experiment("gone.yaml")
    dae("show", "one.yaml").failed(2, "gone.yaml", "cannot be read")


def test_a_search_writes_what_it_selects_into_the_cell(dae: Dae) -> None:
    """Paths of own data stay relative to the study's folder during the search."""
    pytest.importorskip("optuna")
    table("own.csv", blobs(), COLUMNS)
    declare("own.yaml", file="own.csv", label="kind")
    declare_study()
    space = {"cells": "a", "space": {"units": {"choices": [9]}}, "trials": 1, "sampler_seed": 0}
    written = Path("study/study.yaml").read_text() + yaml.safe_dump({"search": [space]})
    Path("study/study.yaml").write_text(written)
    dae("search", "study/").succeeded()
    assert "hidden: [9]" in dae("show", "study/a.yaml").succeeded().out
    (row,) = read_csv(Path("results/study/search.csv"))
    assert (row["state"], row["data_origin"], row["weights"]) == ("complete", "own", "54")


def test_two_declarations_of_one_name_in_a_study_are_refused(dae: Dae) -> None:
    """Tables would mix their runs."""
    table("own.csv", blobs(), COLUMNS)
    for path in ("own.yaml", "other/own.yaml"):
        declare(path, file=os.path.relpath("own.csv", Path(path).parent), label="kind")
    declare_study(("a", "b"))
    declare("study/b.yaml", dataset="../other/own.yaml")
    dae("show", "study/").failed(2, "study/b.yaml", "other/own.yaml and own.yaml declare", "rename")
    declare("study/data.yaml", file="own.csv")
    dae("show", "study/").failed(2, "study/data.yaml:1 file", "declares data", "data.data.yaml")


def test_an_override_names_own_data_from_the_current_folder(dae: Dae) -> None:
    """Rules that check settings use its rows and inputs."""
    table("own.csv", blobs(), COLUMNS)
    declare("data/own.yaml", file="../own.csv", label="kind")
    experiment("convex")
    shown = dae("show", "one.yaml", "--set", "dataset=data/own.yaml").succeeded()
    assert yaml.safe_load(shown.out)["dataset"]["declared"] == "data/own.yaml"
    words = ("--set", "dataset=data/own.yaml", "--set")
    subset = "subset={train: 45, valid: 1, test: 1}"
    dae("show", "one.yaml", *words, subset).failed(2, "must be from 1 to 44", "rows of own")
    tiny = "corruption.destruction=0.1"
    dae("show", "one.yaml", *words, tiny).failed(2, "would destroy none of the 4 pixels")


def test_per_dataset_settings_apply_to_own_data_by_name(dae: Dae) -> None:
    """Other data keep their settings; a name that no cell has is an error."""
    table("own.csv", blobs(), COLUMNS)
    declare(file="own.csv", label="kind")
    declare("study/two.data.yaml", file="../own.csv", label="kind")
    declare_study(("a", "b"), seed=None)
    declare("study/b.yaml", dataset="two.data.yaml", seed=1)
    shared = Path("study/study.yaml").read_text()
    for name, sound in (("own", True), ("two", True), ("owm", False)):
        keys = {"per_dataset": {name: {"pretrain": {"epochs": 7}}}}
        Path("study/study.yaml").write_text(shared + yaml.safe_dump(keys))
        if not sound:
            dae("show", "study/a").failed(2, "study.yaml", "per_dataset.owm", "did you mean own?")
            continue
        cells = {cell: yaml.safe_load(dae("show", f"study/{cell}").out) for cell in "ab"}
        epochs = [cells[cell]["pretrain"]["epochs"] for cell in "ab"]
        assert epochs == ([7, 2] if name == "own" else [2, 7])
