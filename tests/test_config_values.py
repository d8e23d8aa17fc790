"""Resolved settings: shipped and own studies, merged layers, names of runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.entry_points.config import (
    named_runs,
    search_space,
    settings,
    shown,
    trial_settings,
)
from tests.support.commands import Ended
from tests.support.tiny import write_study, write_yaml

ROOT = Path(__file__).resolve().parents[1]
DATA = "a" * 64
FILE = "./x.yaml"
NET: dict[str, Any] = {
    "dataset": "convex",
    "model": {"hidden": [30, 20]},
    "corruption": {"destruction": 0.25},
    "pretrain": {"learning_rate": 0.1, "epochs": 2},
    "finetune": {"learning_rate": 0.1, "max_epochs": 3, "patience": 2},
}
DIGITS = {"dataset": "mnist", "model": {"hidden": [8]}, "pretrain": NET["pretrain"]}
SQUARED = NET["pretrain"] | {"loss": "squared-error"}
PHOTOS = DIGITS | {"dataset": "photographs", "pretrain": SQUARED}
SVM = {"dataset": "convex", "svm": {"kernel": "poly"}}
SHARED = {key: NET[key] for key in ("model", "pretrain", "finetune")}
DATASETS = ("basic", "rot", "bg-rand", "bg-img", "rot-bg-img", "rect", "rect-img", "convex")
TABLE_1 = ("SVM_rbf", "SVM_poly", "DBN-1", "SAA-3", "DBN-3", "SdA-3", "NNet-1")
NETWORKS = ("saa-3", "sda-3", "dbn-3", "dbn-1", "nnet")
SEARCHED = ("learning_rate", "decrease", "weight_decay")
"""The settings of fine-tuning that table1 searches."""


def file_of(content: Mapping[str, Any], **changes: Any) -> str:
    """Write x.yaml and return its path."""
    write_yaml(Path(FILE), {**content, **changes})
    return FILE


def study_of(cells: Mapping[str, Mapping[str, Any]], **study: Any) -> str:
    """Write experiments/mine, replacing an earlier one, and return its name."""
    for old in Path("experiments/mine").glob("*"):
        old.unlink()
    write_study(Path(), "mine", cells, **({"shared": SHARED} | study))
    return "mine"


def one(*overrides: str) -> dict[str, Any]:
    """Return the settings of x.yaml."""
    return settings(FILE, *overrides)["x"]


def named_run(name: str, data_sha256: str, *overrides: str) -> tuple[str, str]:
    """Return the name of one experiment's run, and the digest of its settings."""
    (run,) = named_runs(name, data_sha256, *overrides).values()
    return run


SHOWN = """\
dataset: convex
model: {hidden: [1000, 1000, 1000], tied: true, init: glorot}
corruption: {kind: masking, destruction: 0.25}
pretrain: {loss: cross-entropy, learning_rate: 0.02, epochs: 40, batch_size: 20}
finetune: {learning_rate: 0.05, max_epochs: 300, patience: 20, batch_size: 20}
seed: 0
"""


def test_shipped_experiments_are_shown_with_every_setting(dae: Callable[..., Ended]) -> None:
    assert dae("show", "icml2008/convex-25").succeeded().out == SHOWN
    study = dae("show", "icml2008", "--set", "seed=7").succeeded()
    names = re.findall(r"^--- # (.*)$", study.out, re.MULTILINE)
    documents = list(yaml.safe_load_all(study.out))
    assert dict(zip(names, documents, strict=True)) == settings("icml2008", "seed=7")
    assert {document["seed"] for document in documents} == {7}


def test_icml2008_has_the_networks_of_the_papers_table_on_all_rows() -> None:
    cells = settings("icml2008")
    assert {name: cell["corruption"]["destruction"] for name, cell in cells.items()} == {
        f"icml2008/{dataset}-{percent}": percent / 100
        for dataset, percents in (("convex", (0, 10, 25, 50)), ("rect-img", (0, 25, 50)))
        for percent in percents
    }
    first: dict[str, object] = {}
    for cell in cells.values():
        assert len(cell["model"]["hidden"]) == 3 and cell["model"]["tied"] is True
        assert cell["corruption"]["kind"] == "masking"
        assert cell["pretrain"]["loss"] == "cross-entropy"
        assert "subset" not in cell and cell["seed"] == 0
        rest = {key: value for key, value in cell.items() if key != "corruption"}
        assert first.setdefault(cell["dataset"], rest) == rest


