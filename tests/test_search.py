"""`dae search`: trials, budgets, samplers, pruning, selection, and resuming."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.children import Child, wait_until
from tests.support.commands import Ended
from tests.support.commands import dae as run_dae
from tests.support.interrupts import interrupt_when_written, signal_itself
from tests.support.limits import files_of_at_most
from tests.support.tiny import STUDY, read_csv, snapshot, write_study, write_yaml

Dae = Callable[..., Ended]
Start = Callable[..., Child]

TRIALS = 4
ITEM: dict[str, Any] = {
    "cells": "rect-*",
    "space": {
        "units": {"low": 4, "high": 16, "step": 4},
        "layers": {"choices": [1, 2]},
        "finetune.learning_rate": {"low": 0.1, "high": 2.0, "log": True},
    },
    "prune": {"after_trials": 2, "from_epoch": 2},
}
ONE = ("search", "tiny", "--only", "rect-0")
AGAIN = (*ONE, "--trials", str(TRIALS))
STUDY_FILE = Path("experiments/tiny/study.yaml")


def search_item(space: dict[str, Any], cells: str = "rect-0", **more: Any) -> None:
    """Set the search section of the study in the current folder."""
    item = {"cells": cells, "space": space, **more}
    write_yaml(STUDY_FILE, {**STUDY, "search": [item]})


@pytest.fixture(autouse=True)
def _searched_study(tiny: Path) -> None:
    write_study(Path(), search=[ITEM])


@pytest.fixture(scope="module")
def finished_search(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> tuple[Path, Ended]:
    """Run `dae search tiny` once; return its folder and outcome."""
    folder = tmp_path_factory.mktemp("search")
    write_study(folder, search=[ITEM])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_DATA_DIR", str(tiny_data))
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        ended = run_dae("search", "tiny", "--trials", str(TRIALS)).succeeded()
    return folder, ended


@pytest.fixture
def searched(finished_search: tuple[Path, Ended]) -> Path:
    """Copy the finished search to the current folder; return the path of its results."""
    for name in ("results", "experiments"):
        shutil.copytree(finished_search[0] / name, name, dirs_exist_ok=True)
    return Path("results/tiny")


Row = dict[str, str]


def rows_in(folder: Path, cell: str = "rect-0", name: str = "search.csv") -> list[Row]:
    """Return the trials of a cell without the column that differs between repetitions."""
    path = folder / name
    rows = read_csv(path) if path.exists() else []
    return [{k: v for k, v in r.items() if k != "minutes"} for r in rows if r["cell"] == cell]


def settings_of(row: Row) -> dict[str, str]:
    """Return the drawn settings: the columns between the state and the errors."""
    columns = list(row)
    drawn = columns[columns.index("state") + 1 : columns.index("valid_error_percent")]
    return {name: row[name] for name in drawn if row[name]}


def settings_in(folder: Path, cell: str = "rect-0") -> list[dict[str, str]]:
    """Return the drawn settings of each trial of a cell."""
    return [settings_of(row) for row in rows_in(folder, cell)]


def sections(cell: str = "rect-0") -> dict[str, Any]:
    """Return the content of a cell's file."""
    found: dict[str, Any] = yaml.safe_load(Path(f"experiments/tiny/{cell}.yaml").read_text())
    return found


# Trials and their rows


def test_every_trial_is_a_row_and_the_best_stands_in_the_table(
    finished_search: tuple[Path, Ended],
) -> None:
    folder, ended = finished_search
    rows = read_csv(folder / "results/tiny/search.csv")
    assert [(row["cell"], row["trial"]) for row in rows] == [
        (cell, str(number)) for cell in ("rect-0", "rect-25") for number in range(1, TRIALS + 1)
    ]
    for row in rows:
        assert row["state"] in ("complete", "pruned")
        assert set(settings_of(row)) == {"units", "layers", "finetune.learning_rate"}
        assert row["n_valid"] == "50"
        assert float(row["valid_error_percent"]) == 2.0 * int(row["valid_wrong"])
        assert "optuna" in row["versions"]
        assert len(row["data_sha256"]) == len(row["config_sha256"]) == 64
        columns = ("engine", "sampler", "sampler_seed", "seed")
        assert [row[name] for name in columns] == ["torch", "random", "0", "0"]
        assert int(row["best_epoch"]) <= int(row["epochs"]) <= 4
    header, first, second, last = ended.lines
    assert header.split()[:4] == ["cell", "trials", "pruned", "failed"]
    least = min(float(row["valid_error_percent"]) for row in rows[:TRIALS])
    pruned = sum(row["state"] == "pruned" for row in rows[:TRIALS])
    assert first.split()[:5] == ["rect-0", "4", str(pruned), "0", f"{least:.2f}"]
    assert second.startswith("rect-25")
    assert "8 trials" in last and "results/tiny/search.csv" in last


