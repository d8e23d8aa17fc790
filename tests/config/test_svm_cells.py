"""Cells that are SVMs: beside networks in one study, by the same strict rules."""

from __future__ import annotations

import pytest

from dae_cli.config.experiments import (
    dump_yaml,
    load_resolved,
    resolve_experiment,
    resolve_study,
)
from dae_cli.config.schema import Experiment, SvmExperiment
from dae_cli.errors import ConfigError
from tests.config.conftest import Write, WriteStudy

SVM = "dataset: convex\nsvm: {kernel: rbf}\n"
MIXED = {
    "sda": "dataset: convex\ncorruption: {destruction: 0.25}\n",
    "rbf": SVM,
    "poly": "dataset: convex\nsvm: {kernel: poly, refine: false}\n",
}


def _message(name: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        resolve_study(name, overrides) if "/" not in name else resolve_experiment(name, overrides)
    return " ".join(str(raised.value).split())


def _svm(name: str, *overrides: str) -> SvmExperiment:
    experiment = resolve_experiment(name, overrides).experiment
    assert isinstance(experiment, SvmExperiment)
    return experiment


def test_a_kernel_suffices(write: Write) -> None:
    rbf = _svm(str(write(SVM))).svm
    assert (rbf.gammas, rbf.penalties, rbf.refine) == (
        (0.001, 0.01, 0.1),
        (0.1, 1.0, 10.0, 100.0),
        True,
    )
    assert rbf.coarse_trials == 12
    poly = _svm(str(write(SVM.replace("rbf", "poly")))).svm
    assert (poly.gammas, poly.degrees) == ((0.001, 0.01), (2, 3, 4, 6, 9))
    assert poly.coarse_trials == 40


def test_networks_and_svms_share_a_study(write_study: WriteStudy, shared_study: str) -> None:
    study = shared_study + "  seed: 3\n  subset: {train: 100, valid: 50, test: 70}\n"
    write_study(study, MIXED)
    cells = {cell.cell: cell.experiment for cell in resolve_study("mine").cells}
    assert isinstance(cells["sda"], Experiment)
    rbf = cells["rbf"]
    assert isinstance(rbf, SvmExperiment)
    assert (rbf.seed, rbf.subset is not None and rbf.subset.test) == (3, 70)


def test_a_section_that_is_shared_makes_every_cell_an_svm(write_study: WriteStudy) -> None:
    write_study(
        "title: t\nshared:\n  svm: {kernel: poly, penalties: [1]}\n",
        {"a": "dataset: convex\n", "b": "dataset: rect\nsvm: {kernel: rbf}\n"},
    )
    assert _svm("mine/a").svm.kernel == "poly"
    assert (_svm("mine/b").svm.kernel, _svm("mine/b").svm.penalties) == ("rbf", (1.0,))


@pytest.mark.parametrize("kernel", ["rbf", "poly"])
def test_a_dumped_svm_reloads(write: Write, kernel: str) -> None:
    experiment = _svm(str(write(SVM.replace("rbf", kernel))), "svm.gammas=[1e-7, 0.5]", "seed=4")
    text = dump_yaml(experiment)
    assert ("degrees" in text) == (kernel == "poly")
    assert "subset" not in text
    assert load_resolved(write(text)) == experiment


def test_the_grid_can_be_set(write: Write) -> None:
    assert _svm(str(write(SVM)), "svm.penalties=[1,10]").svm.penalties == (1.0, 10.0)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("{kernel: rbd}", "svm.kernel: rbd must be one of rbf, poly: the kernel of the SVM"),
        ("{kernel: [rbf]}", "svm.kernel: [rbf] must be one of rbf, poly"),
        ("{kernal: rbf}", "svm.kernal: rbf unknown key; did you mean svm.kernel?"),
        ("{kernal: rbf}", "svm.kernel is missing: one of rbf, poly"),
        (
            "{kernel: rbf, gammas: 0.1}",
            "svm.gammas: 0.1 must be a list of 1 to 50 numbers above 0 and at most 1000",
        ),
        ("{kernel: rbf, gammas: []}", "svm.gammas: [] must be a list of 1 to 50 numbers"),
        (
            "{kernel: rbf, penalties: [1, 0]}",
            "svm.penalties: [1, 0] item 2 (0) must be above 0 and at most 1000000000",
        ),
        (
            "{kernel: poly, degrees: [21]}",
            "svm.degrees: [21] item 1 (21) must be from 1 to 20",
        ),
        ("{kernel: poly, degrees: [2.5]}", "item 1 (2.5) must be a whole number from 1 to 20"),
        (
            "{kernel: rbf, degrees: [2]}",
            "svm.degrees: [2] the kernel rbf has no degree; leave degrees out, or set svm.kernel "
            "to poly (kernel: experiment.yaml:2)",
        ),
        ("rbf", "svm: rbf must be a mapping with the keys kernel, gammas, degrees, penalties"),
        ("", "svm: must be a mapping with the keys kernel"),
    ],
)
def test_a_wrong_section_is_told(write: Write, section: str, words: str) -> None:
    message = _message(str(write(f"dataset: convex\nsvm: {section}\n")))
    assert "experiment.yaml" in message
    assert words in message


