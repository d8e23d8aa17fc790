"""Codes and reconstructions: `dae encode`, and `dae_cli.load_run` for notebooks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

from tests.entry_points.api import load_run
from tests.entry_points.filters import DaeError
from tests.support import commands
from tests.support.commands import Ended
from tests.support.sheets import first_row, pixels, texts_of
from tests.support.tiny import change_json, read_json, run_of

Dae = Callable[..., Ended]
Array = NDArray[Any]

ROOT = Path(__file__).resolve().parents[1]
NETWORK = {
    "dataset": "own.yaml",
    "model": {"hidden": [12, 9]},
    "corruption": {"destruction": 0.25},
    "pretrain": {"learning_rate": 0.5, "epochs": 5},
    "finetune": {"learning_rate": 0.5, "max_epochs": 6, "patience": 6},
}
CELLS: dict[str, dict[str, Any]] = {
    "sda": {},
    "compiled": {"seed": 1},
    "dbn": {"pretrain": {"kind": "rbm", "learning_rate": 0.1, "epochs": 1}, "corruption": {}},
    "nnet": {"pretrain": {"learning_rate": 0.1, "epochs": 0}, "corruption": {}},
    "linear": {
        "dataset": "raw.yaml",
        "model": {"hidden": [12], "tied": False},
        "corruption": {"kind": "gaussian", "sigma": 0.5},
        "pretrain": {"loss": "squared-error", "learning_rate": 0.01, "epochs": 1},
    },
    "ranged": {"dataset": "ranged.yaml", "model": {"hidden": [12]}},
    "minmax": {"dataset": "minmax.yaml", "model": {"hidden": [12]}},
    "colour": {"dataset": "colour.yaml", "model": {"hidden": [12]}},
}
"""Cells with networks; the SVM and the filters have other sections and are added below."""
TEST = 240
"""Index of the first test row."""
SPLITS = ("train", "valid", "test")
COLUMNS = [f"p{k}" for k in range(24)]


def rows_of(n: int = 300) -> tuple[Array, Array]:
    """Images of 4 x 6 from 0 to 16, labelled "above" or "below" by their brighter half."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, n)
    values = random.integers(0, 9, (n, 4, 6))
    values[labels == 1, :2] += 6
    values[labels == 0, 2:] += 6
    return values.reshape(n, 24), np.array(["above" if one else "below" for one in labels])


def write(path: str, **content: Any) -> str:
    Path(path).write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def table(path: str, values: Array, labels: Array | None = None) -> str:
    frame = pd.DataFrame(values, columns=COLUMNS)
    if labels is not None:
        frame["side"] = labels
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, session_cache: Path
) -> tuple[Path, dict[str, Path]]:
    """A folder with own data, and the finished run of each cell; tests must not change it."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        values, labels = rows_of()
        table("own.csv", values[:TEST], labels[:TEST])
        table("test.csv", values[TEST:], labels[TEST:])
        about = {"label": "side", "split": {"test": "test.csv"}}
        write("own.yaml", file="own.csv", scale={"from": [0, 16]}, image=[4, 6], **about)
        write("raw.yaml", file="own.csv", scale="none", image=[4, 6], **about)
        write("ranged.yaml", file="own.csv", scale={"from": [-4, 20]}, **about)
        write("minmax.yaml", file="own.csv", scale="minmax", **about)
        write("filters.yaml", file="unlabelled.npz", image=[4, 6])
        np.savez("unlabelled.npz", X=values / 16)
        for k, (row, label) in enumerate(zip(values[:120], labels[:120], strict=True)):
            Path("images", label).mkdir(parents=True, exist_ok=True)
            grey = (row.reshape(2, 4, 3) * 12).astype(np.uint8)
            Image.fromarray(grey).save(Path("images", label, f"{k:03}.png"))
        write("colour.yaml", file="images")
        cells = {name: NETWORK | sections for name, sections in CELLS.items()}
        cells["svm"] = {"dataset": "own.yaml", "svm": {"kernel": "rbf", "gammas": [0.1]}}
        pretrained = {key: NETWORK[key] for key in ("corruption", "pretrain")}
        cells["filters"] = pretrained | {"dataset": "filters.yaml", "model": {"hidden": [12]}}
        runs = {}
        for name, cell in cells.items():
            engine = "torch" if name in ("sda", "dbn") else "compiled"
            path = write(f"{name}-cell.yaml", **cell)
            ended = commands.dae("train", path, "--quiet", "--engine", engine).succeeded()
            runs[name] = folder / ended.lines[-1]
    return folder, runs


@pytest.fixture
def runs(made: tuple[Path, dict[str, Path]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The run of each cell; the current folder is that of the data."""
    monkeypatch.chdir(made[0])
    return made[1]


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