def test_the_digest_of_a_search_and_the_settings_it_draws_never_change(
    finished_search: tuple[Path, Ended],
) -> None:
    results = finished_search[0] / "results/tiny"
    drawn = settings_in(results)
    assert drawn == settings_in(results, "rect-25")
    assert [tuple(values.values()) for values in drawn] == [
        ("0.9843", "1", "12"),
        ("0.1104", "1", "8"),
        ("1.936", "1", "4"),
        ("0.3691", "2", "12"),
    ]
    # The digest of space, pruning, fixed settings and data.
    assert {row["search"] for row in rows_in(results)} == {"f79d69ee01b8"}


def test_a_seeded_search_draws_these_settings(dae: Dae) -> None:
    space = {
        "units": ITEM["space"]["units"],
        "corruption.destruction": {"choices": [0.25, 0.4, 0.5]},
        "finetune.learning_rate": ITEM["space"]["finetune.learning_rate"],
        "pretrain.learning_rate": {"low": 0.01, "high": 0.5, "step": 0.01},
    }
    search_item(space, prune={"after_trials": 2, "from_epoch": 1})
    found = {}
    for sampler, trials in (("random", 6), ("tpe", 14)):
        words = ("--sampler", sampler, "--trials", trials, "--seed", "3", "--out", sampler)
        dae(*ONE, *words, "--no-write").succeeded()
        found[sampler] = [" ".join(drawn.values()) for drawn in settings_in(Path(sampler))]
    pruned = [row["trial"] for row in rows_in(Path("tpe")) if row["state"] == "pruned"]
    assert pruned == ["7", "10", "14"]
    assert found["random"] == [
        "0.5 0.8512 0.32 8",
        "0.25 0.2127 0.37 12",
        "0.5 1.276 0.37 4",
        "0.25 1.743 0.42 4",
        "0.5 0.6895 0.23 4",
        "0.5 0.4516 0.23 12",
    ]
    assert found["tpe"] == [
        "0.4 0.5126 0.16 12",
        "0.4 0.1965 0.05 8",
        "0.25 0.9513 0.42 16",
        "0.5 0.6609 0.16 4",
        "0.25 0.2038 0.16 4",
        "0.4 0.2892 0.4 16",
        "0.5 0.1183 0.04 4",
        "0.4 1.314 0.26 16",
        "0.25 1.329 0.33 12",
        "0.5 0.3968 0.42 8",
        # From here on TPE draws from its model; some of the earlier trials were pruned.
        "0.25 1.899 0.49 12",
        "0.25 0.7619 0.39 16",
        "0.4 0.2822 0.47 16",
        "0.4 0.1068 0.33 16",
    ]


def test_a_pipe_gets_one_plain_line_a_trial(finished_search: tuple[Path, Ended]) -> None:
    err = finished_search[1].err
    lines = [line for line in err.splitlines() if line.startswith(("complete", "pruned"))]
    assert len(lines) == 2 * TRIALS
    assert re.search(r"rect-0 trial 1: \d+\.00 % .* epoch \d .*units=", lines[0])
    assert "\x1b" not in err


def test_nothing_of_an_ended_trial_is_left_but_its_row(finished_search: tuple[Path, Ended]) -> None:
    results = finished_search[0] / "results/tiny"
    assert not list(results.rglob("*.safetensors")) and not list(results.rglob("*.partial"))
    assert not list(results.rglob("wrong_rows.*"))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_same_seed_makes_the_same_trials_and_another_seed_others(
    dae: Dae, sampler: str
) -> None:
    found = []
    for place, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ("--sampler", sampler, "--trials", "4", "--seed", str(seed), "--no-write")
        dae(*ONE, *words, "--out", place).succeeded()
        found.append(rows_in(Path(place)))
    assert found[0] == found[1]
    assert all(row["sampler"] == sampler for row in found[0])
    assert list(map(settings_of, found[0])) != list(map(settings_of, found[2]))


def test_the_study_says_how_many_trials_a_cell_has_and_from_which_seed(dae: Dae) -> None:
    search_item(ITEM["space"], trials=2, sampler_seed=5)
    assert dae(*ONE, "--dry-run").succeeded().lines[1].split()[:3] == ["rect-0", "0", "2"]
    for words, seeds in (((), "55"), ((), "55"), (("--trials", "3", "--seed", "1"), "551")):
        dae(*ONE, "--no-write", *words).succeeded()
        assert [row["sampler_seed"] for row in rows_in(Path("results/tiny"))] == list(seeds)


