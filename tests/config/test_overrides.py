"""`--set` is strict: dotted key, split at the first `=`, values by the rules of a file."""

from __future__ import annotations

import pytest

from dae_cli.config.entries import plain
from dae_cli.config.overrides import parse_overrides


def _values(*arguments: str) -> dict[str, object]:
    layer, problems = parse_overrides(arguments)
    assert problems == []
    return {key: plain(entry) for key, entry in layer.items()}


def _texts(*arguments: str) -> list[str]:
    return [f"{problem.where} {problem.text}" for problem in parse_overrides(arguments)[1]]


def test_keys_are_dotted_and_values_are_yaml() -> None:
    assert _values("model.hidden=[500,500]", "corruption.destruction=.25", "seed = 3") == {
        "model": {"hidden": [500, 500]},
        "corruption": {"destruction": 0.25},
        "seed": 3,
    }


def test_the_first_equals_sign_splits() -> None:
    (text,) = _texts("dataset=a=b")
    assert text.startswith("--set dataset=a=b must be one of basic")


def test_arguments_of_one_section_are_merged() -> None:
    assert _values("model.tied=false", "model.init=tutorial") == {
        "model": {"tied": False, "init": "tutorial"}
    }


def test_a_mapping_sets_several_keys_of_a_section() -> None:
    assert _values("subset={train: 5, valid: 5, test: 5}", "seed=1") == {
        "subset": {"train": 5, "valid": 5, "test": 5},
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seed=1", "seed=1"], "--set seed=1 given twice: --set seed=1 sets seed already"),
        (
            ["model={tied: true}", "model.tied=false"],
            "--set model.tied=false given twice: --set model={tied: true} sets model already",
        ),
        (
            ["model.tied=true", "model={tied: false}"],
            "--set model={tied: false} given twice: --set model.tied=true sets model.tied already",
        ),
        (["\x1b.a=1", "\x1b.a=1"], r"given twice: --set '\x1b.a=1' sets '\x1b.a' already"),
        (["seed"], "--set seed has no =; write key=value, for example pretrain.epochs=10"),
        (["=3"], "--set =3 names no key; write key=value"),
        (["model..tied=true"], "names no key"),
        (["a." * 3000 + "b=1"], "names no key"),
        (["seed=[1,"], "--set seed=[1, not valid YAML: "),
        (["subset={train: 1, train: 2}"], "the key train is given twice"),
        (["seed=!!int 3"], "the tag 'tag:yaml.org,2002:int' is not allowed"),
        (["se\x1bed=3"], r"--set 'se\x1bed=3' "),
        (["se\0ed=3"], r"--set 'se\x00ed=3' unknown key; did you mean seed?"),
        (["mo\x1bdel.tied=true"], r"'mo\x1bdel': unknown key; did you mean model?"),
        (["seed=\0"], r"--set 'seed=\x00' the character 0 is not allowed in YAML"),
        (["\n=3"], r"--set '\n=3' names no key"),
        (["seed=3\nsubset: 4"], r"--set 'seed=3\nsubset: 4' not valid YAML: "),
        (["\udcff=3"], r"--set '\udcff=3' is not UTF-8 text"),
        (["seed=\udcff"], r"--set 'seed=\udcff' is not UTF-8 text"),
        (["../../seed=3"], "--set ../../seed=3 names no key"),
        (["/etc/passwd=3"], "--set /etc/passwd=3 unknown key; the keys are dataset, model"),
        (["seed=!!python/object/apply:os.system [ls]"], "apply:os.system' is not allowed here"),
        (["model.hidden=&a [*a]"], "*a refers to nothing above it"),
        (["seed=" + "1" * 100_001], "longer than 100000 characters"),
    ],
)
def test_refused(arguments: list[str], words: str) -> None:
    assert words in " | ".join(_texts(*arguments))


def test_problems_come_in_the_order_of_the_arguments() -> None:
    texts = _texts("pretrain.lerning_rate=0.1", "nonsense", "corruption.destruction=1.5")
    assert [text.split()[1].partition("=")[0] for text in texts] == [
        "pretrain.lerning_rate",
        "nonsense",
        "corruption.destruction",
    ]
