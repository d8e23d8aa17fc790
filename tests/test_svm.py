"""SVM cells: kernels, agreement with scikit-learn, selection on validation rows, resuming."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.entry_points.equations import Masking, corrupt
from tests.entry_points.filters import DaeError
from tests.entry_points.svm import Kernel, kernel_values, label
from tests.entry_points.training import stream_of
from tests.support import commands
from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.interrupts import interrupt_when_written
from tests.support.synthetic_results import write_csv
from tests.support.tiny import RESULT, read_csv, write_study

Dae = Callable[..., Ended]
Whole = tuple[Path, Ended]
Rows = NDArray[Any]
Point = tuple[float, int, float, float, float]
"""ν, degree (0 for the kernel rbf), gamma, offset and penalty, which is the order of trials."""

N_TRAIN, N_VALID, N_TEST = 60, 40, 5300  # more test rows than are labelled at once
CELLS: dict[str, dict[str, Any]] = {
    "rbf": {"kernel": "rbf", "gammas": [0.1, 0.001], "penalties": [10.0, 0.1]},
    "poly": {"kernel": "poly", "gammas": [0.01], "degrees": [5, 2], "penalties": [1.0]},
    "grid": {"kernel": "rbf", "gammas": [0.003, 0.03], "penalties": [1.0, 3.0], "refine": False},
    "steep": {"kernel": "poly", "gammas": [0.002], "degrees": [20], "penalties": [1.0]},
    "edge": {"kernel": "poly", "gammas": [0.002], "degrees": [19], "penalties": [1.0]},
    "hopeless": {"kernel": "rbf", "gammas": [300, 100], "penalties": [5.0, 2.0, 9.0]},
}
CELLS["hopeless"]["refine"] = False
CELLS["wide"] = {"kernel": "rbf", "gammas": [0.01], "penalties": [0.1], "widen": True}
CELLS["offsets"] = {"kernel": "poly", "gammas": [1e-4, 1e-3], "degrees": [2, 3], "widen": True}
CELLS["wide"]["refine"] = False
CELLS["offsets"] |= {"offsets": [0, 1], "penalties": [0.1, 1.0], "refine": False}
CELLS["destroyed"] = {"kernel": "rbf", "gammas": [1e-3, 1e-2], "penalties": [1.0, 10.0]}
CELLS["destroyed"] |= {"destructions": [0, 0.1, 0.4], "widen": True}
NETWORK = {
    "model": {"hidden": [6]},
    "pretrain": {"learning_rate": 0.1, "epochs": 1},
    "finetune": {"learning_rate": 0.5, "max_epochs": 2, "patience": 2},
}


def noisy_rows(seed: int = 3) -> dict[str, Rows]:
    """Return arrays like rect.npz: two densities of pixels, with a fifth of the labels wrong."""
    random = np.random.default_rng(seed)
    density = 0.1 + 0.25 * random.random((2, 784))
    arrays: dict[str, Rows] = {}
    splits = (("X", "Y", 1200, 1200), ("Xtest", "Ytest", 50_000, 997))
    for images, labels, rows, different in splits:
        truth = random.integers(0, 2, different)
        pixels = (random.random((different, 784)) < density[truth]).astype(np.uint8)
        answers = truth ^ (random.random(different) < 0.2)
        at = np.arange(rows) % different
        arrays |= {images: pixels[at], labels: answers[at].astype(np.uint8)}
    return arrays


def parts(arrays: dict[str, Rows]) -> dict[str, tuple[Rows, Rows]]:
    """Return the evenly spaced rows of each split that are the subset: images and labels."""
    found = {}
    for name, images, labels, first, of, rows in (
        ("train", "X", "Y", 0, 1000, N_TRAIN),
        ("valid", "X", "Y", 1000, 200, N_VALID),
        ("test", "Xtest", "Ytest", 0, 50_000, N_TEST),
    ):
        at = first + np.arange(rows) * of // rows
        found[name] = (arrays[images][at].astype(np.float64), arrays[labels][at])
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Whole:
    """Run SVMs and a network with two seeds; return the results, not to be changed, and outcome."""
    folder = tmp_path_factory.mktemp("svms")
    np.savez(folder / "rect.npz", allow_pickle=False, **noisy_rows())
    cells: dict[str, dict[str, Any]] = {
        "net": NETWORK,
        **{name: {"svm": svm} for name, svm in CELLS.items()},
    }
    subset = {"train": N_TRAIN, "valid": N_VALID, "test": N_TEST}
    write_study(folder, "svms", cells, shared={"dataset": "rect", "subset": subset})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_DATA_DIR", str(folder))
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        ended = commands.dae("replicate", "svms", "--seeds", "2").succeeded()
    return folder / "results" / "svms", ended


@pytest.fixture
def here(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the study and its results to the test's folder; return the results' path."""
    folder = whole[0].parents[1]
    for name in ("experiments", "results"):
        shutil.copytree(folder / name, tmp_path / name)
    monkeypatch.setenv("DAE_DATA_DIR", str(folder))
    return tmp_path / "results" / "svms"