@pytest.mark.slow
def test_tpe_looks_where_it_was_good_once_it_has_begun(dae: Dae) -> None:
    search_item({"finetune.learning_rate": {"low": 0.0001, "high": 2.0, "log": True}})
    dae(*ONE, "--sampler", "tpe", "--trials", "30", "--no-write").succeeded()
    drawn = settings_in(Path("results/tiny"))
    rates = [float(values["finetune.learning_rate"]) for values in drawn]
    early, late = rates[:10], rates[20:]
    assert sum(rate > 0.05 for rate in late) > sum(rate > 0.05 for rate in early)


def test_no_test_row_plays_a_part_in_a_search(
    dae: Dae, tiny_data: Path, tmp_path: Path, finished_search: tuple[Path, Ended]
) -> None:
    import numpy as np  # only this test needs it

    with np.load(tiny_data / "rect.npz") as file:
        arrays = dict(file)
    arrays["Xtest"] = arrays["Xtest"][::-1]
    arrays["Ytest"] = 1 - arrays["Ytest"]
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "rect.npz", **arrays)
    words = ("--trials", str(TRIALS), "--data-dir", str(tmp_path / "other"))
    dae(*ONE, *words).succeeded()
    ours, theirs = rows_in(Path("results/tiny")), rows_in(finished_search[0] / "results/tiny")
    assert [row["data_sha256"] for row in ours] != [row["data_sha256"] for row in theirs]
    assert list(map(settings_of, ours)) == list(map(settings_of, theirs))
    for column in ("trial", "state", "valid_wrong", "best_epoch", "epochs"):
        assert [row[column] for row in ours] == [row[column] for row in theirs]


def test_a_larger_budget_adds_trials_and_the_same_one_adds_none(dae: Dae, searched: Path) -> None:
    before = rows_in(searched)
    assert dae(*AGAIN).succeeded().lines[-1].startswith("0 trials")
    assert rows_in(searched) == before
    assert dae(*ONE, "--trials", TRIALS + 1).succeeded().lines[-1].startswith("1 trial ")
    after = rows_in(searched)
    assert after[:TRIALS] == before
    assert len(after) == TRIALS + 1
    assert len(rows_in(searched, "rect-25")) == TRIALS  # not searched now, so unchanged


def test_no_hours_make_no_trial_and_say_so(dae: Dae) -> None:
    ended = dae(*ONE, "--hours", "0").failed(1, "rect-0")
    assert "--hours" in ended.out
    assert rows_in(Path("results/tiny")) == []


def test_a_hopeless_trial_is_pruned_where_it_stands_and_not_selected(dae: Dae) -> None:
    rates = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.00001]
    space = {"finetune.learning_rate": {"choices": rates}}
    search_item(space, prune={"after_trials": 1, "from_epoch": 2})
    dae(*ONE, "--trials", "8").succeeded()
    rows = rows_in(Path("results/tiny"))
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert pruned
    for row in pruned:
        assert float(settings_of(row)["finetune.learning_rate"]) == 0.00001
        assert row["epochs"] in ("2", "3")
        assert row["valid_error_percent"]
    assert all(row["epochs"] == "4" for row in rows if row not in pruned)
    text = Path("experiments/tiny/rect-0.yaml").read_text()
    assert f" of 8 ({len(pruned)} pruned), 10.00 % on unverified data; search.csv" in text


def test_a_trial_that_diverges_is_a_row_and_not_the_end(dae: Dae) -> None:
    cell = Path("experiments/tiny/rect-0.yaml")
    cell.write_text(cell.read_text() + "pretrain: {loss: squared-error}\n")
    search_item({"pretrain.learning_rate": {"choices": [0.1, 0.2, 900, 1000]}})
    ended = dae(*ONE, "--trials", "2").succeeded()
    rows = rows_in(Path("results/tiny"))
    diverged = [row for row in rows if row["state"] == "diverged"]
    assert diverged and len(rows) == 2 + len(diverged)  # diverged trials do not count
    assert all("pretrain.learning_rate" in row["error"] for row in diverged)
    assert {row["valid_error_percent"] for row in diverged} == {""}
    assert "diverged" in ended.err