@pytest.mark.parametrize("study", ["table1", "table1-tuned"])
def test_the_whole_table_has_every_model_of_the_paper_and_nnet_on_every_data_set(
    study: str,
) -> None:
    cells = settings(study)
    models = [*TABLE_1, *(["SVM_rbf(nu)"] if study == "table1" else [])]  # from the talk
    words = {re.sub(r"-|\)", "", m.lower()).replace("_", "-").replace("(", "-"): m for m in models}
    runs = named_runs(study, DATA)
    found = set()
    for name, cell in cells.items():
        short = re.search(r"-(svm-[a-z]+(?:-nu)?|[a-z]+\d)-", runs[name][0])
        assert short
        found.add((cell["dataset"], words[short[1]]))
    assert found == {(dataset, model) for dataset in DATASETS for model in models}
    assert len(cells) == len(found)
    assert not any("subset" in cell for cell in cells.values())
    searched = search_space(study)
    assert [f"{study}/{name}" for name in searched] == [n for n in cells if "-svm-" not in n]
    for name, space in searched.items():  # SdA-3 without destruction would be SAA-3
        destroyed = cells[f"{study}/{name}"]["corruption"]["destruction"] > 0
        assert (destroyed or "corruption.destruction" in space) == name.endswith("-sda-3")


def test_table1_searches_all_networks_of_a_data_set_alike() -> None:
    spaces, cells = search_space("table1"), settings("table1")
    for dataset in DATASETS:
        own = {model: spaces[f"{dataset}-{model}"] for model in NETWORKS}
        assert [space.pop("trials") for space in own.values()] == [8, 10, 8, 8, 8]
        saa, sda, dbn_3, dbn_1, nnet = own.values()
        assert sda.pop("corruption.destruction") == {"values": (0.1, 0.25, 0.4)}  # the paper's
        assert sda == saa  # with the same draws, which depend on the sampler's seed
        for rbms in (dbn_3, dbn_1):  # CD has a separate range of rates
            assert rbms.pop("pretrain.learning_rate")["high"] == 0.1
        saa.pop("pretrain.learning_rate")
        assert dbn_1.pop("units") == nnet.pop("units") == {"values": (500, 1000, 2000)}
        assert dbn_3 == dbn_1 == saa
        assert saa.pop("pretrain.epochs")["high"] == 100
        assert nnet == saa
        assert set(saa) == {"prune", "sampler_seed", *(f"finetune.{key}" for key in SEARCHED)}
        fixed = [cells[f"table1/{dataset}-{model}"] for model in NETWORKS]
        assert [cell["model"]["hidden"] for cell in fixed] == 3 * [[1000] * 3] + 2 * [[1000]]
        first = fixed[0]["finetune"]
        assert all(cell["finetune"] == first and cell["seed"] == 0 for cell in fixed)
        assert first["batch_size"] == fixed[0]["pretrain"]["batch_size"] == 20


def test_the_settings_of_table1_lie_within_its_spaces() -> None:
    cells = settings("table1")
    for name, space in search_space("table1").items():
        for key, domain in space.items():
            if "." in key:
                section, setting = key.split(".")
                value = cells[f"table1/{name}"][section].get(setting, 0.0)
                inside = value in domain.get("values", ()) or (
                    "low" in domain and domain["low"] <= value <= domain["high"]
                )
                assert inside, (name, key, value)


def test_later_layers_win_shared_then_data_set_then_cell_then_set() -> None:
    study_of(
        {
            "a": {"dataset": "convex"},
            "b": {"dataset": "convex", "seed": 4},
            "c": {"dataset": "rect", "model": {"hidden": [9]}},
        },
        shared=SHARED | {"seed": 1, "subset": {"train": 90, "valid": 9, "test": 9}},
        per_dataset={"convex": {"seed": 2, "pretrain": {"epochs": 7}}, "rect": {"seed": 3}},
    )
    cells = settings("mine")
    assert [cell["seed"] for cell in cells.values()] == [2, 4, 3]
    assert [cell["pretrain"]["epochs"] for cell in cells.values()] == [7, 7, 2]
    assert cells["mine/a"]["pretrain"]["learning_rate"] == 0.1  # the rest of the section stays
    assert cells["mine/c"]["model"] == {"hidden": [9], "tied": True, "init": "glorot"}
    assert settings("mine/b", "seed=5")["mine/b"]["seed"] == 5
    # --set dataset selects the settings in per_dataset too.
    assert settings("mine/a", "dataset=rect")["mine/a"]["seed"] == 3
    changed = settings("mine/a", "model={tied: false, init: tutorial}", "subset=null")
    assert changed["mine/a"]["model"] == {"hidden": [30, 20], "tied": False, "init": "tutorial"}
    assert "subset" in cells["mine/a"] and "subset" not in changed["mine/a"]
    # A section set to null removes the shared one.
    study_of({"a": {"dataset": "convex", "subset": None}}, shared=SHARED | {"subset": {"train": 9}})
    assert "subset" not in settings("mine")["mine/a"]


