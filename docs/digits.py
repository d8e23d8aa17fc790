"""Compare models with scikit-learn's RBM pipeline on its digits: python docs/digits.py

Each seed draws 360 test and 360 validation rows of the 1797, stratified by class, and seeds every
model. A model is trained on the other 1077 rows with each setting of its grid; the one with the
fewest wrong validation rows is tested once. Writes docs/digits.csv and the table in
docs/your-data.md. `--seeds 1` is faster.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid, train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.utils.parallel import Parallel, delayed

from dae_cli import StackedDenoisingAutoencoder

DOCS = Path(__file__).parent
SEEDS = 10
HELD_OUT = 360
RIVAL = "BernoulliRBM + LogisticRegression"


Grid = dict[str, list[Any]]


class Model(NamedTuple):
    """An estimator and its grid; the random_state of its first step is the seed."""

    estimator: Any
    grid: Grid
    validates: bool = False
    """Whether `fit` uses the validation rows for early stopping."""


def models() -> dict[str, Model]:
    """Return all models of the table."""
    # The pipeline is that of scikit-learn's example "Restricted Boltzmann Machine features for
    # digit classification", and its values are in the grids. The exception is its solver's tol=1,
    # which stops before the first step because we do not add shifted rows as the example does.
    logistic = LogisticRegression(solver="newton-cg", tol=0.01, max_iter=1000)
    penalties = [0.1, 1, 10, 100, 1000, 6000]
    rbm: Grid = {"bernoullirbm__learning_rate": [0.06, 0.1]}
    rbm |= {"bernoullirbm__n_components": [100, 200], "bernoullirbm__n_iter": [10, 40, 100]}
    network = StackedDenoisingAutoencoder(pretrain_epochs=20, max_epochs=100)
    features = clone(network).set_params(max_epochs=0)
    destroyed: Grid = {"destruction": [0.1, 0.25, 0.4]}
    tuned: Grid = {"hidden": [(200,), (200, 200)], "learning_rate": [0.1, 0.3]}
    codes = {f"stackeddenoisingautoencoder__{key}": values for key, values in destroyed.items()}
    logistic_grid: Grid = {"logisticregression__C": penalties}
    return {
        "LogisticRegression": Model(logistic, {"C": penalties}),
        RIVAL: Model(make_pipeline(BernoulliRBM(), logistic), rbm | logistic_grid),
        "SdA codes + LogisticRegression": Model(
            make_pipeline(features, logistic), codes | logistic_grid
        ),
        "network without pretraining": Model(
            clone(network).set_params(pretrain_epochs=0), tuned, True
        ),
        "SAA, no corruption": Model(clone(network).set_params(destruction=0.0), tuned, True),
        "SdA": Model(network, destroyed | tuned, True),
    }


class Row(NamedTuple):
    """A row of docs/digits.csv."""

    model: str
    seed: int
    selected: str
    valid_wrong: int
    test_wrong: int
    n_test: int


def run(name: str, model: Model, seed: int) -> Row:
    """Select a model's settings on the validation rows of a seed; count its wrong test rows."""
    (X, y), (X_valid, y_valid), (X_test, y_test) = rows(seed)
    estimator = clone(model.estimator)
    first = getattr(estimator, "steps", [("", estimator)])[0][1]
    first.set_params(random_state=seed)
    validation = {"X_valid": X_valid, "y_valid": y_valid} if model.validates else {}
    tried = []
    with TemporaryDirectory() as folder:
        if hasattr(estimator, "steps"):  # settings of the last step reuse the earlier steps
            estimator.set_params(memory=folder)
        for settings in ParameterGrid(model.grid):
            fitted = clone(estimator).set_params(**settings).fit(X, y, **validation)
            tried.append((int((fitted.predict(X_valid) != y_valid).sum()), fitted, settings))
    wrong, fitted, settings = min(tried, key=lambda one: one[0])
    selected = ", ".join(f"{key.rpartition('__')[2]} {value}" for key, value in settings.items())
    test_wrong = int((fitted.predict(X_test) != y_test).sum())
    return Row(name, seed, selected, wrong, test_wrong, len(y_test))


def rows(seed: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return images and labels of the training, validation and test rows."""
    X, y = load_digits(return_X_y=True)
    rest, test = train_test_split(
        np.arange(len(y)), test_size=HELD_OUT, stratify=y, random_state=seed
    )
    train, valid = train_test_split(rest, test_size=HELD_OUT, stratify=y[rest], random_state=seed)
    return [(X[part] / 16, y[part]) for part in (train, valid, test)]


def table(found: Sequence[Row]) -> str:
    """Return the table of the page from the rows of the CSV file."""
    errors: dict[str, list[float]] = {}
    for row in sorted(found, key=lambda row: row.seed):
        errors.setdefault(row.model, []).append(100 * row.test_wrong / row.n_test)
    lines = [f"| model | test error, % | lower than {RIVAL} by |", "|---|---:|---:|"]
    for model, own in errors.items():
        gain = [b - a for a, b in zip(own, errors[RIVAL], strict=True)]
        lines.append(f"| {model} | {_mean(own)} | {'–' if model == RIVAL else _mean(gain)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    """Mean over the seeds and its 95 % interval."""
    n = len(values)
    if n < 2:
        return f"{values[0]:.2f}"
    half = student.ppf(0.975, n - 1) * statistics.stdev(values) / n**0.5
    return f"{statistics.mean(values):.2f} ± {half:.2f}"


def page(text: str, found: Sequence[Row]) -> str:
    """Return the text of docs/your-data.md with an updated table."""
    begin, end = r"(<!-- digits: [^\n]* -->\n\n)", r"(\n\n<!-- end -->)"
    return re.sub(begin + ".*?" + end, lambda m: m[1] + table(found) + m[2], text, flags=re.DOTALL)


def read(path: Path) -> list[Row]:
    """Read the rows of the CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))[1:]
    return [
        Row(model, int(seed), chosen, *map(int, counts)) for model, seed, chosen, *counts in lines
    ]


def main(words: Sequence[str] | None = None) -> None:
    """Run every model with every seed and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder with your-data.md")
    asked = parser.parse_args(words)
    jobs = [(*item, seed) for seed in range(asked.seeds) for item in models().items()]
    found = Parallel(n_jobs=-1)(delayed(run)(*job) for job in jobs)
    found = sorted(found, key=lambda row: (list(models()).index(row.model), row.seed))
    with (asked.out / "digits.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([Row._fields, *found])
    text = (asked.out / "your-data.md").read_text(encoding="utf-8")
    (asked.out / "your-data.md").write_text(page(text, found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