def test_a_cell_whose_trials_all_diverge_is_given_up(dae: Dae) -> None:
    cell = Path("experiments/tiny/rect-0.yaml")
    cell.write_text(cell.read_text() + "pretrain: {loss: squared-error}\n")
    search_item({"pretrain.learning_rate": {"low": 900, "high": 1000}})
    dae(*ONE, "--trials", "50").failed(1, "rect-0")
    states = [row["state"] for row in rows_in(Path("results/tiny"))]
    assert set(states) == {"diverged"} and 1 < len(states) < 50


def test_a_space_of_choices_that_is_used_up_ends_the_search(dae: Dae) -> None:
    choices = {"layers": {"choices": [1, 2]}, "finetune.learning_rate": {"choices": [0.1, 0.5]}}
    search_item(choices)
    for sampler in ("random", "tpe"):
        words = ("--trials", "9", "--no-write", "--sampler", sampler, "--out", sampler)
        ended = dae("search", "tiny", *words).succeeded()
        assert "rect-0" in ended.err
        drawn = [tuple(settings.values()) for settings in settings_in(Path(sampler))]
        assert len(drawn) == len(set(drawn)) == 4


def test_drawn_numbers_lie_on_their_steps_and_within_their_range(dae: Dae) -> None:
    search_item(
        {
            "finetune.learning_rate": {"low": 0.1, "high": 0.5, "step": 0.00125},
            "pretrain.learning_rate": {"low": 0.0123441, "high": 0.0123456},
        }
    )
    dae(*ONE, "--trials", "6", "--no-write").succeeded()
    for row in rows_in(Path("results/tiny")):
        settings = settings_of(row)
        steps = (float(settings["finetune.learning_rate"]) - 0.1) / 0.00125
        assert abs(steps - round(steps)) < 1e-6 and 0 <= round(steps) <= 320
        assert 0.0123441 <= float(settings["pretrain.learning_rate"]) <= 0.0123456


def test_trials_that_share_pretraining_come_to_the_same_as_those_that_do_not(dae: Dae) -> None:
    search_item({"finetune.learning_rate": {"low": 0.1, "high": 2.0, "log": True}})
    words = (*ONE, "--trials", "3", "--no-write")
    dae(*words, "--out", "shared").succeeded()
    assert not list(Path("shared").rglob("*.safetensors"))
    alone = []
    for row in rows_in(Path("shared")):  # one search per trial, so each pretrains itself
        rate = float(settings_of(row)["finetune.learning_rate"])
        search_item({"finetune.learning_rate": {"choices": [rate]}})
        out = f"alone-{row['trial']}"
        dae(*ONE, "--trials", "1", "--no-write", "--out", out).succeeded()
        alone += rows_in(Path(out))
    for column in ("valid_wrong", "best_epoch", "epochs", "config_sha256"):
        assert [r[column] for r in alone] == [r[column] for r in rows_in(Path("shared"))]


def test_trials_take_over_the_pretraining_of_a_finished_run_and_come_to_the_same(
    dae: Dae,
) -> None:
    search_item({"finetune.learning_rate": {"low": 0.1, "high": 2.0, "log": True}})
    words = (*ONE, "--trials", "3", "--no-write")
    dae(*words, "--out", "alone").succeeded()
    dae("replicate", "tiny", "--only", "rect-0").succeeded()
    dae(*words).succeeded()
    assert rows_in(Path("results/tiny")) == rows_in(Path("alone"))


# Output and errors


def test_a_dry_run_says_what_there_is_and_writes_nothing(dae: Dae) -> None:
    ended = dae("search", "tiny", "--dry-run", "--trials", "7").succeeded()
    assert ended.lines[1].split()[:3] == ["rect-0", "0", "7"]
    assert ended.lines[1].endswith("units, layers, finetune.learning_rate")
    assert not Path("results").exists()
    Path("results").touch()
    refused = dae("search", "tiny", "--dry-run", "--trials", "7").failed(2, "results/", "--out")
    assert refused.out == ended.out


def test_a_dry_run_and_a_check_can_be_read_by_programs(dae: Dae, searched: Path) -> None:
    before = snapshot(searched)
    first = dae("search", "tiny", "--dry-run", "--format", "json").json["cells"][0]
    assert first["complete"] + first["pruned"] == TRIALS
    assert (first["cell"], first["wanted"]) == ("rect-0", 25)
    assert snapshot(searched) == before
    checked = dae("search", "tiny", "--check", "--format", "json").succeeded().json
    assert (checked["cells"], checked["agree"], checked["not_searched"]) == (2, 2, [])
    assert checked["differences"] == []


