"""Each wrong value is told in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dae_cli.config.experiments import resolve_experiment
from dae_cli.errors import ConfigError

Write = Callable[[str], Path]


def _message(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_experiment(str(path), overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "corruption.destruction=1.5",
            "must be from 0 up to, not including, 1: the fraction of inputs set to 0",
        ),
        ("corruption.destruction=-.1", "must be from 0 up to, not including, 1: the fraction"),
        (
            "corruption.destruction=a lot",
            "must be a number from 0 up to, not including, 1: the fraction of inputs set to 0",
        ),
        ("corruption.destruction=1", "must be from 0 up to, not including, 1: the fraction"),
        ("corruption.destruction=1e999", "must be from 0 up to, not including, 1: the fraction"),
        ("corruption.destruction=-1e999", "must be from 0 up to, not including, 1: the fraction"),
        ("corruption.destruction=.nan", "must be a number from 0 up to, not including, 1"),
        ("corruption.sigma=-1", "must be from 0 to 100: the standard deviation of gaussian noise"),
        ("corruption.sigma=.inf", "must be a number from 0 to 100: the standard deviation"),
        ("corruption.sigma=1e999", "must be from 0 to 100: the standard deviation"),
        ("corruption.destruction=true", "must be a number from 0"),
        ("corruption.destruction='0.5'", "must be a number from 0"),
        ("corruption.kind=maskin", "; did you mean masking?"),
        ("corruption.kind=xyz", "must be one of masking, gaussian, salt-and-pepper"),
        ("corruption.kind=[masking]", "must be one of masking, gaussian, salt-and-pepper"),
        ("dataset=rectimg", "; did you mean rect-img?"),
        ("dataset=Convex", "; did you mean convex?"),
        ("pretrain.learning_rate=0", "must be above 0 and at most 1000: the step of gradient"),
        ("pretrain.learning_rate=-0.1", "must be above 0 and at most 1000: the step of gradient"),
        ("finetune.learning_rate=0.0", "must be above 0 and at most 1000: the step of gradient"),
        ("pretrain.learning_rate=1e-999", "must be above 0 and at most 1000: the step of"),
        ("pretrain.learning_rate=1e4", "must be above 0 and at most 1000: the step of gradient"),
        ("pretrain.learning_rate=1e400", "must be a number above 0 and at most 1000"),
        ("pretrain.learning_rate=.nan", "must be a number above 0 and at most 1000"),
        ("pretrain.epochs=2.0", "must be a whole number from 0 to 100000: epochs per layer"),
        ("pretrain.epochs=true", "must be a whole number from 0 to 100000"),
        ("pretrain.epochs=", "must be a whole number from 0 to 100000"),
        ("pretrain.epochs=1" + "0" * 40, "must be a whole number from 0 to 100000"),
        ("pretrain.batch_size=0", "must be from 1 to 100000: examples per step"),
        ("finetune.max_epochs=0", "must be from 1 to 100000: the epochs after which"),
        ("finetune.patience=0", "must be from 1 to 100000: epochs without a better validation"),
        ("model.tied=yes", "must be true or false: the decoder uses the encoder's weights"),
        ("model.tied=yes", "; did you mean true?"),
        ("model.tied=off", "; did you mean false?"),
        ("model.tied=1", "must be true or false"),
        ("model.hidden=[]", "must be a list of 1 to 20 whole numbers from 1 to 100000"),
        ("model.hidden=500", "must be a list of 1 to 20 whole numbers from 1 to 100000"),
        ("model.hidden={a: 1}", "must be a list of 1 to 20 whole numbers"),
        ("model.hidden.0=5", "model.hidden: must be a list of 1 to 20 whole numbers"),
        ("model.hidden=[500, 0]", "item 2 (0) must be from 1 to 100000"),
        ("model.hidden=[500, 20.0]", "item 2 (20.0) must be a whole number from 1 to 100000"),
        ("model.hidden=[x]", "item 1 (x) must be a whole number from 1 to 100000"),
        ("seed=-1", "must be from 0 to 4294967295: the start of every random stream"),
        ("model=3", "must be a mapping with the keys hidden, tied, init"),
        ("subset=some", "must be a mapping with the keys train, valid, test"),
        ("subset={train: 0, valid: 1, test: 1}", "subset.train: must be 1 or more"),
        ("pretrain.lerning_rate=0.1", "unknown key; did you mean pretrain.learning_rate?"),
        ("pretrian.epochs=3", "unknown key; did you mean pretrain?"),
        ("learning_rate=1", "did you mean pretrain.learning_rate or finetune.learning_rate?"),
        ("finetune.epochs=1", "did you mean finetune.max_epochs or pretrain.epochs?"),
        ("tied=true", "unknown key; did you mean model.tied?"),
        ("model.xyz=1", "unknown key; the keys are model.hidden, model.tied, model.init"),
        ("model={hiden: [3]}", "model.hiden: unknown key; did you mean model.hidden?"),
    ],
)
def test_a_wrong_override_says_what_was_expected(
    write: Write, whole: str, override: str, words: str
) -> None:
    message = _message(write(whole), override)
    assert message.startswith("1 problem with experiment:\n")
    assert f"--set {override}" in message
    assert words in message


def test_whole_numbers_are_fine_where_a_number_is_expected(write: Write, whole: str) -> None:
    experiment = resolve_experiment(str(write(whole)), ["pretrain.learning_rate=1"]).network
    assert experiment.pretrain.learning_rate == 1.0
    assert isinstance(experiment.pretrain.learning_rate, float)


def test_all_problems_of_a_file_and_its_overrides_are_in_one_message(write: Write) -> None:
    path = write(
        "dataset: convx\n"
        "model: {hidden: [30, 20], hidden: [3]}\n"
        "corruption: {destruction: 1.5}\n"
        "pretrain:\n"
        "  learning_rate: 0.1\n"
        "  epoch: 4\n"
    )
    title, *lines = _message(path, "seed=x", "nonsense").splitlines()
    assert title == "8 problems with experiment:"
    file = "experiment.yaml"
    assert [re.sub(" +", " ", line).strip() for line in lines] == [
        f"{file}:2 the key hidden is given twice; first on line 2",
        f"{file}:1 dataset: convx must be one of basic, rot, bg-rand, bg-img, rot-bg-img, rect, "
        "rect-img, convex, mnist, photographs: the data set; did you mean convex?",
        f"{file}:3 corruption.destruction: 1.5 must be from 0 up to, not including, 1: "
        "the fraction of inputs set to 0",
        f"{file}:6 pretrain.epoch: 4 unknown key; did you mean pretrain.epochs?",
        "--set seed=x must be a whole number from 0 to 4294967295: "
        "the start of every random stream",
        "--set nonsense has no =; write key=value, for example pretrain.epochs=10",
        f"{file} pretrain.epochs is missing: a whole number from 0 to 100000: "
        "epochs per layer, 0 for no pretraining",
        f"{file} finetune is missing: a mapping with the keys learning_rate, max_epochs, "
        "patience, window, decrease, weight_decay, batch_size",
    ]


def test_an_empty_file_lacks_everything_but_the_defaults(write: Write) -> None:
    message = _message(write("# nothing yet\n"))
    assert message.startswith("4 problems")
    for key in ("dataset", "model", "pretrain", "finetune"):
        assert f"{key} is missing" in message


def test_a_file_that_is_no_mapping_says_so_and_nothing_is_called_missing(write: Write) -> None:
    message = _message(write("- dataset\n"))
    assert "experiment.yaml:1   must be a mapping of settings" in message
    assert "missing" not in message