def test_names_and_paths_lead_to_the_same_files(tmp_path: Path) -> None:
    assert list(settings("icml2008/convex-0")) == ["icml2008/convex-0"]  # from any folder
    cells = {f"convex-{n}": {"dataset": "convex", "seed": n} for n in (10, 5, 100)}
    study_of(cells | {"a": {"dataset": "rect"}})
    Path("experiments/mine/.hidden.yaml").write_text("dataset: [\n")
    names = [f"mine/{cell}" for cell in ("a", "convex-5", "convex-10", "convex-100")]
    study = "experiments/mine"
    for path in (f"{study}/", study, f"{study}/study.yaml", str(tmp_path / study)):
        assert list(settings(path)) == names
    assert settings(f"{study}/convex-5.yaml") == settings("mine/convex-5")
    assert list(settings(file_of(NET))) == ["x"]
    (tmp_path / "experiments" / "inner").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("experiments/inner")
        assert list(settings("../mine/")) == list(settings("../mine")) == names
        assert list(settings("../mine/a.yaml")) == list(settings("../mine/a")) == ["mine/a"]
        patch.chdir("../mine")
        assert list(settings(".")) == list(settings("./")) == names
    # The user's own study hides the shipped one.
    (tmp_path / study).rename("experiments/icml2008")
    assert list(settings("icml2008/a")) == ["icml2008/a"]
    assert len(settings("icml2008")) == 4


def test_numbers_are_decimal_and_may_have_an_exponent() -> None:
    file_of(NET)
    numbers = {"1e-3": 0.001, "1E2": 100.0, ".25": 0.25, "5.": 5.0, "2.5e+2": 250.0, "+3": 3.0}
    for text, number in numbers.items():
        assert one(f"pretrain.learning_rate={text}")["pretrain"]["learning_rate"] == number
        assert f"learning_rate: {number}, " in shown(FILE, f"pretrain.learning_rate={text}")
    assert "learning_rate: 1.5e-05, " in shown(FILE, "pretrain.learning_rate=15e-6")


def test_a_title_is_always_read_as_text(dae: Callable[..., Ended]) -> None:
    written = ("2008-07-05", "9" * 30, '"true"', ">-\n  two\n  lines", "' spaces '")
    for number, title in enumerate(written):
        folder = write_study(Path(), f"t{number}")
        (folder / "study.yaml").write_text(f"title: {title}\nshared: {{}}\n")
    listed = {study["name"]: study["title"] for study in dae("ls", "--format", "json").json}
    titles = [listed[f"t{number}"] for number in range(5)]
    assert titles == ["2008-07-05", "9" * 30, "true", "two lines", "spaces"]