def test_json_has_the_selected_row(dae: Dae, searched: Path) -> None:
    first = dae("search", "tiny", "--trials", TRIALS, "--format", "json").json["cells"][0]
    assert (first["cell"], first["trials"], first["failed"]) == ("rect-0", TRIALS, 0)
    assert first["selected"]["state"] == "complete"
    assert set(first["selected"]["settings"]) == {"units", "layers", "finetune.learning_rate"}


def test_what_cannot_be_is_refused(dae: Dae) -> None:
    dae("search", "tiny", "--only", "rect-1").failed(2, "rect-1", "rect-0")
    dae("search", "tiny", "--engine", "compiled", "--device", "cuda").failed(2, "--device")
    dae("search", "tiny", "--trials", "0").failed(2, "--trials")
    dae("search", "tiny", "--hours", "-1").failed(2, "--hours")
    write_study(Path())
    dae("search", "tiny").failed(2, "experiments/tiny/study.yaml", "search")


def test_without_optuna_the_way_to_install_it_is_said(child: Start, tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ImportError('not here')\n")
    root = str(Path(__file__).resolve().parents[1])
    environment = {"PYTHONPATH": f"{tmp_path}:{root}"}
    ended = child("search", "tiny", environment=environment, executed=True).wait()
    ended.failed(2, "optuna", "pip install", "[search]")


# The selected settings in the experiment files


def test_the_file_resolves_to_the_best_trial_and_says_where_it_is_from(
    dae: Dae, searched: Path
) -> None:
    rows = rows_in(searched, "rect-25")
    complete = [row for row in rows if row["state"] == "complete"]
    fewest = ("valid_wrong", "weights", "epochs", "trial")
    best = min(complete, key=lambda row: [int(row[name]) for name in fewest])
    text = Path("experiments/tiny/rect-25.yaml").read_text()
    comment = next(line for line in text.splitlines() if line.startswith("#"))
    assert f"trial {best['trial']} of 4" in comment
    percent = f"{float(best['valid_error_percent']):.2f} %"
    assert f" {percent} on unverified data; search.csv sha256 " in comment
    assert best["trust"] == "unverified"
    settings = settings_of(best)
    shown = yaml.safe_load(dae("show", "tiny/rect-25").succeeded().out)
    assert shown["corruption"]["destruction"] == 0.25  # not searched, so unchanged
    assert shown["finetune"]["max_epochs"] == 4  # from study.yaml
    assert shown["finetune"]["learning_rate"] == float(settings["finetune.learning_rate"])
    assert shown["model"]["hidden"] == [int(settings["units"])] * int(settings["layers"])
    assert set(sections("rect-25")) == {"corruption", "finetune", "model"}


@pytest.mark.parametrize(
    ("before", "comments"),
    [
        ("# What it is.\n#   dae train x\ncorruption: {destruction: 0.0}\n# The end.\n", 3),
        ("# Head.\nfinetune:\n  max_epochs: 3\n  learning_rate: 0.5\n\n# Why.\n", 2),
        ("model:\n  hidden:\n  - 3\n  - 4\n  tied: false\n", 0),
        ("{corruption: {destruction: 0.0}, finetune: {max_epochs: 3}}\n", 0),
    ],
)
def test_of_a_cells_file_only_what_was_searched_changes(
    dae: Dae, before: str, comments: int
) -> None:
    file = Path("experiments/tiny/rect-0.yaml")
    file.write_text(before)
    old = sections()
    dae(*ONE, "--trials", "1").succeeded()
    new = sections()
    searched = {"model": {"hidden"}, "finetune": {"learning_rate"}}
    for name, section in old.items():
        for key, value in section.items():
            if key not in searched.get(name, set()):
                assert new[name][key] == value
    own = [line for line in before.splitlines() if line.startswith("#")]
    after = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert [line for line in after if line in own] == own
    assert (len(own), len(after)) == (comments, comments + 1)


def test_searching_again_changes_nothing_and_a_later_selection_replaces_the_earlier(
    dae: Dae, searched: Path
) -> None:
    file = Path("experiments/tiny/rect-0.yaml")
    before = file.read_text()
    dae(*AGAIN).succeeded()
    assert file.read_text() == before
    dae(*ONE, "--trials", TRIALS + 1).succeeded()
    marks = [line for line in file.read_text().splitlines() if "search.csv" in line]
    assert len(marks) == 1 and " of 5" in marks[0]


def test_check_agrees_with_what_search_wrote_and_before_any_search(
    dae: Dae, finished_search: tuple[Path, Ended]
) -> None:
    assert "0 of 2" in dae("search", "tiny", "--check").succeeded().out
    for name in ("results", "experiments"):
        shutil.copytree(finished_search[0] / name, name, dirs_exist_ok=True)
    assert "2 of 2" in dae("search", "tiny", "--check").succeeded().out


def test_check_finds_what_was_changed_by_hand(dae: Dae, searched: Path) -> None:
    file, table = Path("experiments/tiny/rect-0.yaml"), searched / "search.csv"
    changes: list[tuple[Path, str, str, str]] = [
        (file, r"learning_rate: [\d.]+", "learning_rate: 0.7", "finetune.learning_rate"),
        (table, r"(?m)^(rect-0,.*?),4,", r"\1,3,", "rect-0"),
        (STUDY_FILE, "high: 16", "high: 20", "rect-0"),
    ]
    for path, old, new, named in changes:
        text = path.read_text()
        path.write_text(re.sub(old, new, text, count=1))
        assert path.read_text() != text
        ended = dae("search", "tiny", "--check")
        assert ended.code == 1 and named in ended.out
        path.write_text(text)


def test_no_write_prints_the_file_and_leaves_it(dae: Dae, searched: Path) -> None:
    file = Path("experiments/tiny/rect-0.yaml")
    written = file.read_text()
    write_study(Path(), search=[ITEM])
    before = file.read_text()
    ended = dae(*AGAIN, "--no-write").succeeded()
    assert file.read_text() == before
    printed = ended.out.partition("\ncell ")[0]  # without the table that follows
    assert "experiments/tiny/rect-0.yaml" in printed
    assert yaml.safe_load(printed) == yaml.safe_load(written)


def test_files_are_written_afterwards_from_search_csv_alone(dae: Dae, searched: Path) -> None:
    written = {path: path.read_text() for path in Path("experiments/tiny").glob("rect-*")}
    for path in written:
        path.write_text("dataset: rect\n" + path.read_text().partition("dataset: rect\n")[2])
    write_study(Path(), search=[{**ITEM, "trials": TRIALS}])
    shutil.rmtree(searched / "search")  # which is not committed
    before = (searched / "search.csv").read_text()
    assert "0 trials" in dae("search", "tiny").succeeded().lines[-1]
    assert {path: path.read_text() for path in written} == written
    assert (searched / "search.csv").read_text() == before
    dae("search", "tiny", "--check").succeeded()


def test_two_cells_that_would_become_the_same_are_refused_whole(dae: Dae) -> None:
    search_item({"corruption.destruction": {"choices": [0, 0.25]}}, cells="rect-*")
    before = snapshot(STUDY_FILE.parent)
    dae("search", "tiny", "--trials", "2").failed(2, "experiments/tiny", "rect-25.yaml", "rect-0")
    assert snapshot(STUDY_FILE.parent) == before


# Resuming


def test_another_space_is_another_search_and_the_trials_before_are_set_apart(
    dae: Dae, searched: Path
) -> None:
    before = rows_in(searched)
    text = STUDY_FILE.read_text()
    STUDY_FILE.write_text(text.replace("high: 16", "high: 12"))
    dae(*ONE, "--trials", "1").succeeded()
    (now,) = rows_in(searched)
    assert len(rows_in(searched, "rect-25")) == TRIALS
    assert rows_in(searched, name="search_earlier.csv") == before
    # With the former space in a new clone, its trials are used again.
    STUDY_FILE.write_text(text)
    clone = Path("clone")
    clone.mkdir()
    for name in ("search.csv", "search_earlier.csv"):
        shutil.copy(searched / name, clone)
    dae(*AGAIN, "--out", clone).succeeded()
    assert rows_in(clone) == before
    assert rows_in(clone, name="search_earlier.csv") == [now]


def test_after_a_clone_a_search_goes_on_from_search_csv(dae: Dae, searched: Path) -> None:
    before = (searched / "search.csv").read_bytes()
    shutil.rmtree(searched / "search", ignore_errors=True)
    dae("search", "tiny", "--trials", TRIALS).succeeded()
    assert (searched / "search.csv").read_bytes() == before
    dae(*ONE, "--trials", TRIALS + 1).succeeded()
    last = rows_in(searched)[-1]
    dae(*ONE, "--trials", TRIALS + 1, "--out", "whole").succeeded()
    whole = rows_in(Path("whole"))[-1]
    assert (last["trial"], settings_of(last)) == (whole["trial"], settings_of(whole))


def edit_rows(results: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    """Change the rows of rect-0 in search.csv and remove the trials' folders, as in a clone."""
    import csv

    path = results / "search.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    rows = change([row for row in rows if row[0] == "rect-0"])
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    shutil.rmtree(results / "search", ignore_errors=True)


def test_a_number_that_is_missing_in_search_csv_stays_free_and_a_line_twice_is_one_trial(
    dae: Dae, searched: Path
) -> None:
    edit_rows(searched, lambda rows: [rows[0], *rows[2:], rows[-1]])
    dae(*AGAIN).succeeded()
    assert [row["trial"] for row in rows_in(searched)] == ["1", "3", "4", "5"]


def test_a_line_that_is_not_of_the_space_is_refused_and_stays(dae: Dae, searched: Path) -> None:
    rate = settings_in(searched)[0]["finetune.learning_rate"]
    edit_rows(searched, lambda rows: [["99.0" if c == rate else c for c in rows[0]]])
    before = (searched / "search.csv").read_bytes()
    dae(*AGAIN).failed(2, "search.csv", "trial 1", "finetune.learning_rate=99.0")
    assert (searched / "search.csv").read_bytes() == before


def test_folders_that_a_killed_command_left_empty_are_the_trials_of_their_numbers(
    dae: Dae, searched: Path, finished_search: tuple[Path, Ended]
) -> None:
    digest = rows_in(searched)[0]["search"]
    edit_rows(searched, lambda rows: rows[:2])
    trials = searched / "search/trials"
    (trials / f"rect-0-{digest[:8]}-3.partial").mkdir(parents=True)
    for name in (f"rect-0-{digest[:8]}-x.partial", "rect-0-00000000-4.partial", "notes"):
        (trials / name).mkdir()  # not a trial of this search
    dae(*AGAIN).succeeded()
    assert settings_in(searched) == settings_in(finished_search[0] / "results/tiny")


@pytest.mark.usefixtures("_frequent_checkpoints")
def test_an_unfinished_trial_goes_on_as_the_last_if_its_number_comes_with_a_pull(
    dae: Dae, child: Start
) -> None:
    lengthen()
    dae(*ONE, "--trials", "2", "--seed", "9", "--out", "other", "--no-write").succeeded()
    results, words = Path("results/tiny"), (*ONE, "--no-write", "--jobs", "1")
    command = child(*words, "--trials", "1")
    wait_until(lambda: is_within(1, results), command)
    command.kill()
    shutil.copy("other/search.csv", results)
    dae(*words, "--trials", "3").succeeded()
    others = rows_in(Path("other"))
    *pulled, last = rows_in(results)
    assert pulled == others
    assert (last["trial"], settings_of(last)["finetune.learning_rate"]) == ("3", "0.9843")


# Stopped, killed and shared


@pytest.fixture
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAE_CHECKPOINT_SECONDS", "0.05")


def lengthen() -> None:
    """Make trials long enough to be killed while they run."""
    study = yaml.safe_load(STUDY_FILE.read_text())
    study["shared"]["finetune"] |= {"max_epochs": 80, "patience": 80}
    write_yaml(STUDY_FILE, study)


def unfinished(results: Path) -> list[str]:
    """Return the trials that have saved a checkpoint and have not ended."""
    folders = (results / "search" / "trials").glob("*.partial")
    return [folder.name for folder in folders if (folder / "checkpoint.safetensors").exists()]


def is_within(trial: int, results: Path) -> bool:
    """Return whether earlier trials have ended and this one has saved a checkpoint."""
    has_started = any(name.endswith(f"-{trial}.partial") for name in unfinished(results))
    return len(rows_in(results)) >= trial - 1 and has_started


@pytest.mark.usefixtures("_frequent_checkpoints")
@pytest.mark.timeout(240)
def test_killed_and_stopped_the_same_command_comes_to_the_same_trials(
    child: Start,
) -> None:
    lengthen()
    child(*AGAIN, "--out", "whole").wait().succeeded()
    cell = Path("experiments/tiny/rect-0.yaml")
    selected = cell.read_text()
    write_study(Path(), search=[ITEM])
    lengthen()
    results = Path("results/tiny")
    for trial, number in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGTERM), start=1):
        within = functools.partial(is_within, trial, results)
        stopped = child(*AGAIN, prepare=(functools.partial(signal_itself, number, within),))
        assert stopped.wait().code == 128 + number
        assert ("the same command" in stopped.err) == (number != signal.SIGKILL)
        assert stopped.survivors() == []
    child(*AGAIN).wait().succeeded()
    assert rows_in(results) == rows_in(Path("whole"))
    assert not unfinished(results)
    digest = re.compile(r"sha256 \w+")  # differs, since it covers the minutes
    assert digest.sub("", cell.read_text()) == digest.sub("", selected)


