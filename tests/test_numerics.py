"""Results of another numerics version are marked as such, verified, and never mixed up.

A separate process with a version lower by one plays the dae that computed them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.entry_points.cli import dae_with_numerics
from tests.entry_points.statistics import NUMERICS_VERSION
from tests.support.commands import Ended
from tests.support.synthetic_results import COLUMNS, SyntheticStudy, write_csv
from tests.support.tiny import change_json, read_csv, read_json, run_of, snapshot, write_study

Dae = Callable[..., Ended]

BEFORE, NOW = str(NUMERICS_VERSION - 1), str(NUMERICS_VERSION)
SEARCH = {"cells": "rect-*", "space": {"finetune.learning_rate": {"low": 0.1, "high": 1.0}}}
ONE_PROCESS = ("--engine", "torch", "--jobs", "1")


@pytest.fixture(scope="module")
def made_before(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> Path:
    """A folder in which the previous version has searched and run the tiny study."""
    folder = tmp_path_factory.mktemp("before")
    write_study(folder, search=[SEARCH])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DAE_DATA_DIR", str(tiny_data))
        patch.setenv("DAE_CACHE_DIR", str(session_cache))
        search = ("search", "tiny", "--trials", "2", *ONE_PROCESS)
        dae_with_numerics(int(BEFORE), search, ("replicate", "tiny", *ONE_PROCESS))
    return folder


@pytest.fixture
def before(made_before: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder in the current one; the path of its results."""
    for name in ("experiments", "results"):
        shutil.copytree(made_before / name, name)
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    return Path("results/tiny")


def numerics_of(results: Path, file: str = "runs.csv") -> dict[str, str]:
    """Return the column `numerics` by cell."""
    return {row["cell"]: row["numerics"] for row in read_csv(results / file)}


def test_rows_of_an_earlier_version_are_verified_and_reported_under_theirs(
    dae: Dae, before: Path
) -> None:
    files = snapshot(before)
    note = f"computed with numerics {BEFORE} (rect-0, rect-25); this version computes with"
    for source in ("tiny", before):
        ended = dae("verify", source).succeeded()
        assert f"runs.csv: {note} {NOW}" in ended.message
        assert ended.lines == ["2 runs recomputed, 0 differences"]
        assert f"runs.csv: {note} {NOW}" in dae("report", source).succeeded().message
        assert snapshot(before) == files
    assert f", numerics {BEFORE}." in (before / "REPORT.md").read_text()
    rows = read_csv(before / "runs.csv")
    evaluated = dae("evaluate", before, "--format", "csv").succeeded().rows
    assert [row["n_wrong"] for row in evaluated] == [row["n_wrong"] for row in rows]


def test_a_run_without_its_folder_can_only_be_run_with_the_current_version(
    dae: Dae, before: Path
) -> None:
    shutil.rmtree(before / "runs")
    dae("verify", "tiny").failed(1, f"numerics {NOW} instead of {BEFORE}", "dae replicate tiny")


def test_a_row_under_another_version_than_its_own_is_a_difference(dae: Dae, before: Path) -> None:
    path = before / "runs.csv"
    digest = read_csv(path)[0]["config_sha256"]
    path.write_text(path.read_text().replace(f",{BEFORE},{digest}", f",{NOW},{digest}"))
    ended = dae("verify", "tiny").failed(1)
    assert "numerics" in ended.out and "config_sha256" in ended.out


def test_no_row_of_an_earlier_version_is_removed_without_consent(dae: Dae, before: Path) -> None:
    files, parts = snapshot(before), ("rect-0 seed 0", f"numerics: {BEFORE} in the folder, {NOW}")
    dae("replicate", "tiny").failed(2, *parts, "--out", "--replace")
    assert "2 of 2 to run" in dae("replicate", "tiny", "--dry-run").failed(2, *parts).out
    assert snapshot(before) == files
    dae("replicate", "tiny", "--out", "elsewhere").succeeded()
    assert snapshot(before) == files
    ended = dae("replicate", "tiny", "--replace").succeeded()
    assert "because of --replace: rect-0 seed 0, rect-25 seed 0" in ended.message
    assert numerics_of(before) == {"rect-0": NOW, "rect-25": NOW}
    assert "computed with numerics" not in dae("verify", "tiny").succeeded().message