def row_of(out: Path, cell: str) -> dict[str, str]:
    """Return the row of runs.csv for the only run of a cell."""
    (row,) = [row for row in read_csv(out / "runs.csv") if row["cell"] == cell]
    return row


def run_of(out: Path, cell: str) -> Path:
    """Return the folder of the only run of a cell."""
    return out / "runs" / row_of(out, cell)["run"]


def result_of(run: Path) -> dict[str, Any]:
    """Return the result of a run in its status.json."""
    status: dict[str, Any] = json.loads((run / "status.json").read_text())
    return {name: status[name] for name in RESULT if name in status}


def trials_of(run: Path) -> list[dict[str, str]]:
    """Return the rows of trials.csv without the column `seconds`."""
    rows = read_csv(run / "trials.csv")
    assert all(re.fullmatch(r"\d+\.\d\d", row.pop("seconds")) for row in rows)
    return rows


def point_of(row: dict[str, str]) -> Point:
    """Return the parameters of a trial."""
    nu, offset = float(row.get("nu", 0)), float(row.get("offset", 1))
    return nu, int(row["degree"] or 0), float(row["gamma"]), offset, float(row["penalty"])


def destroyed(images: Rows, nu: float, seed: int = 0) -> Rows:
    """Set exactly round(ν·784) drawn inputs of each row to 0; training before validation rows."""
    random = stream_of("SVM_CORRUPTION", seed)
    found = corrupt(Masking(nu), images.astype(np.float32), random)
    ones = corrupt(Masking(nu), np.ones_like(found), stream_of("SVM_CORRUPTION", seed))
    assert ((ones == 0).sum(axis=1) == round(nu * 784)).all()
    np.testing.assert_array_equal(found, images * ones)
    return found.astype(np.float64)


def plain_svc(kind: str, point: Point) -> Any:
    """Return scikit-learn's SVM."""
    from sklearn.svm import SVC

    _, degree, gamma, coef0, penalty = point
    return SVC(kernel=kind, C=penalty, gamma=gamma, degree=degree or 3, coef0=coef0)


# Kernels and SVMs.


def test_kernels_are_those_of_the_textbook() -> None:
    a, b = (np.random.default_rng(seed).random((n, 25), np.float32) for seed, n in ((0, 7), (1, 5)))
    before, inner = a.copy(), a.astype(float) @ b.T.astype(float)
    far = ((a[:, None].astype(float) - b.astype(float)) ** 2).sum(axis=2)
    found = kernel_values(Kernel("rbf", 0.3), a, b)
    np.testing.assert_allclose(found, np.exp(-0.3 * far), rtol=1e-12)
    assert (np.diag(kernel_values(Kernel("rbf", 1e6), a, a)) <= 1).all()
    for degree in range(1, 21):
        found = kernel_values(Kernel("poly", 0.2, degree, 1.5), a, b)
        np.testing.assert_allclose(found, (0.2 * inner + 1.5) ** degree, rtol=1e-12)
    # The default offset is 1.
    found = kernel_values(Kernel("poly", 0.5, 2), a, b)
    np.testing.assert_allclose(found, (0.5 * inner + 1) ** 2, rtol=1e-12)
    np.testing.assert_array_equal(a, before)