def test_an_svm_beside_a_section_of_a_network_is_refused(write: Write, whole: str) -> None:
    message = _message(str(write(whole + "svm: {kernel: rbf}\n")))
    for key in ("model", "corruption", "pretrain", "finetune"):
        assert f"an SVM has no {key}, and experiment.yaml:6 makes this one an SVM" in message
    assert "experiment.yaml:2 model: " in message
    assert "4 problems" in message


def test_a_network_below_a_shared_svm_is_refused(write_study: WriteStudy) -> None:
    cell = "dataset: convex\nmodel: {hidden: [5]}\n"
    write_study("title: t\nshared:\n  svm: {kernel: rbf}\n", {"a": cell})
    message = _message("mine/a")
    assert "a.yaml:2 model: {hidden: [5]} an SVM has no model, and " in message
    assert "study.yaml:3 makes this one an SVM" in message


def test_what_is_set_goes_to_the_cells_that_take_it(
    write_study: WriteStudy, shared_study: str
) -> None:
    write_study(shared_study, MIXED)
    changed = resolve_study("mine", ["finetune.max_epochs=9", "svm.penalties=[7]", "seed=2"])
    cells = {cell.cell: cell.experiment for cell in changed.cells}
    sda, rbf = cells["sda"], cells["rbf"]
    assert isinstance(sda, Experiment) and isinstance(rbf, SvmExperiment)
    assert (sda.finetune.max_epochs, sda.seed) == (9, 2)
    assert (rbf.svm.penalties, rbf.seed) == ((7.0,), 2)


def test_what_no_cell_takes_is_refused(write_study: WriteStudy, shared_study: str) -> None:
    write_study(shared_study, MIXED)
    assert (
        "--set finetune.max_epochs=9 mine/rbf is an SVM, without a section finetune; "
        "what can be set is dataset, svm, subset, seed"
    ) in _message("mine/rbf", "finetune.max_epochs=9")
    assert "mine/sda is a network, without a section svm" in _message("mine/sda", "svm.refine=no")
    with pytest.raises(ConfigError, match="every cell asked for is an SVM, without a section mod"):
        resolve_study("mine", ["model.tied=false"], only=["rbf", "poly"])
    write_study(shared_study, {"sda": MIXED["sda"]}, name="nets")
    assert "every cell asked for is a network" in _message("nets", "svm={kernel: rbf}")


def test_more_rows_than_there_are_are_refused(write: Write) -> None:
    message = _message(str(write(SVM + "subset: {train: 6001, valid: 10, test: 10}\n")))
    assert "subset.train: 6001 must be from 1 to 6000" in message
    assert "1 problem" in message
    # A network's minibatches would not fit; an SVM has none.
    assert _svm(str(write(SVM + "subset: {train: 10, valid: 10, test: 10}\n"))).subset


def test_svm_is_known_as_a_section_of_shared(write_study: WriteStudy) -> None:
    write_study("title: t\nsvm: {kernel: rbf}\n", {"a": "dataset: convex\n"})
    assert "svm: {kernel: rbf} unknown key; did you mean shared.svm?" in _message("mine")