def test_settings_that_do_not_apply_and_later_ones_at_their_defaults_are_not_shown() -> None:
    file_of(NET)
    plain = {
        "dataset": "convex",
        "model": {"hidden": [30, 20], "tied": True, "init": "glorot"},
        "corruption": {"kind": "masking", "destruction": 0.25},
        "pretrain": {"loss": "cross-entropy", **NET["pretrain"], "batch_size": 20},
        "finetune": NET["finetune"] | {"batch_size": 20},
        "seed": 0,
    }
    assert one() == plain
    assert list(one()) == list(plain)
    for unchanged in (
        "corruption={pepper: 0, salt: 1}",
        "pretrain={kind: autoencoder, gibbs_steps: 1, persistent: false}",
        "pretrain={sample_visible: true, weight_decay: 0, contraction: 0}",
        "finetune={window: 1, decrease: 0, weight_decay: 0.0}",
    ):
        assert one(unchanged) == plain
    penalties = {"pretrain.weight_decay": 0.001, "pretrain.contraction": 0.5}
    others = {"finetune.window": 10, "finetune.decrease": 0.1, "finetune.weight_decay": 0.001}
    for changed, value in (penalties | others).items():
        section, key = changed.split(".")
        assert one(f"{changed}={value}")[section] == one()[section] | {key: value}
    gaussian = one("corruption={kind: gaussian, destruction: 0, sigma: .5}")
    assert gaussian["corruption"] == {"kind": "gaussian", "sigma": 0.5}
    salted = one("corruption={kind: salt-and-pepper, pepper: -1, salt: 2}")["corruption"]
    assert salted == {"kind": "salt-and-pepper", "destruction": 0.25, "pepper": -1.0, "salt": 2.0}
    chain = "pretrain={kind: rbm, persistent: true, gibbs_steps: 3, sample_visible: false}"
    rbm = one(chain, "corruption.destruction=0")["pretrain"]
    usual = ("kind", "loss", "learning_rate", "epochs", "batch_size")
    assert list(rbm) == [*usual, "gibbs_steps", "persistent", "sample_visible"]


def test_an_svm_needs_only_its_kernel_and_can_share_a_study_with_networks() -> None:
    rbf = {"kernel": "rbf", "gammas": [0.001, 0.01, 0.1], "penalties": [0.1, 1.0, 10.0, 100.0]}
    poly = {"kernel": "poly", "gammas": [0.001, 0.01, 0.1, 1.0], "degrees": [2, 3, 4, 6, 9]}
    wide: dict[str, Any] = {"offsets": [0.0, 1.0], "widen": True}
    file_of({"dataset": "convex", "svm": {"kernel": "rbf"}})
    assert one() == {"dataset": "convex", "svm": {**rbf, "refine": True, "widen": True}, "seed": 0}
    # A given grid is not extended.
    assert one("svm.gammas=[.1]")["svm"] == {**rbf, "refine": True, "gammas": [0.1]}
    assert one("svm.penalties=[1,10]")["svm"]["penalties"] == [1.0, 10.0]
    study_of(
        {
            "sda": {"dataset": "convex", "corruption": {"destruction": 0.25}},
            "rbf": {"dataset": "convex", "svm": {"kernel": "rbf"}},
            "poly": {"dataset": "rect", "svm": {"kernel": "poly", "refine": False}},
        },
        shared=SHARED | {"seed": 3, "subset": {"train": 100, "valid": 50, "test": 70}},
    )
    cells = settings("mine")
    assert list(cells) == ["mine/poly", "mine/rbf", "mine/sda"]
    assert list(cells["mine/poly"]) == ["dataset", "svm", "subset", "seed"]
    penalties = {"penalties": rbf["penalties"], "refine": False}
    assert cells["mine/poly"]["svm"] == poly | wide | penalties
    assert [cell["seed"] for cell in cells.values()] == [3, 3, 3]
    assert [cell["subset"]["test"] for cell in cells.values()] == [70, 70, 70]
    changed = settings("mine", "finetune.max_epochs=9", "svm.penalties=[7]", "seed=2")
    assert changed["mine/sda"]["finetune"]["max_epochs"] == 9
    assert changed["mine/rbf"]["svm"]["penalties"] == [7.0]
    assert [cell["seed"] for cell in changed.values()] == [2, 2, 2]
    # A shared SVM makes every cell an SVM.
    study_of(
        {"a": {"dataset": "convex"}, "b": {"dataset": "rect", "svm": {"kernel": "rbf"}}},
        shared={"svm": {"kernel": "poly", "penalties": [1]}},
    )
    cells = settings("mine")
    assert [cell["svm"]["kernel"] for cell in cells.values()] == ["poly", "rbf"]
    assert cells["mine/b"]["svm"]["penalties"] == [1.0]


def test_photographs_are_cut_into_patches_and_digits_are_not() -> None:
    file_of(DIGITS)
    assert list(one()) == ["dataset", "model", "corruption", "pretrain", "seed"]
    assert one("rows=500")["rows"] == 500
    file_of(PHOTOS)
    usual = {"side": 12, "count": 500_000, "whitening": "olshausen-field", "cutoff": 0.4}
    assert one()["patches"] == usual | {"deviation": 1.0}
    changed = one("patches={side: 8, cutoff: .3, deviation: 2}")["patches"]
    assert changed == usual | {"side": 8, "cutoff": 0.3, "deviation": 2.0}