def test_a_cell_that_is_run_again_shares_the_table_with_the_others(dae: Dae, before: Path) -> None:
    old = read_csv(before / "runs.csv")
    words = ("replicate", "tiny", "--only", "rect-0")
    ended = dae(*words, "--replace", "--seeds", "2").succeeded()
    assert "because of --replace: rect-0 seed 0" in ended.message
    assert "rect-25 seed 0" not in ended.message
    assert f"computed with numerics {BEFORE} (rect-25); this" in ended.message
    rows = read_csv(before / "runs.csv")
    assert [(row["cell"], row["seed"], row["numerics"]) for row in rows] == [
        *(("rect-0", "0", NOW), ("rect-0", "1", NOW), ("rect-25", "0", BEFORE))
    ]
    assert rows[2] == old[1] and rows[0]["run"] != old[0]["run"]
    assert read_json(before / "runs" / rows[0]["run"] / "environment.json")["numerics"] == int(NOW)
    assert numerics_of(before, "table.csv") == {"rect-0": NOW, "rect-25": BEFORE}
    mixed = f"made under different conditions: numerics {BEFORE} (rect-25), {NOW} (rect-0)"
    assert mixed in (before / "REPORT.md").read_text().replace("**", "")
    page = (before / "report.html").read_text()
    assert mixed in page and f"<dt>numerics</dt><dd>{BEFORE}</dd>" in page
    assert dae("verify", "tiny").succeeded().lines == ["3 runs recomputed, 0 differences"]
    dae(*words).succeeded()  # no row is lost now


def test_rows_of_other_seeds_remain_whichever_version_is_newer(dae: Dae, before: Path) -> None:
    dae("replicate", "tiny", "--only", "rect-0", "--replace", "--seeds", "2").succeeded()
    seeds = [(row["cell"], row["seed"]) for row in read_csv(before / "runs.csv")]
    dae_with_numerics(int(BEFORE), ("replicate", "tiny", "--replace", *ONE_PROCESS))
    rows = read_csv(before / "runs.csv")
    assert [(row["cell"], row["seed"]) for row in rows] == seeds
    assert [row["numerics"] for row in rows] == [BEFORE, NOW, BEFORE]
    table = read_csv(before / "table.csv")
    assert [row["numerics"] for row in table] == [f"{BEFORE} / {NOW}", BEFORE]


def test_trials_of_an_earlier_version_are_checked_and_set_apart_when_it_is_searched_again(
    dae: Dae, before: Path
) -> None:
    trials = read_csv(before / "search.csv")
    assert {row["numerics"] for row in trials} == {BEFORE}
    dae("search", "tiny", "--check").succeeded()
    ended = dae("search", "tiny", "--only", "rect-0", "--trials", "2").succeeded()
    (note,) = [line for line in ended.err.splitlines() if "search_earlier.csv" in line]
    assert "numerics" in note and "rect-0" in note and "rect-25" not in note
    assert numerics_of(before, "search.csv") == {"rect-0": NOW, "rect-25": BEFORE}
    assert read_csv(before / "search.csv")[2:] == trials[2:]
    assert read_csv(before / "search_earlier.csv") == trials[:2]
    dae("search", "tiny", "--check").succeeded()
    dae("replicate", "tiny", "--only", "rect-0", "--replace").succeeded()
    report = (before / "REPORT.md").read_text()
    assert "| rect-0 (unverified data) |" in report
    assert "| rect-25 (unverified data) |" in report

    lines = [list(row.values()) for row in (*read_csv(before / "search.csv"), *trials[:2])]
    write_csv(before / "search.csv", [list(trials[0]), *lines])
    checked = dae("search", "tiny", "--check").failed(1)
    assert f"{BEFORE}, {NOW}" in checked.out and "one for all trials" in checked.out


def test_a_trial_under_another_version_than_its_own_is_a_difference(dae: Dae, before: Path) -> None:
    path = before / "search.csv"
    digest = read_csv(path)[1]["config_sha256"]
    path.write_text(path.read_text().replace(f",{BEFORE},{digest}", f",{NOW},{digest}"))
    dae("search", "tiny", "--check").failed(1)


def synthetic(folder: Path, **changes: Any) -> SyntheticStudy:
    """Write one run of the first published version, whose files had no such column."""
    study = SyntheticStudy(folder, {"a": {}})
    study.add("a", "SAA-3", 9000, numerics=2, first=0, **changes)
    study.write()
    columns = [name for name in COLUMNS if name not in ("numerics", "selected", "trials")]
    lines = [[row[name] for name in columns] for row in study.rows]
    write_csv(study.out / "runs.csv", [columns, *lines])
    return study


def test_files_without_the_column_are_of_version_2(dae: Dae, tmp_path: Path) -> None:
    study = synthetic(tmp_path)
    dae("report", "made").succeeded()
    assert numerics_of(study.out) == numerics_of(study.out, "table.csv") == {"a": "2"}


def test_rows_of_the_unpublished_version_1_are_not_mistaken_for_version_2(
    dae: Dae, tmp_path: Path
) -> None:
    study = synthetic(tmp_path)
    (row,) = study.rows
    path = study.out / "runs.csv"
    path.write_text(path.read_text().replace(row["config_sha256"], "0" * 64))
    dae("report", "made").failed(2, "numerics", "a seed 0")


def test_a_run_that_records_no_version_is_of_version_2(dae: Dae, before: Path) -> None:
    change_json(
        run_of(before, "rect-0") / "environment.json", lambda record: record.pop("numerics")
    )
    dae("report", "tiny").succeeded()
    assert numerics_of(before)["rect-0"] == "2"
