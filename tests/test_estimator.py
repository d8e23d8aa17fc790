"""The estimator: scikit-learn's checks, the bits of `dae train`, messages, the page's table."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml
from numpy.typing import NDArray

import dae_cli
from tests.entry_points.docs import load_script
from tests.entry_points.training import has_engine
from tests.support.commands import Ended
from tests.support.tiny import read_csv, read_json

Dae = Callable[..., Ended]
Array = NDArray[Any]
PAGE = Path(__file__).parents[1] / "docs" / "your-data.md"
QUICK: dict[str, Any] = {
    "hidden": (12, 9),
    "pretrain_epochs": 2,
    "max_epochs": 4,
    "patience": 4,
    "engine": "torch",
}


def estimator(**changes: Any) -> Any:
    return dae_cli.StackedDenoisingAutoencoder(**QUICK | changes)


@pytest.fixture(scope="module")
def rows() -> tuple[Array, Array]:
    """300 digits in [0, 1], and their labels as text."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, np.char.add("d", y[:300].astype(str))


def experiment(declaration: dict[str, Any], **sections: Any) -> None:
    """Write one.yaml with the settings of `estimator()`, and own.yaml with its data."""
    settings: dict[str, Any] = {
        "dataset": "own.yaml",
        "model": {"hidden": [12, 9]},
        "corruption": {"destruction": 0.25},
        "pretrain": {"learning_rate": 0.1, "epochs": 2},
        "finetune": {"learning_rate": 0.1, "max_epochs": 4, "patience": 4},
    }
    for key, section in sections.items():
        settings[key] = settings[key] | section if isinstance(section, dict) else section
    settings = {key: value for key, value in settings.items() if value is not None}
    Path("one.yaml").write_text(yaml.safe_dump(settings))
    Path("own.yaml").write_text(yaml.safe_dump(declaration))


def test_it_passes_the_checks_of_scikit_learn() -> None:
    """With squared error, because the checks use negative values."""
    from sklearn.exceptions import SkipTestWarning
    from sklearn.utils.estimator_checks import check_estimator

    noise = {"corruption": {"kind": "gaussian", "sigma": 0.3}}
    one = estimator(hidden=(8,), loss="squared-error", destruction=0.0, settings=noise)
    one.set_params(batch_size=5, pretrain_epochs=1, pretrain_learning_rate=0.01)
    one.set_params(learning_rate=1.0, max_epochs=8, patience=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)  # the array API is not enabled
        check_estimator(one)


@pytest.mark.parametrize("engine", ["torch", "compiled"])
@pytest.mark.parametrize("given", [True, False])
def test_the_same_rows_and_settings_give_the_bits_of_the_command(
    dae: Dae, rows: tuple[Array, Array], engine: str, given: bool
) -> None:
    """Parameters, epochs and test errors, with given and with drawn validation rows."""
    if not has_engine(engine):
        pytest.skip(f"{engine} does not run here")
    X, y = rows
    parts: dict[str, slice] = {"train": slice(200), "test": slice(250, 300)}
    parts |= {"valid": slice(200, 250)} if given else {}
    arrays: dict[str, Any] = {f"X_{name}": X[part] for name, part in parts.items()}
    np.savez("own.npz", **arrays | {f"y_{name}": y[part] for name, part in parts.items()})
    split = {} if given else {"valid": 0.2, "seed": 7}
    experiment(
        {"file": "own.npz", "label": "y", "split": split},
        model={"tied": False},
        finetune={"window": 2},
        seed=7,
    )
    run = Path(dae("train", "one.yaml", "--engine", engine).succeeded().lines[-1])

    settings = {"model": {"tied": False}, "finetune": {"window": 2}}
    one = estimator(engine=engine, random_state=7, validation_fraction=0.2, settings=settings)
    validation = {"X_valid": X[200:250], "y_valid": y[200:250]} if given else {}
    one.fit(X[:200], y[:200], **validation)
    saved = safetensors.numpy.load_file(run / "checkpoint.safetensors")
    for name, coef, intercept in zip("12t", one.coefs_, one.intercepts_, strict=True):
        name = {"t": "top"}.get(name, name)
        assert np.array_equal(saved[f"best.{name}.weight"], coef.T), name
        assert np.array_equal(saved[f"best.{name}.bias"], intercept), name
    epochs = read_csv(run / "metrics.csv")
    assert list(one.metrics_) == list(epochs[0])
    assert [float(epoch["cost"]) for epoch in epochs] == one.metrics_["cost"].tolist()
    tuned = [float(epoch["valid_wrong"]) for epoch in epochs if epoch["phase"] == "finetune"]
    assert tuned == one.metrics_["valid_wrong"].dropna().tolist()
    wrong = (one.predict(X[250:]) != y[250:]).sum()
    assert wrong == read_json(run / "status.json")["n_wrong"] < 45
    saved_run = dae_cli.load_run(run)
    assert np.array_equal(saved_run.predict(X[250:]), one.predict(X[250:]))
    assert np.array_equal(saved_run.encode(X[250:]), one.transform(X[250:]))
    other = estimator(engine=engine, random_state=8).fit(X[:200], y[:200])
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])