def test_a_search_has_a_space_for_each_matching_cell() -> None:
    space: dict[str, dict[str, Any]] = {
        "units": {"low": 10, "high": 40, "step": 10},
        "layers": {"choices": [1, 3]},
        "pretrain.learning_rate": {"low": 0.01, "high": 1, "log": True},
        "finetune.decrease": {"low": 0, "high": 0.3, "step": 0.1},
        "model.init": {"choices": ["glorot", "tutorial"]},
        "model.tied": {"choices": [True, False]},
    }
    cells: dict[str, Any]
    cells = {f"convex-{n}": {"dataset": "convex", "seed": n} for n in (0, 1, 2, 10)}
    svm: dict[str, Any] = {"convex-svm": {"dataset": "convex", "svm": {"kernel": "rbf"}}}
    study_of(
        cells | svm,
        search=[
            {"cells": "convex-0", "space": space, "prune": {"after_trials": 3, "from_epoch": 7}},
            {
                "cells": ["convex-1*", "convex-s*"],
                "space": {"pretrain.epochs": {"low": 0, "high": 9}},
            },
        ],
    )
    found = search_space("mine")
    assert list(found) == ["convex-0", "convex-1", "convex-10"]  # a glob does not match SVMs
    assert found["convex-0"] == {
        **{key: domain for key, domain in space.items() if "choices" not in domain},
        "layers": {"values": (1, 3)},
        "model.init": {"values": ("glorot", "tutorial")},
        "model.tied": {"values": (True, False)},
        "prune": {"after_trials": 3, "from_epoch": 7},
    }
    rate = found["convex-0"]["pretrain.learning_rate"]
    assert type(rate["high"]) is float and type(found["convex-0"]["units"]["high"]) is int
    usual = {"after_trials": 5, "from_epoch": 10}
    assert found["convex-1"] == {"pretrain.epochs": {"low": 0, "high": 9}, "prune": usual}
    assert list(search_space("mine", ["convex-10", "mine/convex-0"])) == ["convex-0", "convex-10"]

    for values, hidden in (
        ({"units": 20, "layers": 3}, [20, 20, 20]),
        ({"units": 20}, [20, 20]),  # as many layers as the cell has
        ({"layers": 1}, [30]),  # as many units as the cell's first layer
    ):
        assert trial_settings("mine", "convex-0", values)["model"]["hidden"] == hidden
    trial = trial_settings("mine", "convex-0", {"pretrain.learning_rate": 0.5})
    assert trial == settings("mine/convex-0", "pretrain.learning_rate=0.5")["mine/convex-0"]


CHANGES = """
dataset=rect  model.hidden=[30,21]  model.tied=false  model.init=tutorial
corruption.destruction=0.26  corruption.kind=salt-and-pepper  pretrain.loss=squared-error
pretrain.learning_rate=0.051  pretrain.epochs=3  pretrain.batch_size=11
pretrain.weight_decay=0.001  pretrain.contraction=0.1  finetune.learning_rate=1.1
finetune.max_epochs=9  finetune.patience=7  finetune.window=7  finetune.batch_size=6
finetune.decrease=0.1  finetune.weight_decay=0.001  subset.train=61  subset.valid=41
subset.test=201  seed=1
"""
NOISE = "corruption={{kind: gaussian, destruction: 0, sigma: {}}}"
RBM = ("pretrain.kind=rbm", "corruption.destruction=0")
SALT = "corruption.kind=salt-and-pepper"
CHANGES_OF_NETWORKS = [
    *((change,) for change in CHANGES.split()),
    *[RBM, ("subset=null",), (NOISE.format(0.5),), (NOISE.format(0.25),)],
    *[(*RBM, "pretrain.gibbs_steps=2"), (*RBM, "pretrain.persistent=true")],
    (*RBM, "pretrain.sample_visible=false"),
    *[(SALT, "corruption.pepper=-1"), (SALT, "corruption.salt=2")],
]
CHANGES_OF_PATCHES = """
patches.side=8  patches.count=9000  patches.whitening=none  patches.cutoff=.3  patches.deviation=2
"""
CHANGES_OF_SVMS = """
svm.kernel=rbf  svm.gammas=[1]  svm.degrees=[2]  svm.penalties=[1]  svm.refine=false
svm.offsets=[1]  svm.destructions=[0,.1]  svm.widen=false
"""


