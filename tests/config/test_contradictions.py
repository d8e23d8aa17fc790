"""Values that are wrong together, or wrong for the data set, are told with the reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from dae_cli.config.experiments import resolve_experiment
from dae_cli.config.schema import DatasetName
from dae_cli.config.sizes import ROWS
from dae_cli.errors import ConfigError

Write = Callable[[str], Path]


def _message(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_experiment(str(path), overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["corruption.kind=gaussian"], "gaussian noise destroys no inputs: its strength is"),
        (["corruption.kind=gaussian"], "(kind: --set corruption.kind=gaussian)"),
        (["corruption.sigma=.3"], "only gaussian noise has a sigma; the strength of masking is"),
        (["corruption={kind: salt-and-pepper, sigma: 1}"], "the strength of salt-and-pepper is"),
        (["corruption.destruction=1e-4"], "none of the 784 pixels: round(0.0001 x 784) = 0"),
        (["corruption.destruction=.9999"], "all of the 784 pixels: round(0.9999 x 784) = 784"),
        (
            ["corruption.destruction=.01"],
            "none of the 30 units of hidden layer 1: round(0.01 x 30) = 0; use a larger fraction",
        ),
        (
            ["corruption.destruction=.99"],
            "all of the 30 units of hidden layer 1: round(0.99 x 30) = 30; use a smaller fraction",
        ),
        (
            ["pretrain.batch_size=6001"],
            "must be from 1 to 6000: a batch cannot be larger than the 6000 training rows of",
        ),
        (
            ["finetune.batch_size=1001", "dataset=rect"],
            "must be from 1 to 1000: a batch cannot be larger than the 1000 training rows of rect",
        ),
        (
            ["finetune.batch_size=91", "subset={train: 90, valid: 1, test: 1}"],
            "must be from 1 to 90: a batch cannot be larger than the 90 rows of subset.train",
        ),
        (
            ["subset={train: 19, valid: 1, test: 1}", "pretrain.batch_size=19"],
            "subset.train: fewer rows than a batch, finetune.batch_size, which is 20 unless set",
        ),
        (
            ["subset={train: 6001, valid: 1, test: 1}"],
            "subset.train: must be from 1 to 6000: there are no more training rows of convex",
        ),
        (
            ["subset={train: 90, valid: 2001, test: 1}"],
            "subset.valid: must be from 1 to 2000: there are no more validation rows of convex",
        ),
        (
            ["subset={train: 90, valid: 1, test: 50001}"],
            "subset.test: must be from 1 to 50000: there are no more test rows of convex",
        ),
        (
            ["model.hidden=[100000, 10000]"],
            "would make 1,078,400,000 weights (4 GB), at most 1,000,000,000 are allowed; "
            "use fewer units or layers",
        ),
        (
            ["pretrain.kind=rbm"],
            "the inputs of an RBM are not corrupted: its noise is that of the Gibbs chain; "
            "leave destruction out or set it to 0 (pretrain.kind: --set pretrain.kind=rbm)",
        ),
        (
            ["pretrain.kind=rbm", "corruption={kind: gaussian, destruction: 0, sigma: 1}"],
            "the inputs of an RBM are not corrupted: its noise is that of the Gibbs chain; "
            "leave sigma out or set it to 0",
        ),
        (
            ["pretrain={kind: rbm, loss: squared-error}", "corruption.destruction=0"],
            "leave loss out or set it to cross-entropy (pretrain.kind: --set pretrain=",
        ),
        (
            ["pretrain.kind=rbm", "model.tied=false", "corruption.destruction=0"],
            "an RBM has the same weights upwards and downwards; leave tied out or set it to true",
        ),
        (
            ["pretrain.gibbs_steps=2"],
            "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or leave gibbs_steps out",
        ),
        (
            ["pretrain={kind: autoencoder, persistent: true}"],
            "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or leave persistent out",
        ),
        (
            ["pretrain.sample_visible=false"],
            "only an RBM has a Gibbs chain; set pretrain.kind to rbm, or leave sample_visible out",
        ),
    ],
)
def test_contradictions_carry_the_reason(
    write: Write, whole: str, overrides: list[str], words: str
) -> None:
    message = _message(write(whole), *overrides)
    assert message.startswith("1 problem with experiment:\n")
    assert words in message


def test_a_contradiction_is_told_beside_other_problems(write: Write, whole: str) -> None:
    message = _message(write(whole), "corruption.kind=gaussian", "seed=-1")
    assert message.startswith("2 problems")
    assert "experiment.yaml:3  corruption.destruction: 0.25" in message


@pytest.mark.parametrize(
    "overrides",
    [
        ["corruption={kind: gaussian, destruction: 0, sigma: .3}"],
        ["corruption={kind: gaussian, destruction: 0}"],
        ["corruption.destruction=0"],
        ["finetune.patience=500"],
        ["pretrain.kind=rbm", "corruption.destruction=0"],
        [
            "pretrain={kind: rbm, loss: cross-entropy, gibbs_steps: 9, persistent: true}",
            "corruption={destruction: 0}",
        ],
        ["pretrain={kind: autoencoder, gibbs_steps: 1, persistent: false}"],
        ["pretrain.epochs=0"],
        ["model.hidden=[1000, 2]", "corruption.destruction=.1"],  # the last code is not corrupted
        ["model.hidden=[100000, 9000]"],
        ["pretrain.batch_size=6000", "finetune.batch_size=6000"],
        ["subset={train: 20, valid: 1, test: 1}"],
        ["subset={train: 6000, valid: 2000, test: 50000}"],
        ["pretrain={epochs: 0, batch_size: 6001}"],  # no batch of it is ever made
    ],
)
def test_allowed(write: Write, whole: str, overrides: list[str]) -> None:
    resolve_experiment(str(write(whole)), overrides)


def test_every_contradiction_is_told_with_its_line_in_one_message(write: Write) -> None:
    path = write(
        "dataset: rect\n"
        "model: {hidden: [100000, 20000]}\n"
        "corruption: {destruction: 1.0e-5}\n"
        "pretrain: {learning_rate: 0, epochs: 2, batch_size: 1001}\n"
        "finetune: {learning_rate: 0.1, max_epochs: 3, patience: 2, batch_size: 1002}\n"
        "subset: {train: 2000, valid: 201, test: 50001}\n"
    )
    message = _message(path)
    assert message.startswith("8 problems with experiment:\n")
    for words in (
        "experiment.yaml:2  model.hidden: [100000, 20000]\n      would make 2,078,400,000 weights",
        "experiment.yaml:3  corruption.destruction: 1.0e-5\n      would destroy none of the 784",
        "experiment.yaml:4  pretrain.learning_rate: 0\n      must be above 0 and at most 1000",
        "experiment.yaml:4  pretrain.batch_size: 1001\n      must be from 1 to 1000: a batch",
        "experiment.yaml:5  finetune.batch_size: 1002\n      must be from 1 to 1000: a batch",
        "experiment.yaml:6  subset.train: 2000\n      must be from 1 to 1000: there are no more",
        "experiment.yaml:6  subset.valid: 201\n      must be from 1 to 200: there are no more",
        "experiment.yaml:6  subset.test: 50001\n      must be from 1 to 50000: there are no more",
    ):
        assert words in message


def test_a_batch_that_the_schema_refuses_is_told_once(write: Write, whole: str) -> None:
    assert _message(write(whole), "pretrain.batch_size=100001").startswith("1 problem")


def test_every_data_set_has_its_rows() -> None:
    assert list(ROWS) == list(get_args(DatasetName))


def test_settings_are_checked_without_numpy_and_torch() -> None:
    code = (
        "import sys, dae_cli.config.experiments; "
        "print({'numpy', 'torch', 'pandas', 'dae_cli.data'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