def test_without_labels_it_pretrains_to_the_bits_of_the_command_and_predicts_nothing(
    dae: Dae, rows: tuple[Array, Array]
) -> None:
    from sklearn.exceptions import NotFittedError

    X, y = rows
    np.savez("own.npz", X=X)
    experiment({"file": "own.npz"}, model={"hidden": [12]}, finetune=None)
    run = Path(dae("train", "one.yaml").succeeded().lines[-1])
    saved = safetensors.numpy.load_file(run / "checkpoint.safetensors")
    one = estimator(hidden=[12]).fit(X, y).fit(X)  # the second fit replaces the first
    weight, bias = saved["pretrained.1.weight"], saved["pretrained.1.hidden_bias"]
    assert np.array_equal(one.coefs_[0].T, weight) and len(one.coefs_) == 1
    assert not hasattr(one, "classes_")
    codes = one.transform(X)
    assert codes.dtype == np.float32 and codes.shape == (300, 12)
    np.testing.assert_allclose(codes, 1 / (1 + np.exp(-(X @ weight.T + bias))), atol=1e-6)
    for predict in (one.predict, one.predict_proba, lambda X: one.score(X, y)):
        with pytest.raises(NotFittedError, match=r"without labels.*call fit with y"):
            predict(X)
    tuned = estimator(hidden=[12], max_epochs=0).fit(X, y)
    assert np.array_equal(tuned.transform(X), codes)
    deep = estimator().fit(X)
    assert deep.transform(X).shape == (300, 9) and len(deep.coefs_) == 2