@pytest.mark.parametrize("name", ["draw.json", "search.csv"])
def test_a_search_interrupted_between_two_of_its_files_loses_no_trial(
    child: Start, finished_search: tuple[Path, Ended], name: str
) -> None:
    """Interrupt between the first files of a trial, or before its folder is cleaned up."""
    results = Path("results/tiny")
    child(*AGAIN, prepare=interrupt_when_written(name, times=2)).wait().failed(130)
    child(*AGAIN).wait().succeeded()
    assert rows_in(results) == rows_in(finished_search[0] / "results/tiny")
    assert list((results / "search/trials").glob("*.partial")) == []


def test_a_trial_that_fails_by_no_fault_of_its_own_is_not_over(
    child: Start, finished_search: tuple[Path, Ended]
) -> None:
    results = Path("results/tiny")
    ended = child(*AGAIN, prepare=files_of_at_most(20_000)).wait()
    ended.failed(1, "rect-0 trial 1", "checkpoint.safetensors", "the same command")
    assert rows_in(results) == []
    assert "search.csv" not in Path("experiments/tiny/rect-0.yaml").read_text()
    child(*AGAIN).wait().succeeded()
    assert rows_in(results) == rows_in(finished_search[0] / "results/tiny")


@pytest.mark.timeout(240)
def test_two_commands_share_a_search_and_make_each_trial_once(child: Start) -> None:
    words = ("search", "tiny", "--trials", "6")
    commands = [child(*words), child(*words)]
    ended = [command.wait().succeeded() for command in commands]
    for cell in ("rect-0", "rect-25"):
        numbers = [row["trial"] for row in rows_in(Path("results/tiny"), cell)]
        assert numbers == ["1", "2", "3", "4", "5", "6"]
    lines = [line.partition(":")[0] for one in ended for line in one.err.splitlines()]
    trials = [line for line in lines if line.startswith(("complete", "pruned"))]
    assert len(trials) == len(set(trials)) == 12