def blobs(n_classes: int, n: int, seed: int) -> tuple[Rows, Rows]:
    """Return rows of 25 bytes around a centre for each class, and their labels."""
    centres = np.random.default_rng(9).integers(60, 196, (n_classes, 25))
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_classes, n).astype(np.uint8)
    noisy = centres[labels] + random.normal(0, 60, (n, 25))
    return noisy.clip(0, 255).astype(np.uint8), labels


def test_rows_are_labelled_as_scikit_learn_labels_them() -> None:
    kernels = (Kernel("rbf", 0.1), Kernel("poly", 0.05, 3), Kernel("poly", 0.1, 2, 0.0))
    for n_classes, kernel in product((2, 4), kernels):
        # Enough rows that both training and labelling need several blocks.
        (train, labels), (rows, truth) = blobs(n_classes, 620, 1), blobs(n_classes, 5203, 2)
        point = (0, kernel.degree, kernel.gamma, kernel.coef0, 3.0)
        plain = plain_svc(kernel.kind, point)
        predicted = plain.fit(train / 255, labels).predict(rows / 255)
        assert (predicted != truth).mean() < 0.5  # better than chance
        truth[[0, 499, 500, 5000, 5202]] = 9
        # The numbers of the classes are arbitrary.
        ours = label(kernel, 3.0, train, labels * 4 + 3, rows, truth * 4 + 3)
        assert (ours.labels != predicted * 4 + 3).sum() <= 1  # both solve only to a tolerance
        np.testing.assert_array_equal(ours.wrong, ours.labels != truth * 4 + 3)
        assert len(set(plain.support_) ^ set(ours.support)) <= 0.02 * len(train)
        assert ours.scores.shape == (5203, 1 if n_classes == 2 else 6)
        if n_classes == 2:
            theirs = -plain.decision_function(rows / 255)
            np.testing.assert_allclose(ours.scores[:, 0], theirs, atol=8e-3)