def encoded(dae: Dae, run: Path, out: Path, *words: str) -> dict[str, Array]:
    """The arrays that `dae encode` writes into an .npz."""
    ended = dae("encode", run, *words, "--out", out).succeeded()
    assert ended.lines == [str(out)]
    with np.load(out, allow_pickle=False) as arrays:
        return dict(arrays)


def test_the_page_on_codes_is_true(dae: Dae) -> None:
    """Run every command and all Python code of docs/python.md."""
    page = (ROOT / "docs" / "python.md").read_text()
    values, labels = rows_of()
    table("own.csv", values, labels)
    table("new.csv", values[:9])
    np.savez("new.npz", X=values[:9])
    write("own.yaml", file="own.csv", label="side", image=[4, 6], scale={"from": [0, 16]})
    dae("train", write("my.yaml", **NETWORK)).succeeded()
    for command in re.findall(r"^\$ dae ([^#\n]+)", page, re.MULTILINE):
        assert dae(*command.split()).succeeded().lines == [command.split()[-1]]
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(script, names)
    assert names["codes"].shape == (9, 9) and names["back"].shape == (9, 24)
    assert (
        pd.read_csv("codes.csv").to_numpy(np.float32) == names["run"].encode(names["X"], 1)
    ).all()
    with np.load("back.npz") as arrays:
        assert list(arrays)[:2] == ["reconstructions_train", "y_train"]


# The Python API


@pytest.mark.parametrize("cell", ["sda", "compiled", "dbn", "nnet", "linear", "svm"])
def test_predictions_are_those_that_evaluate_counts_row_by_row(
    dae: Dae, runs: dict[str, Path], cell: str
) -> None:
    values, labels = rows_of()
    inputs = values if cell == "linear" else values / 16
    wrong = load_run(runs[cell]).predict(inputs) != labels
    saved = np.fromfile(runs[cell] / "wrong_rows.npy", np.uint8, offset=128)
    assert (np.packbits(wrong[TEST:]) == saved).all()
    counted = {
        split: dae("evaluate", runs[cell], "--split", split, "--format", "json").json[0]["n_wrong"]
        for split in ("train", "valid", "test")
    }
    assert counted["test"] == wrong[TEST:].sum()
    assert counted["train"] + counted["valid"] == wrong[:TEST].sum()
    assert len(set(load_run(runs[cell]).predict(inputs))) == 2


def test_codes_are_the_sigmoids_of_the_saved_layers_fine_tuned_or_as_pretrained(
    runs: dict[str, Path],
) -> None:
    inputs = rows_of()[0] / 16
    for cell, engine in (("sda", "torch"), ("compiled", "compiled"), ("dbn", "torch")):
        run, tensors = load_run(str(runs[cell])), load_file(runs[cell] / "checkpoint.safetensors")
        assert read_json(runs[cell] / "environment.json")["engine"] == engine
        for pretrained in (False, True):
            codes = inputs
            for layer in (1, 2):
                name = f"pretrained.{layer}" if pretrained else f"best.{layer}"
                bias = tensors[name + (".hidden_bias" if pretrained else ".bias")]
                codes = sigmoid(codes @ tensors[f"{name}.weight"].T.astype(np.float64) + bias)
                given = run.encode(inputs, layer, pretrained=pretrained)
                assert given.dtype == np.float32 and given.shape == (300, (12, 9)[layer - 1])
                assert np.abs(given - codes).max() < 1e-6
            assert (run.encode(inputs.tolist(), pretrained=pretrained) == given).all()
    assert run.encode(inputs[:0]).shape == (0, 9)
    filters = load_run(runs["filters"])
    assert (filters.encode(inputs) == filters.encode(inputs, 1, pretrained=True)).all()


