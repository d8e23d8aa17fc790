"""A kept SVM labels as before; one of another run, or one that was tampered with, is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from dae_cli.baselines.kernels import Kernel
from dae_cli.baselines.svm import Svm, fit_svm
from dae_cli.baselines.svm_file import ExpectedSvm, load_svm, save_svm, training_images
from dae_cli.config.schema import SvmExperiment
from dae_cli.data.dataset import Dataset
from dae_cli.errors import RunFolderError

EXPERIMENT = SvmExperiment.model_validate({"dataset": "basic", "svm": {"kernel": "rbf"}})
SHA256 = "a" * 64
Tamper = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.fixture(scope="module")
def machine(four_classes: Dataset) -> Svm:
    labels = np.concatenate([four_classes.train.labels, four_classes.valid.labels])
    return fit_svm(training_images(four_classes), labels, Kernel("rbf", 0.03), 2.0)


@pytest.fixture
def path(machine: Svm, tmp_path: Path) -> Path:
    save_svm(tmp_path / "checkpoint.safetensors", machine, EXPERIMENT, SHA256)
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture
def expected(four_classes: Dataset) -> ExpectedSvm:
    return ExpectedSvm(EXPERIMENT, SHA256, four_classes)


def _refused(path: Path, expected: ExpectedSvm) -> str:
    with pytest.raises(RunFolderError) as raised:
        load_svm(path, expected)
    return str(raised.value)


def test_a_kept_machine_labels_every_row_as_before(
    path: Path, expected: ExpectedSvm, machine: Svm, four_classes: Dataset
) -> None:
    again = load_svm(path, expected)
    images = four_classes.test.as_float()
    np.testing.assert_array_equal(again.scores(images), machine.scores(images))
    np.testing.assert_array_equal(again.predict(images), machine.predict(images))
    assert (again.kernel, again.penalty, again.converged) == (
        machine.kernel,
        machine.penalty,
        machine.converged,
    )


def test_nothing_but_numbers_is_kept(path: Path) -> None:
    with safetensors.safe_open(path, framework="numpy") as file:
        assert sorted(file.keys()) == ["biases", "support", "weights"]
        assert json.loads(file.metadata()["dae"])["penalty"] == 2.0


def test_one_of_other_settings_or_data_is_refused(path: Path, expected: ExpectedSvm) -> None:
    other = SvmExperiment.model_validate(
        {"dataset": "basic", "svm": {"kernel": "rbf", "refine": False}}
    )
    for wanted in (replace(expected, experiment=other), replace(expected, data_sha256="b" * 64)):
        assert "it was made with other settings or on other data" in _refused(path, wanted)


def _set(place: str, index: int, value: float) -> Tamper:
    def change(tensors: dict[str, Any], _: dict[str, Any]) -> None:
        tensors[place].flat[index] = value

    return change


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (_set("support", 0, 420), "its support vectors are not different rows from 0 to 419"),
        (_set("support", 0, -1), "its support vectors are not different rows"),
        (_set("support", 0, 10**17), "its support vectors are not different rows"),
        (lambda t, h: t["support"].__setitem__(1, t["support"][0]), "not different rows"),
        (_set("weights", 3, np.nan), "a weight or bias is not finite"),
        (_set("biases", 0, np.inf), "a weight or bias is not finite"),
        (lambda t, h: t.update(weights=t["weights"][:, :5].copy()), "its tensors are"),
        (lambda t, h: t.update(weights=t["weights"].astype("f4")), "its numbers are"),
        (lambda t, h: t.update(more=t["biases"]), "other tensors than support, weights"),
        (lambda t, h: t.pop("biases"), "other tensors than support, weights"),
        (lambda t, h: h.update(kernel="poly"), "its kernel is poly"),
        (lambda t, h: h.update(gamma=-1.0), "gamma: Input should be greater than 0"),
        (lambda t, h: h.update(penalty="many"), "penalty: Input should be a valid number"),
        (lambda t, h: h.update(classes=[0, 2, 1, 3]), "its classes are [0, 2, 1, 3]"),
        (lambda t, h: h.update(classes=[0, 1, 2, 4]), "its classes are [0, 1, 2, 4]"),
        (lambda t, h: h.update(code="x"), "code: Extra inputs are not permitted"),
        (lambda t, h: h.pop("format"), "format: Field required"),
    ],
)
def test_what_was_tampered_with_is_refused(
    path: Path, expected: ExpectedSvm, tamper: Tamper, words: str
) -> None:
    with safetensors.safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["dae"])
        tensors = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    tamper(tensors, header)
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"dae": json.dumps(header)}))
    message = _refused(path, expected)
    assert "not a checkpoint of this run" in message
    assert words in message


def test_what_is_no_checkpoint_is_refused(path: Path, expected: ExpectedSvm) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    assert "not a checkpoint of this run" in _refused(path, expected)
    path.unlink()
    assert "no such checkpoint" in _refused(path, expected)