def test_training_without_an_end_is_given_up_and_what_cannot_be_trained_is_refused() -> None:
    random = np.random.default_rng(0)
    train = random.integers(0, 256, (40, 2), dtype=np.uint8)
    labels = random.integers(0, 2, 40).astype(np.uint8)
    assert not label(Kernel("poly", 10.0, 9), 1e9, train, labels, train, labels).converged
    assert label(Kernel("poly", 10.0, 2), 1.0, train, labels, train, labels).converged
    # Kernel values beyond float32, in which libsvm stores kernels.
    large = label(Kernel("poly", 1000.0, 20), 1.0, train, train[:, 0] // 128, train, labels)
    assert (large.labels == train[:, 0] // 128).mean() > 0.9
    with pytest.raises(DaeError, match=r"\b40\b"):
        label(Kernel("rbf", 0.1), 1.0, train, labels * 0, train, labels)


def test_what_ends_the_training_of_a_run_is_told(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = noisy_rows()
    arrays["Y"][:1000] = 1
    np.savez(tmp_path / "rect.npz", allow_pickle=False, **arrays)
    monkeypatch.setenv("DAE_DATA_DIR", str(tmp_path))
    subset = {"train": N_TRAIN, "valid": N_VALID, "test": 20}
    cells = {"rbf": {"svm": CELLS["rbf"]}}
    write_study(tmp_path, "alike", cells, shared={"dataset": "rect", "subset": subset})
    dae("replicate", "alike").failed(1, f"{N_TRAIN} training rows", "one class")


# Selection.


def test_every_trial_is_scikit_learns_machine_of_the_training_rows_on_the_validation_rows(
    whole: Whole,
) -> None:
    of = parts(noisy_rows())
    for cell, svm in CELLS.items():
        rows = trials_of(run_of(whole[0], cell))
        for row in rows:
            images = destroyed(of["train"][0], point_of(row)[0])
            plain = plain_svc(svm["kernel"], point_of(row)).fit(images, of["train"][1])
            wrong = int((plain.predict(of["valid"][0]) != of["valid"][1]).sum())
            assert abs(int(row["n_wrong"]) - wrong) <= (int(row["degree"] or 0) > 8)
            assert abs(int(row["n_support"]) - len(plain.support_)) <= 1
            assert row["valid_error_percent"] == f"{100 * int(row['n_wrong']) / N_VALID:.4f}"
            assert (row["converged"], row["kernel"]) == ("true", svm["kernel"])
        if cell == "hopeless":
            assert len({row["n_wrong"] for row in rows}) == 1  # the kernel is nearly the identity


def test_an_svm_of_destroyed_inputs_has_clean_validation_and_test_rows_and_chooses_nu(
    whole: Whole, dae: Dae
) -> None:
    run, row = run_of(whole[0], "destroyed"), row_of(whole[0], "destroyed")
    assert run.name.startswith("rect-svm-rbf-nu-s0-")
    assert (row["model"], row["destruction_percent"]) == ("SVM_rbf(nu)", "0")
    of, trials = parts(noisy_rows()), trials_of(run)
    assert {trial["nu"] for trial in trials} == {"0.0", "0.1", "0.4"}
    # The best trial of each ν; the zeros of a row are drawn once.
    for nu in ("0.1", "0.4"):
        best = min((t for t in trials if t["nu"] == nu), key=lambda t: int(t["n_wrong"]))
        images = destroyed(of["train"][0], float(nu))
        plain = plain_svc("rbf", point_of(best)).fit(images, of["train"][1])
        wrong = (plain.predict(of["valid"][0]) != of["valid"][1]).sum()
        assert abs(int(best["n_wrong"]) - wrong) <= 1


def test_the_search_looks_around_the_best_as_long_as_something_is_better(whole: Whole) -> None:
    for cell, svm in CELLS.items():
        points = [point_of(row) for row in trials_of(run_of(whole[0], cell))]
        assert points == searched(run_of(whole[0], cell), svm), cell
        if cell in ("steep", "edge"):
            assert max(point[1] for point in points) == 20
        if cell == "hopeless":
            assert len(points) == 6  # neither extended nor refined


def test_a_grid_whose_best_lies_at_an_edge_widens_as_long_as_that_makes_it_better(
    whole: Whole,
) -> None:
    points = [point_of(row) for row in trials_of(run_of(whole[0], "wide"))]
    assert {point[2] for point in points} == {0.001, 0.01, 0.1}
    assert {point[4] for point in points} == {0.01, 0.1, 1.0, 10.0, 100.0}  # extended several times
    points = [point_of(row) for row in trials_of(run_of(whole[0], "offsets"))]
    assert {point[3] for point in points} == {0.0, 1.0}
    assert len({point[2] for point in points}) > 2
    assert {point[1] for point in points} > {2, 3}


def searched(run: Path, svm: dict[str, Any]) -> list[Point]:
    """Return the trials of a search in its order, from their numbers of wrong rows."""
    wrong = {point_of(row): int(row["n_wrong"]) for row in trials_of(run)}
    poly = svm["kernel"] == "poly"
    tried: list[Point] = []

    def try_all(points: Sequence[Point]) -> None:
        tried.extend(sorted(set(points) - set(tried)))

    def best() -> Point:
        # Ties are broken by the smallest penalty, then degree, then gamma.
        return min(tried, key=lambda p: (wrong[p], p[4], p))

    axes = (
        *(svm.get("destructions", [0]), svm["degrees"] if poly else [0], svm["gammas"]),
        *(svm.get("offsets", [1]), svm["penalties"]),
    )
    try_all(list(product(*axes)))
    while svm.get("widen", False):
        before = best()
        kernels, penalties = {p[:4] for p in tried}, {p[4] for p in tried}
        wider = set()
        for axis, factor, low, high in ((2, 10, 1e-6, 1e3), *[(1, 1.5, 1, 20)] * poly):
            for value in beyond(before[axis], {k[axis] for k in kernels}, factor, low, high):
                value = round(value) if axis == 1 else tidy(value)
                wider |= {(*k[:axis], value, *k[axis + 1 :]) for k in kernels}
        more = [tidy(c) for c in beyond(before[4], penalties, 10, 1e-9, 1e6)]
        rows = [*product(wider, penalties), *product(kernels, more)]
        try_all([(*kernel, penalty) for kernel, penalty in rows])
        if wrong[best()] == wrong[before]:
            break
    for factor in (10.0, 10**0.5, 10**0.25) if svm.get("refine", True) else ():
        while True:
            nu, degree, gamma, offset, penalty = before = best()
            steps = (1 / factor, 1.0, factor)
            near = [
                (nu, degree, tidy(gamma * a), offset, tidy(penalty * b))
                for a in steps
                for b in steps
            ]
            if poly:
                degrees = [d for d in (degree - 1, degree + 1) if 1 <= d <= 20]
                near += [(nu, d, gamma, offset, penalty) for d in degrees]
            try_all(near)
            if wrong[best()] == wrong[before]:
                break
    return tried


def beyond(value: float, values: set[Any], factor: float, low: float, high: float) -> list[float]:
    """Return the next values beyond the edges of a grid that a value lies at."""
    down = [max(low, value / factor)] if value == min(values) and value > low else []
    up = [min(high, value * factor)] if value == max(values) and value < high else []
    return down + up


def tidy(value: float) -> float:
    """Round to hundredths of a decade and three digits, so that a step up and down cancel out."""
    return float(f"{10 ** round(math.log10(value), 2):.3g}")


def test_the_best_is_trained_again_with_the_validation_rows_and_counted_on_the_test_rows(
    whole: Whole,
) -> None:
    of, out = parts(noisy_rows()), whole[0]
    images, labels = (np.concatenate(both) for both in zip(of["train"], of["valid"], strict=True))
    for cell, svm in CELLS.items():
        run, row = run_of(out, cell), row_of(out, cell)
        trials = trials_of(run)
        best = min(trials, key=lambda t: (int(t["n_wrong"]), point_of(t)[4], point_of(t)))
        nu, degree, gamma, offset, penalty = point_of(best)
        plain = plain_svc(svm["kernel"], point_of(best)).fit(destroyed(images, nu), labels)
        wrong = plain.predict(of["test"][0]) != of["test"][1]
        ours = np.unpackbits(np.load(run / "wrong_rows.npy"))[:N_TEST].astype(bool)
        assert (ours != wrong).sum() <= (20 if degree > 8 else 6), cell
        assert 0 < ours.mean() < 0.55
        nu_text = f"nu {nu:g}, " if "destructions" in svm else ""
        degree_text = f"degree {degree}, " if degree else ""
        offset_text = f"offset {offset:g}, " if "offsets" in svm else ""
        selected = f"{nu_text}{degree_text}gamma {gamma:g}, {offset_text}C {penalty:g}"
        expected = {
            "model": f"SVM_{svm['kernel']}" + "(nu)" * ("destructions" in svm),
            "n_wrong": str(ours.sum()),
            "n_test": str(N_TEST),
            "test_error_percent": f"{100 * ours.sum() / N_TEST:.2f}",
            "valid_error_percent": f"{float(best['valid_error_percent']):.2f}",
            "trials": str(len(trials)),
            "selected": selected,
            **{"best_epoch": "", "epochs": "", "seed": "0"},
            **{"engine": "libsvm", "device": "cpu", "threads": "1"},
        }
        assert {name: row[name] for name in expected} == expected
    hopeless = row_of(out, "hopeless")["selected"]
    assert hopeless == "gamma 100, C 2"  # a tie: the smallest parameters


def test_the_test_rows_have_no_say(here: Path, dae: Dae) -> None:
    arrays = noisy_rows()
    arrays["Ytest"] = 1 - arrays["Ytest"]
    Path("other").mkdir()
    np.savez("other/rect.npz", allow_pickle=False, **arrays)
    ended = dae("train", "svms/grid", "--data-dir", "other").succeeded()
    one, other = run_of(here, "grid"), Path(ended.lines[-1])
    assert one.name != other.name
    assert trials_of(one) == trials_of(other)
    tensors = [load_file(run / "checkpoint.safetensors") for run in (one, other)]
    assert all((tensors[1][name] == tensor).all() for name, tensor in tensors[0].items())
    assert result_of(one)["n_wrong"] + result_of(other)["n_wrong"] == N_TEST
    assert result_of(one)["valid_error_percent"] == result_of(other)["valid_error_percent"]
    # Each trial was reported with the best error so far.
    reported = re.findall(r"^select trial +(\d+)\D+([\d.]+)", ended.err, re.M)
    errors = [float(trial["valid_error_percent"]) for trial in trials_of(one)]
    assert reported == [(str(k), f"{min(errors[:k]):.2f}") for k in range(1, 5)]
    assert f"{100 * result_of(other)['n_wrong'] / N_TEST:.2f}" in ended.lines[0]


# With networks in one study.


def test_an_svm_is_run_once_whatever_the_seeds_and_has_its_place_in_every_table(
    whole: Whole,
) -> None:
    out = whole[0]
    found = [(row["cell"], row["seed"], row["error"]) for row in read_csv(out / "runs.csv")]
    svms = [(cell, "0", "") for cell in CELLS]
    assert sorted(found) == sorted([("net", "0", ""), ("net", "1", ""), *svms])
    models = {row["cell"]: row["model"] for row in read_csv(out / "table.csv")}
    assert (models["rbf"], models["poly"]) == ("SVM_rbf", "SVM_poly")
    row = row_of(out, "poly")
    for text in ((out / "REPORT.md").read_text(), (out / "report.html").read_text()):
        assert f"{row['selected']} of {row['trials']} trials" in text
    # No picture includes SVMs.
    assert sorted(path.name for path in (out / "filters").iterdir()) == ["net.png", "rect.png"]
    assert {path.name for path in run_of(out, "rbf").iterdir()} == {
        *("config.yaml", "environment.json", "trials.csv", "checkpoint.safetensors"),
        *("status.json", "wrong_rows.npy"),
    }
    assert run_of(out, "rbf").name.startswith("rect-svm-rbf-s0-")


def test_what_is_done_is_not_run_again_and_counts_and_verifies(here: Path, dae: Dae) -> None:
    # The requested engine does not matter: SVMs use libsvm.
    ended = dae("replicate", "svms", "--only", "rbf", "--engine", "torch").succeeded()
    assert "0 done, 1 skipped" in ended.lines[-1]
    (row,) = dae("evaluate", run_of(here, "poly"), "--format", "json").succeeded().json
    assert (row["n_rows"], row["n_wrong"]) == (N_TEST, int(row_of(here, "poly")["n_wrong"]))
    for split, rows in (("valid", N_VALID), ("train", N_TRAIN)):
        (row,) = dae("evaluate", "svms/poly", "--format", "json", "--split", split).json
        # The SVM was trained on both splits.
        assert row["n_rows"] == rows
        assert row["n_wrong"] < 0.2 * rows
    dae("filters", run_of(here, "poly")).failed(2, run_of(here, "poly").name, "SVM")
    ended = dae("verify", "svms").succeeded()
    assert ended.out == f"{2 + len(CELLS)} runs recomputed, 0 differences\n"
    assert re.search(r"^svms/poly\b", dae("ls", "svms").succeeded().out, re.M)


def test_verify_finds_what_was_reported_otherwise(here: Path, dae: Dae) -> None:
    def found(*parts: str) -> None:
        ended = dae("verify", "svms").failed(1)
        output = " ".join((ended.out + ended.err).split())
        for part in parts:
            assert part in output, output

    names = ("rbf", "grid", "poly", "hopeless")
    rbf, grid, poly, hopeless = (run_of(here, cell) for cell in names)
    trials, path = read_csv(grid / "trials.csv"), rbf / "checkpoint.safetensors"
    tensors = load_file(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    # One trial is missing, one is not part of the search, and another SVM is reported as selected.
    write_trials(grid, trials[1:])
    more = read_csv(hopeless / "trials.csv")
    write_trials(hopeless, [*more, more[-1] | {"gamma": "7"}])
    save_file({**tensors, "weights": -tensors["weights"]}, path, metadata)
    status = json.loads((poly / "status.json").read_text())
    selected = status["selected"]
    status["selected"] = "gamma 8, C 8"
    (poly / "status.json").write_text(json.dumps(status))
    found("trials.csv", "gamma 0.003", "gamma 7", "n_wrong", rbf.name, "gamma 8, C 8", selected)
    # The values of the best trial and of the SVM are changed.
    min(trials, key=lambda t: int(t["n_wrong"])).update(n_wrong="0", valid_error_percent="0.0000")
    write_trials(grid, trials)
    save_file(tensors, path, {"dae": json.dumps(json.loads(metadata["dae"]) | {"penalty": 3.5})})
    found("trials.csv", "n_wrong", "valid_error_percent", "checkpoint.safetensors", "C 3.5")


def write_trials(run: Path, rows: list[dict[str, str]]) -> None:
    """Overwrite trials.csv."""
    write_csv(run / "trials.csv", [list(rows[0]), *(list(row.values()) for row in rows)])


# Resuming a stopped selection.


def test_a_selection_that_was_stopped_goes_on_from_its_trials(here: Path, dae: Dae) -> None:
    run = run_of(here, "rbf")
    partial, before = run.with_name(f"{run.name}.partial"), run.rename("before")
    lines = (before / "trials.csv").read_text().splitlines()
    for count in (3, len(lines) - 1):
        shutil.rmtree(run, ignore_errors=True)
        partial.mkdir()
        (partial / "trials.csv").write_text("".join(f"{line}\n" for line in lines[: 1 + count]))
        (partial / ".trials.csv@gone-1-0.part").write_text("rbf,0.0")
        dae("train", "svms/rbf", "--resume").succeeded()
        assert trials_of(run) == trials_of(before)
        for name in ("checkpoint.safetensors", "config.yaml", "wrong_rows.npy"):
            assert (run / name).read_bytes() == (before / name).read_bytes()
        assert result_of(run) == result_of(before)
        assert {path.name for path in run.iterdir()} == {path.name for path in before.iterdir()}
        # Recorded trials are not repeated: their lines, with their seconds, are unchanged.
        assert (run / "trials.csv").read_text().splitlines()[: 1 + count] == lines[: 1 + count]


def test_ctrl_c_ends_a_selection_within_a_trial_and_it_goes_on(
    here: Path, dae: Dae, child: Callable[..., Child]
) -> None:
    words = ("train", "svms/grid", "--set", "svm.penalties=[1,10,100]")
    child(*words, prepare=interrupt_when_written("trials.csv", times=2)).wait().failed(130)
    (left,) = (here / "runs").glob("*.partial")
    earlier = trials_of(left)
    assert json.loads((left / "status.json").read_text())["state"] == "running"
    run = Path(dae(*words, "--resume").succeeded().lines[-1])
    assert trials_of(run)[: len(earlier)] == earlier
    assert not left.exists()
    assert len(trials_of(run)) == 6 > len(earlier)
