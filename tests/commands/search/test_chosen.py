"""The selected settings in the experiment files: written, checked, refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import dae_cli
from dae_cli.config.experiments import resolve_experiment
from dae_cli.study.tables.trial_rows import best, digest_of, read_csv
from tests.commands.conftest import Ended
from tests.commands.search.conftest import SECTION, TRIALS

Dae = Callable[..., Ended]
AGAIN = ("search", "tiny", "--trials", TRIALS, "--jobs", "1")


def test_the_file_resolves_to_the_best_trial_and_tells_where_it_is_from(
    searched: Path, tmp_path: Path
) -> None:
    rows = [row for row in read_csv(searched / "search.csv") if row.cell == "rect-25"]
    selected = best(rows)
    assert selected is not None
    file = tmp_path / "experiments/tiny/rect-25.yaml"
    head, told, *body = file.read_text().splitlines()
    assert head == "# Tiny: 25 %."
    pattern = (
        rf"# Selected on validation by dae search tiny: trial {selected.trial} of 4"
        rf"( \(\d pruned\))?, {selected.valid_error_percent:.2f} %; search.csv sha256 "
        + digest_of(rows)[:16]
    )
    assert re.fullmatch(pattern, told)
    assert body[0] == "corruption: {destruction: 0.25}"  # not searched: as it was
    assert sorted(line.split(":")[0] for line in body[1:]) == ["finetune", "model"]
    experiment = resolve_experiment("tiny/rect-25").network
    assert experiment.corruption.destruction == 0.25
    assert experiment.finetune.learning_rate == float(selected.settings["finetune.learning_rate"])
    units, layers = int(selected.settings["units"]), int(selected.settings["layers"])
    assert experiment.model.hidden == (units,) * layers
    assert experiment.finetune.max_epochs == 4  # of study.yaml


def test_searching_again_changes_nothing_and_the_search_goes_on(dae: Dae, searched: Path) -> None:
    file = searched.parents[1] / "experiments/tiny/rect-0.yaml"
    before = file.read_text()
    assert dae(*AGAIN).code == 0
    assert file.read_text() == before
    assert dae("search", "tiny", "--trials", TRIALS + 1, "--jobs", "1").code == 0
    after = file.read_text()
    assert after.count("# Selected on validation by") == 1
    assert " of 5" in after.splitlines()[1]


def test_check_agrees_with_what_search_wrote(dae: Dae, searched: Path) -> None:
    assert dae("search", "tiny", "--check") == (0, "2 of 2 cells agree with search.csv\n", "")


def test_check_before_any_search_has_nothing_to_say_against(dae: Dae) -> None:
    ended = dae("search", "tiny", "--check")
    assert ended == (0, "0 of 2 cells agree with search.csv, 2 not searched yet\n", "")


def test_check_tells_a_setting_that_was_changed_by_hand(dae: Dae, searched: Path) -> None:
    file = searched.parents[1] / "experiments/tiny/rect-0.yaml"
    file.write_text(re.sub(r"learning_rate: [\d.]+", "learning_rate: 0.7", file.read_text()))
    ended = dae("search", "tiny", "--check")
    assert ended.code == 1
    assert re.search(r"^rect-0 +finetune.learning_rate +0.7 +\d", ended.out, re.M)
    assert ended.lines[-1] == "1 of 2 cells agree with search.csv"


def test_check_tells_a_row_that_was_changed_by_hand(dae: Dae, searched: Path) -> None:
    table = searched / "search.csv"
    text = table.read_text()
    table.write_text(text.replace(",4,", ",3,", 1))
    ended = dae("search", "tiny", "--check")
    assert ended.code == 1
    assert re.search(r"^rect-0 +selection +# Selected on validation by", ended.out, re.M)


def test_check_tells_a_space_that_was_changed(dae: Dae, searched: Path, tmp_path: Path) -> None:
    study = tmp_path / "experiments/tiny/study.yaml"
    study.write_text(study.read_text().replace("high: 16", "high: 20"))
    ended = dae("search", "tiny", "--check")
    assert ended.code == 1
    assert re.search(r"^rect-0 +search of trial 1 +\w{12} +\w{12}$", ended.out, re.M)


def test_no_write_prints_the_file_and_leaves_it(dae: Dae, searched: Path, tmp_path: Path) -> None:
    file = tmp_path / "experiments/tiny/rect-0.yaml"
    written = file.read_text()
    file.write_text("# Tiny: 0 %.\ncorruption: {destruction: 0.0}\n")
    ended = dae(*AGAIN, "--no-write")
    assert ended.code == 0
    assert file.read_text() == "# Tiny: 0 %.\ncorruption: {destruction: 0.0}\n"
    assert f"# experiments/tiny/rect-0.yaml\n{written}" in ended.out


def test_experiments_of_the_installed_package_are_not_written(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dae_cli, "__file__", str(tmp_path / "__init__.py"))
    ended = dae(*AGAIN)
    assert ended.code == 2
    assert ended.err.startswith("experiments/tiny is part of the installed package: copy the")
    assert "--no-write" in ended.err
    assert not (tmp_path / "results").exists()


def test_two_cells_that_would_become_the_same_are_refused_whole(dae: Dae, tmp_path: Path) -> None:
    study = tmp_path / "experiments/tiny/study.yaml"
    section = "search: [{cells: rect-*, space: {corruption.destruction: {choices: [0, 0.25]}}}]\n"
    study.write_text(study.read_text().removesuffix(SECTION) + section)
    before = [file.read_text() for file in sorted(study.parent.iterdir())]
    ended = dae("search", "tiny", "--trials", "2", "--jobs", "1")
    assert ended.code == 2
    assert "experiments/tiny: with the selected settings the study would be wrong" in ended.err
    assert "resolves to the same experiment as" in ended.err
    assert [file.read_text() for file in sorted(study.parent.iterdir())] == before