@pytest.mark.timeout(240)
def test_two_commands_with_other_seeds_lose_no_row_of_one_another(child: Start) -> None:
    words = (*ONE, "--trials", "8", "--no-write")
    commands = [child(*words, "--seed", seed) for seed in ("1", "2")]
    ended = [command.wait().succeeded() for command in commands]
    printed = re.findall(r"^(?:complete|pruned).* \((.*)\)$", "".join(e.err for e in ended), re.M)
    rows = rows_in(Path("results/tiny"))
    assert [row["trial"] for row in rows] == [str(number) for number in range(1, 9)]
    assert {" ".join(sorted(settings.split())) for settings in printed} == {
        " ".join(sorted(f"{key}={value}" for key, value in settings_of(row).items()))
        for row in rows
    }


def kill_a_worker(command: Child) -> None:
    """Kill a process that runs a trial, and wait until the command has noticed."""
    worker = command.workers()[0]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in command.workers(), command)


@pytest.mark.usefixtures("_frequent_checkpoints")
@pytest.mark.timeout(240)
def test_a_trial_whose_process_is_killed_goes_on_and_fails_when_it_is_killed_again(
    child: Start, finished_search: tuple[Path, Ended]
) -> None:
    lengthen()
    results = Path("results/tiny")
    command = child(*ONE, "--trials", "1", "--jobs", "2", "--no-write")
    for _ in range(2):
        wait_until(lambda: unfinished(results) and command.workers(), command)
        kill_a_worker(command)
    assert "rect-0-" in command.wait().succeeded().err
    rows = rows_in(results)
    assert [(row["trial"], row["state"]) for row in rows] == [("1", "failed"), ("2", "complete")]
    assert "killed" in rows[0]["error"] and settings_of(rows[0])
    assert settings_in(results) == settings_in(finished_search[0] / "results/tiny")[:2]
    assert not unfinished(results)


@pytest.mark.slow
@pytest.mark.usefixtures("_frequent_checkpoints")
@pytest.mark.timeout(240)
def test_a_command_with_workers_that_is_killed_is_ended_by_the_next_one(
    child: Start, finished_search: tuple[Path, Ended]
) -> None:
    lengthen()
    words = ("search", "tiny", "--trials", str(TRIALS), "--jobs", "2")
    command = child(*words)
    wait_until(lambda: unfinished(Path("results/tiny")), command)
    command.kill_group()
    child(*words).wait().succeeded()
    # Pruning depends on which trials were complete at the time, but the drawn settings do not.
    assert settings_in(Path("results/tiny")) == settings_in(finished_search[0] / "results/tiny")
    assert not list(Path("results").rglob("*.partial"))
