"""A resolved experiment reads like the paper's protocol and reloads to the same experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dae_cli.config.experiments import dump_yaml, load_resolved, resolve_experiment
from dae_cli.config.schema import (
    CorruptionSettings,
    DatasetName,
    Experiment,
    FinetuneSettings,
    InitKind,
    LossKind,
    ModelSettings,
    PretrainSettings,
    SubsetSettings,
)
from dae_cli.config.sizes import ROWS
from dae_cli.errors import ConfigError

rates = st.floats(min_value=0, max_value=1000, exclude_min=True)
counts = st.integers(1, 100_000)
corruptions = st.one_of(
    st.builds(
        CorruptionSettings,
        kind=st.sampled_from(["masking", "salt-and-pepper"]),
        destruction=st.just(0.0) | st.floats(0.01, 0.99),
    ),
    st.builds(CorruptionSettings, kind=st.just("gaussian"), sigma=st.floats(0, 100)),
)
models = st.builds(
    ModelSettings,
    hidden=st.lists(st.integers(200, 7000), min_size=1, max_size=20).map(tuple)
    | st.just((100_000,)),
    tied=st.booleans(),
    init=st.sampled_from(get_args(InitKind)),
)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Any experiment that no rule of the configuration refuses."""
    dataset = draw(st.sampled_from(get_args(DatasetName)))
    most = ROWS[dataset]
    subset = draw(
        st.none()
        | st.builds(SubsetSettings, **{k: st.integers(1, n) for k, n in most._asdict().items()})
    )
    batch_sizes = st.integers(1, subset.train if subset else most.train)
    return Experiment(
        dataset=dataset,
        model=draw(models),
        corruption=draw(corruptions),
        pretrain=PretrainSettings(
            loss=draw(st.sampled_from(get_args(LossKind))),
            learning_rate=draw(rates),
            epochs=draw(st.integers(0, 100_000)),
            batch_size=draw(batch_sizes),
        ),
        finetune=FinetuneSettings(
            learning_rate=draw(rates),
            max_epochs=draw(counts),
            patience=draw(counts),
            window=draw(counts),
            batch_size=draw(batch_sizes),
        ),
        subset=subset,
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@given(experiment=experiments())
def test_every_experiment_reloads_equal(
    experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(dump_yaml(experiment), encoding="utf-8")
    assert load_resolved(path) == experiment
    # Other YAML readers see the same numbers, though plain PyYAML reads 1e-05 as text.
    assert Experiment.model_validate(yaml.safe_load(path.read_text())) == experiment


CHAINS = st.fixed_dictionaries(
    {
        "gibbs_steps": st.integers(1, 1000),
        "persistent": st.booleans(),
        "sample_visible": st.booleans(),
    }
)


@given(experiment=experiments(), chain=CHAINS)
def test_every_experiment_with_rbms_reloads_equal(
    experiment: Experiment, chain: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = experiment.model_dump() | {"corruption": {"kind": experiment.corruption.kind}}
    settings["model"]["tied"] = True
    settings["pretrain"] |= chain | {"kind": "rbm", "loss": "cross-entropy"}
    rbms = Experiment.model_validate(settings)
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(dump_yaml(rbms), encoding="utf-8")
    assert load_resolved(path) == rbms


def test_what_was_added_later_is_told_only_where_it_says_something() -> None:
    overrides = ["pretrain={kind: rbm, persistent: true, gibbs_steps: 1, sample_visible: true}"]
    experiment = resolve_experiment("icml2008/convex-0", overrides).experiment
    line = dump_yaml(experiment).splitlines()[3]
    assert line.startswith("pretrain: {kind: rbm, loss: cross-entropy, learning_rate: ")
    assert line.endswith(", persistent: true}")
    assert "gibbs_steps" not in line and "sample_visible" not in line
    plain = ["pretrain={kind: autoencoder, persistent: false, gibbs_steps: 1}"]
    for overrides in ([], plain):
        text = dump_yaml(resolve_experiment("icml2008/convex-0", overrides).experiment)
        assert not any(word in text for word in ("autoencoder", "gibbs", "persistent"))


def test_it_reads_like_the_design() -> None:
    experiment = resolve_experiment(
        "icml2008/convex-25",
        ["pretrain.learning_rate=2e-2", "finetune.learning_rate=1e-5", "model.tied=true"],
    ).experiment
    lines = dump_yaml(experiment).splitlines()
    assert lines[0] == "dataset: convex"
    assert lines[1].startswith("model: {hidden: [1000, 1000, 1000], tied: true, init: ")
    assert lines[2] == "corruption: {kind: masking, destruction: 0.25}"
    assert lines[3].startswith("pretrain: {loss: cross-entropy, learning_rate: 0.02, epochs: ")
    assert lines[4].startswith("finetune: {learning_rate: 1.0e-05, max_epochs: ")
    assert lines[5] == "seed: 0"
    assert len(lines) == 6


def test_gaussian_noise_is_shown_with_its_sigma_alone() -> None:
    overrides = ["corruption={kind: gaussian, destruction: 0, sigma: .5}"]
    experiment = resolve_experiment("icml2008/convex-25", overrides).experiment
    assert "corruption: {kind: gaussian, sigma: 0.5}\n" in dump_yaml(experiment)


def test_a_changed_config_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = dump_yaml(resolve_experiment("icml2008/convex-0").experiment)
    path.write_text(text.replace("masking", "maskng"))
    with pytest.raises(ConfigError, match=r"config\.yaml:3  corruption\.kind: maskng"):
        load_resolved(path)


def test_a_config_ignores_a_study_beside_it(tmp_path: Path) -> None:
    experiment = resolve_experiment("icml2008/convex-0").experiment
    (tmp_path / "study.yaml").write_text("title: [\n")
    (tmp_path / "config.yaml").write_text(dump_yaml(experiment))
    assert load_resolved(tmp_path / "config.yaml") == experiment
