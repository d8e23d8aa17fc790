"""Settings that a results folder records; no row is removed without the user's consent."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.children import Child, wait_until
from tests.support.commands import Ended
from tests.support.tiny import (
    STUDY,
    destruction_cells,
    read_csv,
    run_of,
    snapshot,
    write_other_rect,
    write_study,
)

Dae = Callable[..., Ended]
ROOT = Path(__file__).resolve().parents[1]
SHORT = ("--set", "finetune.max_epochs=3", "--set", "seed=7")
EXPERIMENTS = Path("experiments/tiny")


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, tiny_data: Path, session_cache: Path
) -> tuple[Path, Path]:
    """Results of the tiny study with other settings, in two copies that tests must not change."""
    from tests.support.commands import dae

    folders = []
    for name in ("one place", "another"):
        folder = tmp_path_factory.mktemp(name)
        write_study(folder, title="\u201cTiny\u201d: it's\t5 % \U0001f600\x85#")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("DAE_DATA_DIR", str(tiny_data))
            patch.setenv("DAE_CACHE_DIR", str(session_cache))
            dae("replicate", "tiny", *SHORT, "--out", "mine").succeeded()
        folders.append(folder / "mine")
    return folders[0], folders[1]


@pytest.fixture
def mine(tiny: Path, made: tuple[Path, Path]) -> Path:
    """A copy of these results in the current folder, which also has the tiny study."""
    return shutil.copytree(made[0], Path("mine"))


# What a folder records


def test_a_folder_records_the_study_as_run_and_nothing_about_the_machine(
    made: tuple[Path, Path],
) -> None:
    text = (made[0] / "settings.yaml").read_bytes()
    assert (made[1] / "settings.yaml").read_bytes() == text
    assert str(made[0].parent).encode() not in text and len(text) < 2000
    kept = yaml.safe_load(text)
    assert (kept["study"], kept["reference"]) == ("tiny", "destruction")
    assert kept["changed"]["rect-0"] == "finetune.max_epochs 3"
    section = (ROOT / "docs" / "results.md").read_text().partition("## `settings.yaml`")[2]
    assert all(f"`{key}`" in section.partition("\n## ")[0] for key in kept)
    assert kept["title"] == "\u201cTiny\u201d: it's\t5 % \U0001f600\x85#"
    for row in read_csv(made[0] / "runs.csv"):
        config = yaml.safe_load((made[0] / "runs" / row["run"] / "config.yaml").read_text())
        assert kept["cells"][row["cell"]] == config
        assert (config["finetune"]["max_epochs"], config["seed"]) == (3, 7)


@pytest.mark.parametrize(
    "words", [("mine",), ("./mine/",), ("tiny", "--out", "mine"), ("tiny", *SHORT, "--out", "mine")]
)
def test_settings_that_a_folder_records_need_not_be_repeated(
    dae: Dae, mine: Path, words: tuple[str, ...]
) -> None:
    write_study(Path(), title="\u201cTiny\u201d: it's\t5 % \U0001f600\x85#")
    before = snapshot(mine)
    assert dae("verify", *words).succeeded().lines == ["2 runs recomputed, 0 differences"]
    assert dae("report", *words, "--quiet") == (0, "mine/REPORT.md\n", "")
    assert snapshot(mine) == before


def test_a_folder_needs_no_study_to_be_reported_and_verified(dae: Dae, mine: Path) -> None:
    (EXPERIMENTS / "tried.md").write_text("# A\n```\n## no heading\n```\nMore units: no.\n")
    dae("report", "mine", "-q").succeeded()
    assert "More units: no." in (mine / "REPORT.md").read_text()
    shutil.rmtree("experiments")
    before = snapshot(mine)
    dae("report", "mine", "-q").succeeded()
    dae("verify", "mine").succeeded()
    assert snapshot(mine) == before
    shutil.rmtree(mine / "runs")
    (mine / "table.csv").unlink()
    dae("report", "mine", "-q").succeeded()
    assert snapshot(mine) == {k: v for k, v in before.items() if not k.startswith("runs/")}


MISFITS = [
    ("seed=5", "7", "5"),
    ("finetune.max_epochs=4", "3", "4"),
    ("model.hidden=[12, 11]", "[12, 10]", "[12, 11]"),
    ("model={tied: false}", "true", "false"),
    ("corruption.kind=gaussian", "masking", "gaussian"),
    ("subset.test=399", "400", "399"),
    ("subset=null", "400", "null"),
    ("dataset=convex", "rect", "convex"),
]


@pytest.mark.parametrize(("setting", "there", "given"), MISFITS)
@pytest.mark.parametrize("words", [("mine",), ("tiny", "--out", "mine")])
@pytest.mark.parametrize("command", ["report", "verify"])
def test_a_setting_that_does_not_fit_the_folder_is_refused_by_name(
    dae: Dae, mine: Path, command: str, words: tuple[str, ...], setting: str, there: str, given: str
) -> None:
    before = snapshot(mine)
    ended = dae(command, *words, "--set", setting)
    ended.failed(2, "mine", setting.partition("=")[0], there, given, "--set")
    assert ended.out == "" and snapshot(mine) == before


def test_other_studies_unknown_settings_and_damage_are_refused(dae: Dae, mine: Path) -> None:
    write_study(Path(), "other")
    dae("report", "other", "--out", "mine").failed(2, "tiny", "other", "dae report mine")
    dae("report", "mine", "--set", "svm.refine=true").failed(2, "svm.refine=true")
    dae("verify", "mine", "--set", "sed=1").failed(2, "sed", "seed")
    dae("verify", "mine", "--out", "results").failed(2, "--out", "mine")
    path = mine / "settings.yaml"
    whole = path.read_text()
    line = whole.partition("max_epochs: 3")[0].count("\n") + 1
    for old, new, place in (
        ("study:", "stdy:", "settings.yaml:2"),
        ("max_epochs: 3", "max_epochs: -3", f"settings.yaml:{line}"),
        ("max_epochs: 3, ", "", "finetune.max_epochs"),
        ("cells:", "cells: 5\nothers:", "cells"),
        ("reference: destruction", "reference: nothing", "reference"),
        ("study:", "<<<<<<< HEAD\nstudy:", "settings.yaml:3"),
    ):
        path.write_text(whole.replace(old, new, 1))
        assert path.read_text() != whole
        for words in (("mine",), ("tiny", "--out", "mine")):
            dae("report", *words).failed(2, "mine/settings.yaml", place, "move the file away")


def test_a_recorded_setting_that_was_edited_is_a_difference(dae: Dae, mine: Path) -> None:
    path = mine / "settings.yaml"
    path.write_text(path.read_text().replace("max_epochs: 3", "max_epochs: 5", 1))
    ended = dae("verify", "mine", "--format", "json")
    assert ended.code == 1
    places = {(d["place"].rpartition("/")[2], d["what"]) for d in ended.json["differences"]}
    assert ("config.yaml", "finetune.max_epochs") in places
    dae("report", "mine").failed(2, "other settings", "rect-0 seed 7")


def test_a_study_of_hundreds_of_cells_is_read_again(dae: Dae, done: Path) -> None:
    cells = {
        f"rect 0.{k:03}: #é": {"corruption": {"destruction": k / 1000}} for k in range(500, 800)
    }
    write_study(Path(), "tiny", destruction_cells(0, 25) | cells)
    dae("report", "tiny", "-q").succeeded()
    assert len(yaml.safe_load((done / "settings.yaml").read_text())["cells"]) == 302
    dae("report", "results/tiny", "-q").succeeded()


# Seeds


def test_a_report_shows_the_lowest_seed_of_its_rows_not_the_last(dae: Dae, done: Path) -> None:
    words = ("replicate", "tiny", "--only", "rect-25", "--set", "seed=5", "--out", done, "-q")
    dae(*words).succeeded()
    assert [row["seed"] for row in read_csv(done / "runs.csv")] == ["0", "0", "5"]
    kept = yaml.safe_load((done / "settings.yaml").read_text())["cells"]
    assert [cell["seed"] for cell in kept.values()] == [0, 0]
    assert "seed: 5" not in (done / "REPORT.md").read_text()
    dae("verify", "tiny").succeeded()
    dae("report", "tiny").succeeded()


# Folders of earlier versions


@pytest.fixture
def earlier(done: Path) -> Path:
    """Results without recorded settings."""
    (done / "settings.yaml").unlink()
    return done


@pytest.mark.parametrize("command", ["report", "verify"])
def test_a_folder_without_recorded_settings_is_found_through_its_study(
    dae: Dae, earlier: Path, command: str
) -> None:
    dae(command, earlier).failed(2, "settings.yaml", "--out")
    dae(command, "tiny", "--set", "pretrain.epochs=2", "--out", earlier).succeeded()
    if command == "report":
        assert dae("verify", earlier).succeeded()


def test_rows_of_other_settings_are_not_overwritten(dae: Dae, earlier: Path) -> None:
    before = snapshot(earlier)
    words = ("report", "tiny", "--out", earlier, "--set", "pretrain.epochs=3")
    dae(*words).failed(2, "results/tiny/runs.csv", "rect-0 seed 0", "dae replicate tiny")
    assert snapshot(earlier) == before


# Rows that would be lost


def other_settings(data: Path) -> tuple[str | Path, ...]:
    return ("--set", "pretrain.epochs=1", "--out", "results/tiny")


def settings_in_a_file(data: Path) -> tuple[str | Path, ...]:
    shared = STUDY["shared"]
    write_study(Path(), shared=shared | {"pretrain": {"learning_rate": 0.2, "epochs": 2}})
    return ()


def another_cell_asked_for(data: Path) -> tuple[str | Path, ...]:
    return ("--set", "finetune.patience=2", "--out", "results/tiny", "--only", "rect-0")


def other_data(data: Path) -> tuple[str | Path, ...]:
    return ("--data-dir", write_other_rect(Path("other"), data / "rect.npz"))


def a_cell_removed(data: Path) -> tuple[str | Path, ...]:
    (EXPERIMENTS / "rect-0.yaml").unlink()
    return ()


def a_cell_renamed_in_a_clone(data: Path) -> tuple[str | Path, ...]:
    (EXPERIMENTS / "rect-0.yaml").rename(EXPERIMENTS / "plain.yaml")
    shutil.rmtree("results/tiny/runs")
    return ()


def other_numerics(data: Path) -> tuple[str | Path, ...]:
    other_numerics_of(Path("results/tiny"))
    return ()


def other_numerics_of(out: Path) -> None:
    path = out / "runs.csv"
    row = read_csv(path)[0]
    text = path.read_text().replace(row["config_sha256"], "0" * 64)
    path.write_text(text.replace(row["run"], row["run"][:-8] + "0" * 8))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_settings, "pretrain.epochs: 2"),
        (settings_in_a_file, "pretrain.learning_rate: 0.1"),
        (other_data, "--data-dir, --origin and --photos"),
        pytest.param(another_cell_asked_for, "finetune.patience: 4", marks=pytest.mark.slow),
        pytest.param(a_cell_removed, "no cell rect-0", marks=pytest.mark.slow),
        (a_cell_renamed_in_a_clone, "no cell rect-0"),
        (other_numerics, "numerics"),
    ],
)
def test_no_row_is_removed_from_a_table_without_consent(
    dae: Dae, done: Path, tiny_data: Path, change: Callable[[Path], tuple[str, ...]], named: str
) -> None:
    words = ("replicate", "tiny", *change(tiny_data))
    before = snapshot(done)
    parts = ("results/tiny/runs.csv", "rect-0 seed 0", named, "--out", "--replace")
    for more in ((), ("--force",)):
        ended = dae(*words, *more).failed(2, *parts)
        assert ended.out == "" and "started" not in ended.err
    dry = dae(*words, "--dry-run").failed(2, *parts)
    assert "to run" in dry.out
    assert snapshot(done) == before
    if change is other_data:  # --out works in the same way for all changes
        dae(*words, "--out", "elsewhere").succeeded()
        assert snapshot(done) == before
    ended = dae(*words, "--replace").succeeded()
    assert "because of --replace: rect-0 seed 0" in ended.message
    lines = before["runs.csv"].decode().splitlines()
    assert lines[1] not in (done / "runs.csv").read_text().splitlines()
    dae("report", done, "-q").succeeded()


def test_rows_that_another_command_adds_meanwhile_are_not_lost(
    child: Callable[..., Child], tiny: Path, finished: tuple[Path, Ended]
) -> None:
    long = ("--set", "finetune.max_epochs=400", "--set", "finetune.patience=400")
    begun = child("replicate", "tiny", *long, "--only", "rect-0", "--out", tiny)
    wait_until(lambda: list(tiny.glob("runs/*.partial/*")))
    shutil.copy(finished[0] / "runs.csv", tiny)
    begun.wait().failed(2, "results/tiny/runs.csv", "rect-25 seed 0", "--replace")
    assert (tiny / "runs.csv").read_bytes() == (finished[0] / "runs.csv").read_bytes()


def test_changes_that_lose_no_row_are_accepted(dae: Dae, done: Path) -> None:
    (EXPERIMENTS / "rect-0.yaml").rename(EXPERIMENTS / "plain.yaml")  # its run folder remains
    dae("replicate", "tiny", "--only", "plain", "--seeds", "2").succeeded()
    dae("replicate", "tiny", "--only", "rect-25").succeeded()
    rows = [(row["cell"], row["seed"]) for row in read_csv(done / "runs.csv")]
    assert rows == [("plain", "0"), ("plain", "1"), ("rect-25", "0")]


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [("rect-0", "plain", ()), ("rect-25", "25 %", ()), ("rect-0", "z", ("--force", "--replace"))],
)
def test_a_renamed_cell_is_reported_and_verified_under_its_new_name(
    dae: Dae, done: Path, old: str, new: str, more: tuple[str, ...]
) -> None:
    (EXPERIMENTS / f"{old}.yaml").rename(EXPERIMENTS / f"{new}.yaml")
    dae("report", "tiny").failed(2, f"no cell {old}", "dae replicate tiny")
    message = dae("replicate", "tiny", *more).succeeded().message
    assert f"the cell {old} is now called {new}" in message
    assert "--replace" not in message
    assert dae("verify", "tiny").succeeded().lines == ["2 runs recomputed, 0 differences"]
    dae("verify", done).succeeded()


def test_a_row_under_the_name_of_another_cell_is_still_a_difference(dae: Dae, done: Path) -> None:
    path = done / "runs.csv"
    for wrong in ("rect-25", "nothing"):
        text = path.read_text()
        path.write_text(text.replace("rect-0,", f"{wrong},", 1))
        assert "cell" in dae("verify", "tiny").failed(1).out
        path.write_text(text)


def test_both_data_are_described(dae: Dae, done: Path, tiny_data: Path) -> None:
    other = write_other_rect(Path("other"), tiny_data / "rect.npz")
    words = ("replicate", "tiny", "--data-dir", other)
    dae(*words).failed(2, "rect: original data", "in the folder", "other/rect.npz", "--data-dir")


def test_a_refused_report_names_the_remedies(dae: Dae, mine: Path) -> None:
    shutil.copytree(mine, "results/tiny")
    before = snapshot(mine)
    dae("report", "tiny").failed(
        2, "dae report results/tiny", "dae replicate tiny --out results/tiny", "--replace"
    )
    dae("report", "results/tiny").succeeded()
    dae("replicate", "tiny", "--replace").succeeded()
    dae("report", "tiny").succeeded()
    other_numerics_of(mine)
    ended = dae("report", mine).failed(2, "dae replicate tiny --out mine")
    assert "dae report mine" not in ended.message  # it is the command that failed
    assert {k: v for k, v in snapshot(mine).items() if k != "runs.csv"} == {
        k: v for k, v in before.items() if k != "runs.csv"
    }


@pytest.mark.parametrize("command", ["report", "verify"])
def test_where_there_are_no_results_the_advice_is_the_command_that_makes_them(
    dae: Dae, done: Path, command: str
) -> None:
    setting = ("--set", "pretrain.epochs=1")
    dae(command, "tiny", *setting).failed(2, "dae replicate tiny --set=pretrain.epochs=1 --out")
    two = (*setting, "--set", "model.hidden=[4, 3]", "--out", "no where")
    advice = "--set=pretrain.epochs=1 '--set=model.hidden=[4, 3]' '--out=no where'"
    dae(command, "tiny", *two).failed(2, "no where/runs.csv", advice)


@pytest.mark.parametrize("command", ["report", "verify"])
@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (name, ("a results folder",))
        for name in ("mine/runs.csv", "results/tiny", "mine/runs", "results/")
    ]
    + [("tinny", ("did you mean tiny", "a results folder"))],
)
def test_a_folder_without_results_is_reported_as_such(
    dae: Dae, mine: Path, command: str, source: str, parts: tuple[str, ...]
) -> None:
    dae(command, source).failed(2, source, *parts)


def test_a_failed_row_may_be_replaced(dae: Dae, tiny: Path) -> None:
    words = ("replicate", "tiny", "--out", tiny, "--only", "rect-0")
    assert dae(*words, "--set", "finetune.learning_rate=1000", "--set", "pretrain.epochs=0",
               "--set", "finetune.weight_decay=1").code == 1  # fmt: skip
    dae(*words).succeeded()
    assert [row["error"] for row in read_csv(tiny / "runs.csv")] == [""]


# dae evaluate


def test_evaluate_recounts_every_run_of_a_folder(dae: Dae, done: Path) -> None:
    rows = read_csv(done / "runs.csv")
    ended = dae("evaluate", done, "--format", "csv").succeeded()
    assert [(row["run"], row["n_wrong"]) for row in ended.rows] == [
        (row["run"], row["n_wrong"]) for row in rows
    ]
    run = run_of(done, "rect-0")
    ended = dae("evaluate", done, run, "--split", "valid", "--format", "csv").succeeded()
    assert [row["run"] for row in ended.rows] == [*(row["run"] for row in rows), run.name]
    shutil.rmtree(run_of(done, "rect-0"))
    ended = dae("evaluate", done, "--format", "csv")
    ended.failed(2, rows[0]["run"], "dae replicate")
    assert [row["run"] for row in ended.rows] == [rows[1]["run"]]
    (done / "runs.csv").write_text("cell\n")
    dae("evaluate", done).failed(2, "runs.csv")


@pytest.mark.parametrize("command", ["report", "verify", "compare", "evaluate"])
def test_remedies_name_the_path_of_a_study_that_is_not_found_by_name(
    dae: Dae, tmp_path: Path, command: str
) -> None:
    write_study(tmp_path, "own").rename("own")
    shutil.copytree("own", "deeper/own")
    dae(command, "./own/").failed(2, "results/own", "dae replicate own/")
    dae(command, "deeper/own").failed(2, "results/own", "dae replicate deeper/own/")


def test_every_command_finds_results_by_study_path_folder_and_cell(dae: Dae, done: Path) -> None:
    cell, run = "rect-25", run_of(done, "rect-25").name
    shutil.copytree(done, "copy/results")
    Path("experiments/tiny").rename("tiny")
    studies = ("tiny", "tiny/", "./tiny", str(Path("tiny").resolve()))
    folders = ("results/tiny", "copy/results", str(Path("copy/results").resolve()))
    for name in (*studies, *folders):
        found = dae("evaluate", name, "--format", "json").succeeded().json
        assert [row["cell"] for row in found] == ["rect-0", cell], name
        for command in ("report", "verify", "compare"):
            dae(command, name).succeeded()
        for command in ("filters", "encode"):  # of one run each
            words = ("--out", "x.npz") if command == "encode" else ()
            dae(command, name, *words).failed(2, "rect-0", cell)
    for name in (*studies, *folders, f"results/tiny/runs/{run}"):
        one = name if name.endswith(run) else f"{name.rstrip('/')}/{cell}"
        found = dae("evaluate", one, "--format", "json").succeeded().json
        assert [row["run"] for row in found] == [run], one
        assert dae("filters", one).succeeded().out == f"filters-{run}.png\n"
        dae("encode", one, "--out", "codes.npz").succeeded()
        dae("compare", "results/tiny/rect-0", one).succeeded()
    for command in ("evaluate", "filters"):
        dae(command, "copy/results/rect-99").failed(2, "copy/results/runs.csv", "rect-99", cell)


def test_of_several_seeds_the_lowest_is_taken_where_one_run_is_meant(dae: Dae, done: Path) -> None:
    dae("replicate", "tiny", "--only", "rect-25", "--seeds", "2").succeeded()
    first = run_of(done, "rect-25").name
    ended = dae("filters", "results/tiny/rect-25").succeeded()
    assert ended.out == f"filters-{first}.png\n"
    assert "2 finished runs" in ended.message and first in ended.message
    assert len(dae("evaluate", "results/tiny/rect-25", "--format", "json").succeeded().json) == 2
    shutil.rmtree(done / "runs")
    dae("filters", "results/tiny/rect-25").failed(2, "results/tiny/runs", "dae replicate")