def test_any_setting_changes_the_name_of_a_run_and_its_digest_and_is_shown() -> None:
    subset = {"subset": {"train": 60, "valid": 40, "test": 200}}
    for file, changes in (
        (NET | subset, CHANGES_OF_NETWORKS),
        (DIGITS, [("rows=500",), ("corruption.destruction=.5",), ("seed=1",)]),
        (PHOTOS, [(change,) for change in CHANGES_OF_PATCHES.split()]),
        (SVM, [(change,) for change in CHANGES_OF_SVMS.split()]),
    ):
        file_of(file)
        names = []
        for overrides in ((), *changes):
            names.append(named_run(FILE, DATA, *overrides))
            Path("y.yaml").write_text(shown(FILE, *overrides))
            assert shown("y.yaml") == shown(FILE, *overrides)
            assert named_run("y.yaml", DATA) == names[-1]
        assert len({name[-8:] for name, _ in names}) == len(names)
        assert len({digest for _, digest in names}) == len(names)


def test_the_lists_of_changes_contain_every_setting() -> None:
    """Add new settings, which docs/experiments.md lists, to the lists above."""
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    table = page.partition("<!-- settings:")[2].partition("<!-- end -->")[0]
    documented = set(re.findall(r"(?m)^\| `([a-z_.]+)` \|", table))
    lists = (CHANGES, CHANGES_OF_PATCHES, CHANGES_OF_SVMS, str(CHANGES_OF_NETWORKS), NOISE)
    tried = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)?(?==)", " ".join(lists))) | {"rows"}
    assert documented - {"corruption.sigma"} <= tried  # NOISE has sigma
    assert len(documented) > 30


def test_the_name_of_a_run_contains_data_set_model_noise_and_seed() -> None:
    three = "model.hidden=[30,20,10]"
    for file, overrides, start in (
        (NET, (three, "seed=7"), "convex-sda3-25-s7"),
        (NET, (three, "corruption.destruction=0"), "convex-saa3-0-s0"),
        (NET, ("dataset=rot-bg-img", "corruption.destruction=0.125"), "rot-bg-img-sda2-12.5-s0"),
        (NET, (NOISE.format(0.3),), "convex-sda2-gaussian0.3-s0"),
        (NET, (NOISE.format(0),), "convex-saa2-gaussian0-s0"),
        (NET, (SALT,), "convex-sda2-saltpepper25-s0"),
        (NET, ("corruption.destruction=0.30000000000000004",), "convex-sda2-30-s0"),
        (NET, ("pretrain.epochs=0",), "convex-nnet2-25-s0"),
        (NET, (three, *RBM), "convex-dbn3-0-s0"),
        (NET, ("seed=4294967295",), "convex-sda2-25-s4294967295"),
        (DIGITS, (), "mnist-ae-0-s0"),
        (DIGITS, ("corruption.destruction=0.5",), "mnist-dae-50-s0"),
        (DIGITS, ("pretrain.contraction=0.1",), "mnist-cae-0-s0"),
        (DIGITS, ("pretrain.kind=rbm",), "mnist-rbm-0-s0"),
        (SVM, ("seed=2",), "convex-svm-poly-s2"),
        (SVM, ("svm={kernel: rbf, destructions: [0, .1]}",), "convex-svm-rbf-nu-s0"),
    ):
        file_of(file)
        assert re.fullmatch(f"{start}-[0-9a-f]{{8}}", named_run(FILE, DATA, *overrides)[0])


def test_a_runs_name_depends_on_settings_and_data_but_not_on_how_settings_are_written() -> None:
    file_of(NET)
    plain = named_run(FILE, DATA)
    for overrides in (
        ("seed=0",),
        ("corruption={kind: masking, destruction: 25e-2}", "model={tied: true}"),
        ("finetune={window: 1, decrease: 0}", "pretrain.kind=autoencoder", "subset=null"),
    ):
        assert named_run(FILE, DATA, *overrides) == plain
    name, digest = named_run(FILE, "b" * 64)
    assert (name[:-8], digest) == (plain[0][:-8], plain[1])
    assert name != plain[0]
