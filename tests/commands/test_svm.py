"""The commands on cells that are SVMs."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.study.svms import without_seconds

if TYPE_CHECKING:
    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]

SVM = "# Tiny: an SVM.\nsvm: {{kernel: {}, gammas: [0.01], penalties: [1, 10], refine: false}}\n"


@pytest.fixture(autouse=True)
def _cells(_here: None, tmp_path: Path) -> None:
    """Two cells beside the networks of experiments/tiny."""
    for kernel in ("rbf", "poly"):
        cell = tmp_path / "experiments" / "tiny" / f"rect-{kernel}.yaml"
        cell.write_text(SVM.format(kernel))


def test_train_selects_and_trains(dae: Dae) -> None:
    ended = dae("train", "tiny/rect-rbf", "--engine", "torch")
    assert ended.code == 0, ended.err
    first, paper, data, _, folder = ended.lines
    assert re.fullmatch(r"test error   \d+\.\d\d ± \d\.\d\d % \(\d+ of 400 rows wrong\)", first)
    assert paper == "paper        no reference"
    assert data == "data         rect, original"
    assert re.fullmatch(r"results/tiny/runs/rect-svm-rbf-s0-\w{8}", folder)
    told = re.findall(r"^select trial +(\d+)  validation error \d+\.\d\d %$", ended.err, re.M)
    assert told == ["1", "2"]
    assert "dae filters" not in ended.err
    assert "is done already" in dae("train", "tiny/rect-rbf").err


def test_a_study_of_both_kinds_is_made_by_workers_as_by_one_process(
    dae: Dae, tmp_path: Path
) -> None:
    for name, jobs in (("one", "1"), ("two", "2")):
        ended = dae("replicate", "tiny", "--jobs", jobs, "--out", name)
        assert ended.code == 0, ended.err
    for kernel in ("rbf", "poly"):
        runs = f"runs/rect-svm-{kernel}-*"
        one, two = (next((tmp_path / name).glob(runs)) for name in ("one", "two"))
        assert without_seconds(one / "trials.csv") == without_seconds(two / "trials.csv")
        name = "checkpoint.safetensors"
        assert (one / name).read_bytes() == (two / name).read_bytes()
    verified = dae("verify", "tiny", "--out", "one")
    assert verified.out == "4 runs recomputed, 0 differences\n", verified.err
    with Path("one/table.csv").open(newline="") as file:
        models = {row["cell"]: row["model"] for row in csv.DictReader(file)}
    assert models["rect-poly"] == "SVM_poly"
    evaluated = dae("evaluate", one, "--format", "json")
    assert json.loads(evaluated.out)[0]["n_rows"] == 400
    refused = dae("filters", one)
    assert refused.code == 2
    assert refused.err.endswith("an SVM has no filters; give the runs of networks\n")


def test_a_setting_of_networks_passes_svms_by(dae: Dae) -> None:
    shown = dae("show", "tiny", "--set", "finetune.max_epochs=9", "--set", "svm.penalties=[3]")
    assert shown.code == 0, shown.err
    assert shown.out.count("max_epochs: 9") == 2
    assert shown.out.count("penalties: [3.0]") == 2
    refused = dae("train", "tiny/rect-rbf", "--set", "finetune.max_epochs=9")
    assert refused.code == 2
    assert "tiny/rect-rbf is an SVM, without a section finetune" in " ".join(refused.err.split())


def test_they_are_listed(dae: Dae) -> None:
    assert re.search(r"^tiny/rect-poly +Tiny: an SVM\.$", dae("ls").out, re.M)