def test_reconstructions_are_decoded_by_the_pretrained_layers(runs: dict[str, Path]) -> None:
    """Tied sigmoid units, RBMs, and a linear decoder with untied weights."""
    values = rows_of()[0]
    for cell in ("sda", "dbn", "linear"):
        linear, inputs = cell == "linear", values if cell == "linear" else values / 16
        run, tensors = load_run(runs[cell]), load_file(runs[cell] / "checkpoint.safetensors")
        for layer in (1,) if linear else (1, 2):
            expected = run.encode(inputs, layer, pretrained=True)
            for k in range(layer, 0, -1):
                name = f"pretrained.{k}"
                decoder = tensors.get(f"{name}.decoder_weight", tensors[f"{name}.weight"].T)
                expected = expected @ decoder.T.astype(np.float64) + tensors[f"{name}.visible_bias"]
                expected = expected if linear else sigmoid(expected)
            assert np.abs(run.reconstruct(inputs, layer) - expected).max() < 1e-5
    sda = load_run(runs["sda"])
    mean = np.square(values / 16 - values.mean(axis=0) / 16).mean()
    assert np.square(sda.reconstruct(values / 16) - values / 16).mean() < 0.8 * mean


def test_the_torch_network_is_plain_and_predicts_the_same(runs: dict[str, Path]) -> None:
    values, _ = rows_of()
    state = torch.get_rng_state()
    for cell in ("sda", "compiled", "nnet"):
        run = load_run(runs[cell])
        network = run.to_torch()
        assert [type(one) for one in network] == [
            *(torch.nn.Linear, torch.nn.Sigmoid) * 2,
            torch.nn.Linear,
        ]
        scores = network(torch.tensor(values / 16, dtype=torch.float32))
        predicted = np.array(["above", "below"])[scores.argmax(dim=1)]
        assert (predicted == run.predict(values / 16)).all()
    assert (torch.get_rng_state() == state).all()
    scores.sum().backward()  # it can be trained further
    codes = load_run(runs["filters"]).to_torch()(torch.rand(5, 24))
    assert codes.shape == (5, 12) and codes.min() > 0 and codes.max() < 1


def test_filters_and_metrics_are_those_of_the_files(runs: dict[str, Path], done: Path) -> None:
    for cell, shape in (
        ("sda", (12, 4, 6)),
        ("colour", (12, 2, 4, 3)),
        ("minmax", (12, 24)),
        ("filters", (12, 4, 6)),
    ):
        run = load_run(runs[cell])
        weight = load_file(runs[cell] / "checkpoint.safetensors")["pretrained.1.weight"]
        assert run.filters().shape == shape and (run.filters().reshape(12, 24) == weight).all()
        expected = pd.read_csv(runs[cell] / "metrics.csv")
        pd.testing.assert_frame_equal(run.metrics, expected)
    nnet = load_run(runs["nnet"])
    tuned = load_file(runs["nnet"] / "checkpoint.safetensors")["best.1.weight"]
    assert (nnet.filters().reshape(12, 24) == tuned).all()
    published = load_run(run_of(done, "rect-0"))
    assert published.filters().shape == (12, 28, 28)
    assert set(published.predict(np.zeros((3, 784)))) <= {0, 1}


