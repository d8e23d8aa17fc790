"""Cells that are trained for their filters alone: their settings, and a study's figures."""

from __future__ import annotations

import pytest

from dae_cli.config.experiments import (
    dump_yaml,
    load_resolved,
    resolve_experiment,
    resolve_study,
)
from dae_cli.config.schema import FilterExperiment
from dae_cli.errors import ConfigError
from tests.config.conftest import Write, WriteStudy

DIGITS = """\
dataset: mnist
model: {hidden: [8]}
corruption: {destruction: 0.25}
pretrain: {learning_rate: 0.1, epochs: 2}
"""
PHOTOS = """\
dataset: photographs
model: {hidden: [8]}
corruption: {kind: gaussian, sigma: 0.5}
pretrain: {loss: squared-error, learning_rate: 0.02, epochs: 2}
"""
STUDY = 'title: "pictures"\n'


def _filters(name: str, *overrides: str) -> FilterExperiment:
    experiment = resolve_experiment(name, overrides).experiment
    assert isinstance(experiment, FilterExperiment)
    return experiment


def _message(name: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        resolve_study(name, overrides) if "/" not in name else resolve_experiment(name, overrides)
    return " ".join(str(raised.value).split())


def test_digits_are_trained_on_whole_and_photographs_in_patches(write: Write) -> None:
    digits = _filters(str(write(DIGITS)))
    assert (digits.patches, digits.inputs) == (None, 784)
    photos = _filters(str(write(PHOTOS)))
    assert photos.patches is not None
    assert (photos.patches.side, photos.patches.count, photos.inputs) == (12, 500_000, 144)
    assert photos.patches.whitening == "olshausen-field"


@pytest.mark.parametrize("text", [DIGITS, PHOTOS, PHOTOS + "patches: {side: 8, cutoff: 0.3}\n"])
def test_what_is_dumped_is_read_back(write: Write, text: str) -> None:
    experiment = _filters(str(write(text)))
    again = write(dump_yaml(experiment))
    assert load_resolved(again) == experiment
    assert "null" not in dump_yaml(experiment)
    assert "None" not in dump_yaml(experiment)


@pytest.mark.parametrize(
    ("text", "override", "words"),
    [
        (DIGITS, "patches.side=8", "digits are trained on whole"),
        (PHOTOS, "rows=100", "photographs have no rows: set patches.count"),
        (PHOTOS, "pretrain.loss=cross-entropy", "set pretrain.loss to squared-error"),
        (DIGITS, "model.hidden=[8,4]", "filters are those of one layer"),
        (DIGITS, "pretrain.epochs=0", "must be 1 or more: there is nothing but pretraining"),
        (DIGITS, "rows=10", "pretrain: {learning_rate: 0.1, epochs: 2} must be from 1 to 10"),
        (PHOTOS, "patches.count=10", "must be from 100 to 5000000"),
        (PHOTOS + "patches: {count: 100}\n", "pretrain.batch_size=200", "must be from 1 to 100"),
        (DIGITS, "finetune.learning_rate=0.1", "trained for its filters alone"),
        (DIGITS, "corruption.destruction=0.0001", "would destroy none of the 784 pixels"),
        (PHOTOS, "corruption.salt=2", "gaussian puts in no salt; leave salt out"),
        (PHOTOS, "patches.whitening=zca", "must be one of none, olshausen-field"),
        (PHOTOS, "patches.sides=8", "unknown key; did you mean patches.side?"),
    ],
)
def test_what_cannot_be_is_told_with_the_way_out(
    write: Write, text: str, override: str, words: str
) -> None:
    assert words in _message(str(write(text)), override)


def test_destruction_is_counted_over_the_pixels_of_a_patch(write: Write) -> None:
    small = PHOTOS.replace("{kind: gaussian, sigma: 0.5}", "{destruction: 0.01}")
    assert _filters(str(write(small))).corruption.destruction == 0.01
    message = _message(str(write(small + "patches: {side: 4}\n")))
    assert "would destroy none of the 16 pixels" in message


@pytest.mark.parametrize("name", ["weight_decay", "contraction"])
def test_an_rbm_has_no_penalties(write: Write, name: str) -> None:
    rbm = DIGITS.replace("corruption: {destruction: 0.25}\n", "").replace(
        "epochs: 2", f"epochs: 2, kind: rbm, {name}: 0.1"
    )
    assert "is part of contrastive divergence here" in _message(str(write(rbm)))


def test_filters_do_not_stand_beside_networks(write_study: WriteStudy, shared_study: str) -> None:
    write_study(shared_study, {"net": "dataset: convex\n", "filters": DIGITS})
    message = _message("mine")
    assert "net cannot stand beside cells that are trained for their filters" in message


def _study_with(write_study: WriteStudy, figures: str) -> str:
    write_study(STUDY + figures, {"a": DIGITS, "b": DIGITS.replace("0.25", "0.5")})
    return "mine"


def test_figures_tell_what_is_drawn_and_expected(write_study: WriteStudy) -> None:
    figures = """\
figures:
  - name: both
    title: "Both"
    cells: [a, b]
    claim: "It grows."
    expect: {measure: extent_pixels, grows: true}
  - {name: zoom, title: "Zoom", kind: zoom, cells: [a], units: [1, 3]}
"""
    study = resolve_study(_study_with(write_study, figures))
    assert study.is_of_filters
    both, zoom = study.figures
    assert both.expect is not None
    assert (both.cells, both.expect.grows, both.kind) == (("a", "b"), True, "filters")
    assert (zoom.kind, zoom.units) == ("zoom", (1, 3))


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ("{name: x, title: X, cells: [c]}", "the study has no cell c"),
        ("{name: x, title: X}", "cells is missing"),
        ("{name: X y, title: X, cells: [a]}", "name: X y must be text: of its file"),
        ("{name: x, title: X, cells: [a], knd: zoom}", "unknown key; did you mean kind?"),
        ("{name: x, title: X, cells: [a], kind: zoom}", "units must be given of a zoom"),
        ("{name: x, title: X, cells: [a], units: [1]}", "units must be given of a zoom"),
        (
            "{name: x, title: X, cells: [a], kind: zoom, units: [8]}",
            "figure x: a has no unit 8: from 0 to 7",
        ),
        (
            "{name: x, title: X, cells: [a], expect: {measure: locality}}",
            "needs one of at_least, at_most and grows",
        ),
        (
            "{name: x, title: X, cells: [a], expect: {measure: size, grows: true}}",
            "must be one of gabor_percent, extent_pixels, locality, orientation_selectivity",
        ),
    ],
)
def test_a_wrong_figure_is_told_with_its_place(
    write_study: WriteStudy, figure: str, words: str
) -> None:
    message = _message(_study_with(write_study, f"figures:\n  - {figure}\n"))
    assert words in message


def test_two_figures_need_two_names(write_study: WriteStudy) -> None:
    one = "  - {name: x, title: X, cells: [a]}\n"
    message = _message(_study_with(write_study, f"figures:\n{one}{one}"))
    assert "a second figure with the name x" in message


def test_a_study_of_networks_has_no_figures(write_study: WriteStudy, shared_study: str) -> None:
    figures = "figures:\n  - {name: x, title: X, cells: [net]}\n"
    write_study(shared_study + figures, {"net": "dataset: convex\n"})
    assert "figures are drawn of cells with the data set mnist or photographs" in _message("mine")
