"""Whatever is written, plausible or not: an experiment that keeps every rule, or problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dae_cli.config.experiments import dump_yaml, load_resolved, resolve_experiment
from dae_cli.config.overrides import parse_overrides
from dae_cli.config.problems import config_error
from dae_cli.config.schema import DatasetName, Experiment
from dae_cli.config.sizes import PIXELS, ROWS
from dae_cli.config.words import known_keys
from dae_cli.errors import ConfigError

SOUND: dict[str, st.SearchStrategy[Any]] = {
    "dataset": st.sampled_from(get_args(DatasetName)),
    "model.hidden": st.lists(st.integers(1, 2000), min_size=1, max_size=4),
    "model.tied": st.booleans(),
    "corruption.kind": st.sampled_from(["masking", "salt-and-pepper", "gaussian"]),
    "corruption.destruction": st.sampled_from([0, 0.25, 0.5, 0.001]),
    "corruption.sigma": st.sampled_from([0, 0.3]),
    "pretrain.learning_rate": st.floats(1e-6, 1000),
    "pretrain.epochs": st.integers(0, 40),
    "pretrain.kind": st.sampled_from(["autoencoder", "rbm"]),
    "pretrain.gibbs_steps": st.sampled_from([1, 2]),
    "pretrain.persistent": st.booleans(),
    "pretrain.sample_visible": st.booleans(),
    "pretrain.batch_size": st.integers(1, 12_000),
    "finetune.learning_rate": st.floats(1e-6, 1000),
    "finetune.max_epochs": st.integers(1, 300),
    "finetune.patience": st.integers(1, 300),
    "finetune.batch_size": st.integers(1, 12_000),
    "subset": st.none()
    | st.fixed_dictionaries({part: st.integers(1, 60_000) for part in ("train", "valid", "test")}),
    "seed": st.integers(0, 2**32 - 1),
}
NEEDED = {"dataset", "model.hidden", *(key for key in SOUND if key.endswith(("rate", "epochs")))}
NEEDED.add("finetune.patience")

odd_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 10**30, 1e308, -0.0, 5e-324]),
    st.floats(),
    st.text(max_size=8),
)
odd_values = st.recursive(
    odd_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of an experiment by dotted key, of which none or a few are odd."""
    chosen = {k: draw(v) for k, v in SOUND.items() if k in NEEDED or draw(st.booleans())}
    keys = st.sampled_from(sorted(known_keys())) | st.text("abc.[]{}=\x1b\x85é", max_size=6)
    odd = st.dictionaries(keys, odd_values, max_size=2)
    return chosen | draw(st.just({}) | odd)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        level = nested
        for section in sections:
            level = level.setdefault(section, {})
            assume(isinstance(level, dict))
        level[name] = value
    return nested


def _require_kept(experiment: Experiment) -> None:
    """The rules, said another way than where they are checked."""
    rows = ROWS[experiment.dataset]
    subset = experiment.subset
    train = subset.train if subset else rows.train
    if subset:
        assert (subset.train, subset.valid, subset.test) <= (rows.train, 10**9, 10**9)
        assert subset.valid <= rows.valid and subset.test <= rows.test
    assert experiment.finetune.batch_size <= train
    assert experiment.pretrain.batch_size <= train or experiment.pretrain.epochs == 0
    corruption, pretrain = experiment.corruption, experiment.pretrain
    if pretrain.kind == "rbm":
        assert corruption.destruction == corruption.sigma == 0 and experiment.model.tied
        assert pretrain.loss == "cross-entropy"
    else:
        assert pretrain.gibbs_steps == 1 and not pretrain.persistent and pretrain.sample_visible
    assert corruption.sigma == 0 or corruption.kind == "gaussian"
    if corruption.destruction > 0:
        assert corruption.kind != "gaussian"
        for width in (PIXELS, *experiment.model.hidden[:-1]):
            assert 0 < round(corruption.destruction * width) < width


def _require_plain(message: str) -> None:
    assert all(line.isprintable() for line in message.split("\n")), repr(message)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that every example writes anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("any"))
        yield Path("any.yaml")


@given(flat=settings())
def test_any_settings_of_a_file_are_an_experiment_or_problems(
    file: Path, flat: dict[str, Any]
) -> None:
    file.write_text(json.dumps(_nested(flat)), encoding="utf-8")
    try:
        experiment = resolve_experiment(str(file)).network
    except ConfigError as error:
        _require_plain(str(error))
        return
    _require_kept(experiment)
    file.write_text(dump_yaml(experiment), encoding="utf-8")
    assert load_resolved(file) == experiment


@given(flat=settings())
def test_any_settings_of_the_command_line_are_an_experiment_or_problems(
    flat: dict[str, Any],
) -> None:
    arguments = [f"{key}={json.dumps(value)}" for key, value in flat.items()]
    try:
        _require_kept(resolve_experiment("smoke/convex-0", arguments).network)
    except ConfigError as error:
        _require_plain(str(error))


@given(
    arguments=st.lists(st.text() | st.text("model.hidden=[1,]{}:&*!'\"\n\x1b\ud800"), max_size=3)
)
def test_any_arguments_are_settings_or_problems(arguments: list[str]) -> None:
    _, problems = parse_overrides(arguments)
    _require_plain(str(config_error("x", problems)))


def test_both_sides_of_the_line_are_reached(file: Path) -> None:
    """The properties above would hold of a configuration that refuses everything."""
    counts = {"accepted": 0, "refused": 0}

    @given(flat=settings())
    def count(flat: dict[str, Any]) -> None:
        file.write_text(json.dumps(_nested(flat)), encoding="utf-8")
        try:
            resolve_experiment(str(file))
            counts["accepted"] += 1
        except ConfigError:
            counts["refused"] += 1

    count()
    assert min(counts.values()) > 10, counts