def test_computing_leaves_the_threads_of_the_notebook_as_they_were(runs: dict[str, Path]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        load_run(runs["sda"]).encode(np.zeros((3, 24)))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_array_that_does_not_fit_is_refused_with_the_place_and_the_value(
    runs: dict[str, Path],
) -> None:
    run, linear = load_run(runs["sda"]), load_run(runs["linear"])
    good = rows_of(10)[0] / 16
    bad, beyond = good.copy(), good.copy()
    bad[3, 17], beyond[4, 2] = np.nan, 1.5
    for X, *parts in (
        (good[:, :23], "(10, 23)", "(n, 24)"),
        (good[0], "(24,)", "(n, 24)"),
        (good.reshape(10, 4, 6), "(10, 4, 6)", "X.reshape(len(X), -1)"),
        (bad, "X[3, 17]", "nan"),
        (beyond, "X[4, 2]", "1.5", "from 0 to 1"),
        (-good, "from 0 to 1"),
        (np.full((1, 24), "a"), "expected numbers"),
    ):
        for method in (run.encode, run.reconstruct, run.predict):
            with pytest.raises(Exception) as error:
                method(X)
            assert all(part in str(error.value) for part in parts), (parts, error.value)
    assert linear.encode(100 * good).shape == (10, 12)  # values of any size
    with pytest.raises(Exception, match=r"X\[0, 0\] is inf"):
        linear.encode(np.full((1, 24), np.inf))


def test_columns_of_a_data_frame_are_matched_by_name(runs: dict[str, Path]) -> None:
    values, _ = rows_of(20)
    run, frame = load_run(runs["sda"]), pd.DataFrame(values / 16, columns=COLUMNS)
    back = frame.iloc[:, ::-1].assign(other=1)
    assert (run.encode(back) == run.encode(values / 16)).all()
    with pytest.raises(DaeError, match="no column p3"):
        run.predict(frame.drop(columns="p3"))
    assert (run.predict(values[:3] > 8) == run.predict((values[:3] > 8).astype(float))).all()


def test_methods_that_a_run_does_not_support_are_refused(runs: dict[str, Path], done: Path) -> None:
    X = np.zeros((2, 24))
    calls: list[tuple[str, Callable[[Any], object], str]] = [
        ("sda", lambda run: run.encode(X, 3), "layers 1 to 2"),
        ("sda", lambda run: run.encode(X, 0), "layers 1 to 2"),
        ("sda", lambda run: run.reconstruct(X, 3), "layers 1 to 2"),
        ("nnet", lambda run: run.reconstruct(X), "not pretrained"),
        ("nnet", lambda run: run.encode(X, pretrained=True), "not pretrained"),
        ("filters", lambda run: run.predict(X), "without labels"),
        ("svm", lambda run: run.encode(X), "an SVM"),
        ("svm", lambda run: run.filters(), "an SVM"),
        ("svm", lambda run: run.to_torch(), "an SVM"),
        ("svm", lambda run: run.metrics, "no epochs"),
    ]
    for cell, call, part in calls:
        run = load_run(runs[cell])
        with pytest.raises(Exception, match=part):
            call(run)
    with pytest.raises(Exception, match="expected one run"):
        load_run(done)
    assert "SdA-2 on own" in repr(load_run(runs["sda"]))
    copy = Path(shutil.copytree(runs["sda"], done / "copy"))
    change_json(copy / "status.json", lambda status: status.update(state="running"))
    with pytest.raises(Exception, match="not finished"):
        load_run(copy)


def test_the_name_of_an_experiment_means_its_newest_run(done: Path) -> None:
    assert load_run("tiny/rect-25").path.name == run_of(done, "rect-25").name


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import dae_cli; "
        "assert not hasattr(dae_cli, 'load') and 'load_run' in dir(dae_cli); "
        "assert set(sys.modules) - before == {'dae_cli'}, set(sys.modules) - before"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# The command


def test_the_runs_own_rows_are_encoded_by_split_with_their_labels(
    dae: Dae, runs: dict[str, Path], tmp_path: Path
) -> None:
    values, labels = rows_of()
    run = load_run(runs["compiled"])
    found = encoded(dae, runs["compiled"], tmp_path / "codes.npz")
    assert list(found) == [f"{name}_{split}" for split in SPLITS for name in ("codes", "y")]
    assert (found["codes_test"] == run.encode(values[TEST:] / 16)).all()
    assert (found["y_test"] == labels[TEST:]).all()
    own = np.concatenate([found["codes_train"], found["codes_valid"]])
    assert sorted(own.tolist()) == sorted(run.encode(values[:TEST] / 16).tolist())
    again = tmp_path / "again.npz"
    encoded(dae, runs["compiled"], again)
    assert again.read_bytes() == (tmp_path / "codes.npz").read_bytes()
    # A CSV has all digits.
    out = tmp_path / "codes.csv"
    dae("encode", runs["compiled"], "--layer", "1", "--out", out).succeeded()
    written = pd.read_csv(out)
    assert list(written) == ["split", "label", *(f"code_{k}" for k in range(1, 13))]
    test = written[written["split"] == "test"]
    codes = test.iloc[:, 2:].to_numpy(np.float32)
    assert (codes == run.encode(values[TEST:] / 16, 1)).all()
    assert (test["label"] == labels[TEST:]).all() and len(written) == 300
    pretrained = encoded(dae, runs["compiled"], tmp_path / "p.npz", "--pretrained")
    expected = run.encode(values[TEST:] / 16, pretrained=True)
    assert (pretrained["codes_test"] == expected).all()
    back = encoded(dae, runs["compiled"], tmp_path / "r.npz", "--reconstruct", "--layer", "2")
    assert (back["reconstructions_test"] == run.reconstruct(values[TEST:] / 16, 2)).all()


def test_rows_without_labels_or_of_a_published_set_are_encoded_too(
    dae: Dae, runs: dict[str, Path], done: Path, tmp_path: Path
) -> None:
    found = encoded(dae, runs["filters"], tmp_path / "codes.npz")
    assert list(found) == ["codes_train"] and found["codes_train"].shape == (300, 12)
    ended = dae("encode", runs["filters"], "--out", tmp_path / "codes.csv").succeeded()
    assert pd.read_csv(ended.lines[0]).columns[0:2].tolist() == ["split", "code_1"]
    rect = run_of(done, "rect-25")
    found = encoded(dae, rect, tmp_path / "rect.npz")
    assert {name: len(found[name]) for name in ("codes_train", "codes_valid", "y_test")} == {
        "codes_train": 100,
        "codes_valid": 50,
        "y_test": 400,
    }
    assert set(found["y_test"]) == {0, 1}


def test_patches_of_photographs_are_cut_again(dae: Dae) -> None:
    """Only if they come with the dependencies; runs do not store a user's photographs."""
    cell = {key: NETWORK[key] for key in ("corruption",)} | {"model": {"hidden": [2]}}
    cell |= {"dataset": "photographs", "patches": {"side": 4, "count": 100}}
    pretrain = {"loss": "squared-error", "learning_rate": 0.01, "epochs": 1}
    path = write("patches.yaml", **cell, pretrain=pretrain)
    dae("train", path).succeeded()
    found = encoded(dae, Path(path), Path("codes.npz"))
    assert {name: codes.shape for name, codes in found.items()} == {"codes_train": (100, 2)}
    dae("encode", path, "--out", "patches.png").succeeded()
    Path("photos").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    Image.fromarray(noise).save("photos/noise.png")
    run = dae("train", path, "--photos", "photos", "--quiet").succeeded().lines[0]
    dae("encode", run, "--out", "codes.npz").failed(2, run, "your own photographs", "--data")
    np.savez("patches.npz", X=np.full((3, 16), -2.5))
    assert encoded(dae, Path(run), Path("codes.npz"), "--data", "patches.npz")["codes"].shape == (
        3,
        2,
    )


def test_other_rows_are_scaled_like_the_runs_own_from_any_kind_of_file(
    dae: Dae, runs: dict[str, Path], tmp_path: Path
) -> None:
    values, labels = rows_of()
    expected = load_run(runs["compiled"]).encode(values / 16)
    other = tmp_path / "other.csv"
    # Columns are in another order, and there are no labels.
    pd.DataFrame(values, columns=COLUMNS).iloc[:, ::-1].to_csv(other, index=False)
    found = encoded(dae, runs["compiled"], tmp_path / "a.npz", "--data", str(other))
    assert list(found) == ["codes"] and (found["codes"] == expected).all()
    frame = pd.read_csv(table(str(other), values, labels))
    frame.to_csv(tmp_path / "other.tsv", index=False, sep="\t")
    np.savez_compressed(tmp_path / "one.npz", X=values.reshape(-1, 4, 6), side=labels)
    by_columns = np.asfortranarray(values[100:].astype(np.float32))
    first = values[:100].astype(np.uint8)
    np.savez(tmp_path / "parts.npz", X_train=first, X_test=by_columns)
    declaration = str(tmp_path / "declared.yaml")  # its scale is not the run's and is not used
    write(declaration, file="one.npz", label="side", scale={"from": [0, 99]})
    write(str(tmp_path / "reversed.yaml"), file="back.csv", scale={"from": [0, 99]})
    pd.DataFrame(values, columns=COLUMNS).iloc[:, ::-1].to_csv(tmp_path / "back.csv", index=False)
    for name, keys in (
        ("other.tsv", ["codes", "y"]),
        ("one.npz", ["codes", "y"]),
        ("parts.npz", ["codes_train", "codes_test"]),
        ("reversed.yaml", ["codes"]),
        ("declared.yaml", ["codes_train", "y_train", "codes_valid", "y_valid", "codes_test"]),
    ):
        found = encoded(dae, runs["compiled"], tmp_path / "b.npz", "--data", str(tmp_path / name))
        assert list(found)[: len(keys)] == keys
        codes = np.concatenate([found[key] for key in found if key.startswith("codes")])
        if name == "declared.yaml":
            assert sorted(codes.tolist()) == sorted(expected.tolist())
        else:
            assert (codes == expected).all()
    found = encoded(dae, runs["compiled"], tmp_path / "c.npz", "--data", str(other))
    assert (found["y"] == labels).all()
    more = pd.DataFrame(values, columns=COLUMNS).assign(part_id=1)
    more.to_csv(tmp_path / "more.csv", index=False)
    words = ("encode", runs["compiled"], "--out", tmp_path / "d.npz", "--data")
    parts = ("more.csv", "unexpected: part_id", "remove", "ignore: [part_id]")
    dae(*words, tmp_path / "more.csv").failed(2, *parts)
    about: dict[str, Any] = {"ignore": ["part_id"], "scale": {"from": [0, 16]}}
    dae(*words, write(str(tmp_path / "more.yaml"), file="more.csv", **about)).succeeded()


def test_minmax_uses_the_runs_training_rows_and_images_keep_their_size(
    dae: Dae, runs: dict[str, Path], tmp_path: Path
) -> None:
    own = encoded(dae, runs["minmax"], tmp_path / "own.npz")
    values, _ = rows_of()
    few = table(str(tmp_path / "few.csv"), values[TEST:][:5])
    found = encoded(dae, runs["minmax"], tmp_path / "few.npz", "--data", few)
    assert (found["codes"] == own["codes_test"][:5]).all()
    beyond = table(str(tmp_path / "beyond.csv"), 2 * values[:5])  # is clipped
    assert (encoded(dae, runs["minmax"], tmp_path / "d.npz", "--data", beyond)["codes"] > 0).all()
    words = ("encode", runs["minmax"], "--data", beyond, "--out", tmp_path / "d.npz")
    clipped = (2 * values[:5] > values[:TEST].max(axis=0)).sum()
    assert f"beyond.csv: values clipped to the range of the training rows: {clipped}" in (
        dae(*words).succeeded().err
    )
    run = load_run(runs["minmax"])
    assert (run.encode(run.scale(values[TEST:][:5])) == found["codes"]).all()
    ranged = encoded(dae, runs["ranged"], tmp_path / "r.npz", "--data", few)
    run = load_run(runs["ranged"])
    assert (run.encode(run.scale(values[TEST:][:5])) == ranged["codes"]).all()
    with pytest.raises(DaeError, match=r"X, row 1, value 1: found 99, .* from -4 to 20"):
        run.scale(np.full((1, 24), 99))
    assert (ranged["codes"] == load_run(runs["ranged"]).encode((values[TEST:][:5] + 4) / 24)).all()
    linear = encoded(dae, runs["linear"], tmp_path / "l.npz", "--data", few)
    assert (linear["codes"] == load_run(runs["linear"]).encode(values[TEST:][:5])).all()
    images = encoded(dae, runs["colour"], tmp_path / "i.npz", "--data", "images")
    paths = sorted(Path().glob("images/*/*"))
    colours = np.array([np.asarray(Image.open(path)).ravel() for path in paths])
    assert (images["codes"] == load_run(runs["colour"]).encode(colours / 255)).all()
    assert images["y"].tolist() == [path.parent.name for path in paths]
    (tmp_path / "bad").mkdir()
    Image.new("RGB", (5, 2)).save(tmp_path / "bad" / "a.png")
    ended = dae("encode", runs["colour"], "--data", tmp_path / "bad", "--out", tmp_path / "x.npz")
    ended.failed(2, "a.png", "5 x 2 pixels", "expected 4 x 2")


def test_minmax_scales_rows_without_the_training_file(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content and its ranges are in the cache; without them, an error has the remedy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    values, labels = rows_of()
    table("lost.csv", values, labels)
    write("lost.yaml", file="lost.csv", label="side", scale="minmax")
    write("cell.yaml", **NETWORK | {"dataset": "lost.yaml", "model": {"hidden": [12]}})
    run = Path(dae("train", "cell.yaml", "--quiet").succeeded().lines[-1])
    few = table("few.csv", values[:9] * 1.5)
    before = encoded(dae, run, Path("a.npz"), "--data", few)["codes"]
    table("lost.csv", values[:200], labels[:200])
    changed = encoded(dae, run, Path("b.npz"), "--data", few)["codes"]
    Path("lost.csv").unlink()
    lost = encoded(dae, run, Path("c.npz"), "--data", few)["codes"]
    assert (before == changed).all() and (before == lost).all()
    loaded = load_run(run)
    assert (loaded.encode(loaded.scale(values[:9] * 1.5)) == before).all()
    for path in Path("cache").glob("*.ranges.json"):
        path.write_text('{"low": [0], "high": 3}')
    ended = dae("encode", run, "--data", few, "--out", "d.npz")
    ended.failed(2, "lost.yaml: scale: minmax", "missing or have changed", "restore the files")


def test_many_rows_are_streamed_to_the_bits_of_the_whole(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    run, rows = run_of(done, "rect-25"), 8500
    X = np.random.default_rng(0).random((rows, 784))
    np.savez(tmp_path / "many.npz", X=X, y=np.arange(rows) % 7)
    words = ("--data", str(tmp_path / "many.npz"))
    tracemalloc.start()
    found = dae("encode", run, *words, "--out", tmp_path / "codes.npz").succeeded()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < X.nbytes / 2 and found.lines == ["codes.npz"]
    with np.load(tmp_path / "codes.npz") as arrays:
        assert (arrays["codes"] == load_run(run).encode(X)).all()
        assert (arrays["y"] == np.arange(rows) % 7).all()
    # The last row is wrong, so nothing is written.
    before = (tmp_path / "codes.npz").read_bytes()
    X[-1, 3] = np.nan
    np.savez(tmp_path / "many.npz", X=X)
    ended = dae("encode", run, *words, "--out", tmp_path / "codes.npz")
    ended.failed(2, "many.npz: X, row 8500, value 4", "missing")
    assert (tmp_path / "codes.npz").read_bytes() == before
    damaged = bytearray((tmp_path / "many.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "many.npz").write_bytes(damaged)
    dae("encode", run, *words, "--out", tmp_path / "new.npz").failed(2, "many.npz", "damaged")
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["codes.npz", "many.npz"]
    assert not list(tmp_path.glob(".*.part"))


def test_a_picture_has_rows_clean_corrupted_and_reconstructed(
    dae: Dae, runs: dict[str, Path], done: Path, tmp_path: Path, tiny_data: Path
) -> None:
    rect = run_of(done, "rect-25")
    for name in ("a.png", "b.png"):
        out = tmp_path / name
        assert dae("encode", rect, "--out", out).succeeded().lines == [str(out)]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert texts_of(out)["Run"] == rect.name
    tiles = np.array(first_row(pixels(out)), dtype=float).reshape(3, 10, 784)
    clean, corrupted, reconstructed = tiles / 255
    with np.load(tiny_data / "rect.npz") as arrays:
        test = arrays["Xtest"][np.arange(400) * 50_000 // 400][np.arange(100) * 4]
    assert (clean == test[:10]).all()
    assert ((corrupted == 0) | (corrupted == clean)).all()
    share = 1 - corrupted.sum() / clean.sum()
    assert 0.2 < share < 0.3
    given = load_run(rect).reconstruct(corrupted)
    assert np.abs(given - reconstructed).max() < 0.01
    dae("encode", rect, "--rows", "4", "--out", tmp_path / "few.png").succeeded()
    few = np.array(first_row(pixels(tmp_path / "few.png")), dtype=float).reshape(3, 4, 784) / 255
    assert (few[0] == test[::25]).all()
    dae("encode", rect, "--rows", "4", "--out", "few.npz").failed(2, "--rows", ".png")
    np.savez(tmp_path / "many.npz", X=np.zeros((2000, 784)))  # a shown row begins a block
    dae("encode", rect, "--data", tmp_path / "many.npz", "--out", tmp_path / "d.png").succeeded()
    dae("encode", runs["colour"], "--out", tmp_path / "c.png").succeeded()
    dae("encode", runs["linear"], "--out", tmp_path / "l.svg").succeeded()
    assert "Gaussian noise, σ 0.5" in (tmp_path / "l.svg").read_text()
    ended = dae("encode", runs["minmax"], "--out", tmp_path / "m.png")
    ended.failed(2, "minmax", "images", "image: [height, width]")


def test_rows_that_cannot_be_encoded_are_exit_code_2_with_the_place_and_the_remedy(
    dae: Dae, runs: dict[str, Path], done: Path, tmp_path: Path
) -> None:
    values, _ = rows_of(20)
    table("few.csv", values)
    values[7, 2] = 17
    table("beyond.csv", values)
    pd.read_csv("few.csv").iloc[:, 1:].to_csv("less.csv", index=False)
    np.savez("bytes.npz", X=np.full((3, 784), 255, np.uint8))
    np.savez("narrow.npz", X=np.zeros((3, 5)))
    np.savez("none.npz", Z=np.zeros(3))
    write("narrow.yaml", file="narrow.npz", image=[1, 5])
    sda, rect = runs["sda"], run_of(done, "rect-0")
    for run, words, parts in (
        (
            sda,
            ["--data", "beyond.csv"],
            ["beyond.csv, row 8, column p2", "17", "0 to 16", "scale the file"],
        ),
        (sda, ["--data", "less.csv"], ["less.csv", "23 columns", "24", "p0"]),
        (sda, ["--data", "narrow.npz"], ["narrow.npz", "5 values", "has 24"]),
        (sda, ["--data", "narrow.yaml"], ["narrow.yaml", "5 values", "24"]),
        (sda, ["--data", "none.npz"], ["none.npz", "neither X nor X_train", "Z"]),
        (sda, ["--data", "nowhere.npz"], ["nowhere.npz", "does not exist"]),
        (sda, ["--data", "sda-cell.yaml"], ["sda-cell.yaml", "file"]),
        (sda, ["--layer", "3"], ["layer 3", "1 to 2"]),
        (sda, ["--pretrained", "--reconstruct"], ["--pretrained", "always"]),
        (sda, ["--layer", "0"], ["--layer"]),
        (sda, ["--out", "codes.txt"], ["codes.txt", ".npz", ".csv"]),
        (rect, ["--data", "bytes.npz"], ["bytes.npz", "255", "from 0 to 1", "your-data.md"]),
        (runs["svm"], [], ["an SVM", "no layers"]),
        (runs["nnet"], ["--reconstruct"], ["not pretrained"]),
        (runs["nnet"], ["--out", tmp_path / "x.png"], ["not pretrained"]),
        (tmp_path, [], ["not a run folder"]),
    ):
        ended = dae("encode", run, "--out", tmp_path / "codes.npz", *map(str, words))
        assert ended.failed(2, *parts).out == "", words
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []
    assert len(dae("encode", "--help").succeeded().lines) <= 24