def test_it_works_in_a_pipeline_and_a_search_and_can_be_pickled(rows: tuple[Array, Array]) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler

    X, y = rows
    sda = estimator(hidden=(30,), max_epochs=20, patience=20, random_state=None)
    model = Pipeline([("scale", MinMaxScaler()), ("sda", sda)])
    grid = {"sda__destruction": np.array([0.1, 0.3]), "sda__hidden": [[30], (12, 9)]}
    search = GridSearchCV(model, {**grid, "sda__batch_size": np.array([10])}, cv=2)
    search.set_params(estimator__sda__random_state=np.random.RandomState(3))
    search.fit(16 * X - 3, y)
    assert search.score(16 * X - 3, y) > 0.8
    best = search.best_estimator_
    again = pickle.loads(pickle.dumps(best))
    assert np.array_equal(again.predict_proba(16 * X - 3), best.predict_proba(16 * X - 3))
    untied = estimator(settings={"model": {"tied": False}})
    assert clone(untied).get_params() == untied.get_params()
    steps = [("codes", estimator(max_epochs=0)), ("top", GaussianNB())]
    features = Pipeline(steps).set_output(transform="pandas").fit(X, y)
    assert features[:-1].transform(X).columns[0] == "stackeddenoisingautoencoder0"
    assert not hasattr(features["codes"], "classes_")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "several": (
        {"hidden": (3, 0), "learning_rate": -1.0, "settings": {"finetune": {"windw": 2}}},
        r"3 problems.*hidden=\[3, 0\] +item 2 \(0\).*learning_rate=-1.0 +must be above 0"
        r".*settings +finetune.windw: unknown key; did you mean finetune.window\?",
    ),
    "many": ({"hidden": [1] * 6000}, r"hidden=\[1,[1, ]{30,40}… +more than 5000 values"),
    "kind": ({"pretrain_epochs": 2.5}, r"pretrain_epochs=2.5 +must be a whole number"),
    "alone": (
        {"settings": {"corruption": {"kind": "gaussian"}}},
        r"destruction=0.25 +gaussian noise has no destruction",
    ),
    "twice": (
        {"settings": {"finetune": {"patience": 3}}},
        "finetune.patience: .*parameter patience",
    ),
    "sections": ({"settings": ["finetune"]}, "settings.*must be a mapping"),
    "seed": ({"random_state": -1}, "random_state=-1: must be from 0 to 4294967295"),
    "batch": ({"batch_size": 300}, r"batch_size=300 +must be from 1 to 256: .*training rows of X"),
    "engine": ({"engine": "blas"}, "engine='blas'.*torch and compiled"),
    "fraction": ({"validation_fraction": 1}, "validation_fraction=1: must be above 0 and below 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_parameters_are_named_as_in_the_estimator(
    case: str, rows: tuple[Array, Array]
) -> None:
    changes, message = WRONG[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        estimator(**changes).fit(*rows)


def test_rows_that_cannot_be_used_are_refused_with_what_to_do(rows: tuple[Array, Array]) -> None:
    from sklearn.exceptions import NotFittedError

    X, y = rows
    beyond = X.copy()
    beyond[7, 12] = 1.5
    refused: dict[Callable[[], Any], str] = {
        lambda: estimator().fit(beyond): r"X\[7, 12\] is 1.5.*MinMaxScaler.*squared-error",
        lambda: estimator().fit(-X, y): r"from -1 to -?0",
        lambda: estimator().fit(X, ["one"] * 300): "y has one class, 'one'",
        lambda: estimator().fit(X, [*y[1:], "x"]): "'x' has n_samples=1.*X_valid and y_valid",
        lambda: estimator().fit(X, y, X_valid=X): "both X_valid and y_valid",
        lambda: estimator().fit(X, y, X[:2], ["d0", "q"]): "y_valid .*label 'q'",
        lambda: estimator().fit(X, y, X[:3], y[:2]): r"inconsistent numbers of samples.*3, 2",
        lambda: estimator().fit(X, y, X[:2, 1:], y[:2]): "63 features.*64",
        lambda: estimator(pretrain_epochs=0).fit(X): "pretrain_epochs=0.* y.*max_epochs",
        lambda: estimator().fit(X, y, 9 * X[:2], y[:2]): r"X_valid\[\d, \d+\] is .*MinMaxScaler",
        lambda: estimator(validation_fraction="a").fit(X, y): "validation_fraction=a: must be",
    }
    for fit, message in refused.items():
        with pytest.raises(ValueError, match=f"(?s){message}"):
            fit()
    refusing = estimator()
    with pytest.raises(ValueError, match="MinMaxScaler"):
        refusing.fit(beyond, y)
    with pytest.raises(NotFittedError):
        refusing.transform(X)
    estimator(loss="squared-error", pretrain_learning_rate=0.01).fit(beyond, y)
    rounded = X.astype(np.float32) * np.float32(1 + 1e-7)  # like the output of a float32 scaler
    assert rounded.max() > 1
    clipped = estimator().fit(rounded.clip(0, 1), y)
    assert np.array_equal(estimator().fit(rounded, y).coefs_[0], clipped.coefs_[0])


def test_importing_the_package_loads_none_of_it() -> None:
    code = (
        "import dae_cli, sys; loaded = {'numpy', 'torch', 'sklearn', 'pandas'} & {*sys.modules}; "
        "assert not loaded, loaded; dae_cli.Nothing"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.stderr.splitlines()[-1].startswith("AttributeError"), ended.stderr


def test_the_page_shows_code_that_runs_and_the_table_of_its_counts() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## scikit-learn")[2]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    assert found["search"].score(found["X_test"], found["y_test"]) > 0.95
    assert found["codes"].shape == (450, 100)

    digits = load_script("digits")
    counts = digits.read(PAGE.with_name("digits.csv"))
    assert digits.page(text, counts) == text and digits.table(counts) in text
    assert {row.n_test for row in counts} == {360} and len(counts) == 6 * 10
    parts = [{x.tobytes() for x in X} for X, _ in digits.rows(1)]
    assert [len(part) for part in parts] == [1077, 360, 360] and len(set.union(*parts)) == 1797
    model = digits.models()["SdA codes + LogisticRegression"]
    grid = {"stackeddenoisingautoencoder__destruction": [0.1], "logisticregression__C": [0.1, 1]}
    row = digits.run("SdA codes", model._replace(grid=grid), 1)
    assert row.selected in ("C 1, destruction 0.1", "C 0.1, destruction 0.1")
    assert row.test_wrong < 40
