"""`dae replicate`: the runs of a study, their order, and what happens to earlier rows."""

from __future__ import annotations

import functools
import re
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.children import Child
from tests.support.commands import Ended
from tests.support.interrupts import interrupt_when_written, signal_itself
from tests.support.synthetic_results import write_csv
from tests.support.tiny import (
    STUDY,
    bits,
    change_json,
    destruction_cells,
    read_csv,
    read_json,
    run_of,
    snapshot,
    stop,
    write_other_rect,
    write_study,
)

Dae = Callable[..., Ended]
Finished = tuple[Path, Ended]
Start = Callable[..., Child]

pytestmark = pytest.mark.usefixtures("tiny")


def rows_of(results: Path) -> list[dict[str, str]]:
    """Return the rows of runs.csv."""
    return read_csv(results / "runs.csv")


def cells_of(rows: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """Return cell and seed of each row."""
    return [(row["cell"], row["seed"]) for row in rows]


def grid(ended: Ended) -> list[list[str]]:
    """Return cell, run, state and data of each run that --dry-run shows."""
    lines = ended.succeeded().lines
    assert lines[0].split() == ["cell", "run", "state", "dataset"]
    (count,) = [number for number, line in enumerate(lines) if " to run" in line]
    return [re.split(r" {3,}", line) for line in lines[1:count]]


def counts(ended: Ended) -> tuple[int, int, int]:
    """Return the numbers of runs done, skipped and failed, from the last line."""
    found = re.match(r"(\d+) done, (\d+) skipped, (\d+) failed in \d+ s · ", ended.lines[-1])
    assert found, ended.out
    return int(found[1]), int(found[2]), int(found[3])


# What is printed


def test_stdout_has_table_and_counts_and_stderr_the_outcome_of_each_run(finished: Finished) -> None:
    results, ended = finished
    header, first, second, last = ended.lines
    unverified = "no reference (unverified data)"
    rows = rows_of(results)
    assert header.split() == ["dataset", "destruction", "ours", "paper", "gap", "verdict"]
    for line, row, percent in zip((first, second), rows, ("0 %", "25 %"), strict=True):
        number = f"{row['test_error_percent']} ± {row['half_width_95']}"
        assert re.split(r" {2,}", line)[-5:] == [percent, number, "-", "-", unverified]
        assert line.startswith("rect ")
    assert re.fullmatch(r"2 done, 0 skipped, 0 failed in \d+ s · results/tiny/REPORT.md", last)
    assert "\x1b" not in ended.out + ended.err
    lines = [re.sub(r" +\d+ s\b", " N s", line) for line in ended.err.splitlines()]
    errors = [f"{row['test_error_percent']} ± {row['half_width_95']} % test error" for row in rows]
    assert [row["remark"] for row in rows] == ["", "one class for every test row"]
    errors[1] += " (at chance)"
    begin = lines.index("2 runs")
    assert any("rect.npz" in line for line in lines[:begin])
    assert lines[begin + 1 :] == [
        "started  rect-0",
        f"done     rect-0: {errors[0]} in N s (1 of 2)",
        "started  rect-25",
        f"done     rect-25: {errors[1]} in N s (2 of 2)",
    ]


OPENED: list[str] = []


@functools.cache
def listen_to_opened_files() -> None:
    """Record the path of every file that this process opens; an audit hook cannot be removed."""
    sys.addaudithook(lambda event, words: OPENED.append(str(words[0])) if event == "open" else None)


def test_a_command_reads_the_folders_of_its_runs_at_most_twice(dae: Dae, tiny: Path) -> None:
    listen_to_opened_files()
    short = ("--set", "finetune.max_epochs=1", "--out", tiny, "--seeds", "12", "--jobs", "1")
    for made, most in ((24, 2), (0, 1)):
        OPENED.clear()
        assert counts(dae("replicate", "tiny", *short).succeeded()) == (made, 24 - made, 0)
        assert len([path for path in OPENED if path.endswith("/status.json")]) <= most * 24
    OPENED.clear()


def test_finished_runs_are_skipped_unchanged_and_reported(dae: Dae, done: Path) -> None:
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in done.glob("runs/*/*")}
    tables = snapshot(done, (".csv",))
    ended = dae("replicate", "tiny").succeeded()
    assert counts(ended) == (0, 2, 0)
    assert re.search(r"^2 runs, .*--force", ended.err, re.M)
    assert "started" not in ended.err
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before
    assert snapshot(done, (".csv",)) == tables
    # Only the number of runs to do is announced.
    shutil.rmtree(run_of(done, "rect-0"))
    some = dae("replicate", "tiny").succeeded()
    assert counts(some) == (1, 1, 0)
    assert re.search(r"^2 runs, 1 of them", some.err, re.M)
    started = [line for line in some.err.splitlines() if line.startswith("started")]
    assert started == ["started  rect-0"]


def test_force_runs_only_the_selected_cells_again(dae: Dae, done: Path) -> None:
    before = bits(done / "runs")
    first, second = run_of(done, "rect-0"), run_of(done, "rect-25")
    for folder in (first, second):
        (folder / "mine.txt").write_text("goes with --force")
    forced = dae("replicate", "tiny", "--only", "rect-25", "--force").succeeded()
    assert counts(forced) == (1, 0, 0)
    assert len(forced.lines) == 4  # the cell that was not run remains in the table
    assert "started  rect-25" in forced.err and "rect-0" not in forced.err
    assert (first / "mine.txt").exists() and not (second / "mine.txt").exists()
    assert bits(done / "runs") == before
    assert cells_of(rows_of(done)) == [("rect-0", "0"), ("rect-25", "0")]


def test_a_cell_that_fails_is_reported_and_the_others_continue(dae: Dae, tiny: Path) -> None:
    cells = destruction_cells(0, 25)
    cells["rect-0"] |= {"pretrain": {"learning_rate": 1000.0, "loss": "squared-error"}}
    write_study(Path(), "tiny", cells)
    ended = dae("replicate", "tiny", "--seeds", "2").failed(1, "pretrain.learning_rate")
    assert counts(ended) == (2, 0, 2)
    rows = rows_of(tiny)
    assert [bool(row["error"]) for row in rows] == [True, True, False, False]
    for seed, row in enumerate(rows[:2]):
        assert re.match(r"diverged in pretrain, layer \d, epoch \d", row["error"])
        line = f"failed   rect-0 seed {seed} ({seed + 1} of 4): {row['error']}"
        assert line in ended.err.splitlines()
        assert f"{row['run']} failed: {row['error']}" in ended.err.splitlines()
        names = ("model", "seed", "engine", "threads", "device", "n_test", "n_wrong", "verdict")
        assert [row[name] for name in names] == [
            "SAA-2",
            str(seed),
            "torch",
            "1",
            "cpu",
            "",
            "",
            "",
        ]
    status = read_json(tiny / "runs" / f"{rows[0]['run']}.partial" / "status.json")
    assert (status["state"], status["error"]) == ("failed", rows[0]["error"])
    assert status["run"] == rows[0]["run"] and "n_wrong" not in status
    assert [line.endswith("failed") for line in ended.lines[1:3]] == [True, False]
    table = read_csv(tiny / "table.csv")
    assert [(row["cell"], row["seeds"]) for row in table] == [("rect-0", ""), ("rect-25", "0 1")]
    assert table[0]["error"].startswith("seed 0: diverged in pretrain")

    quiet = dae("replicate", "tiny", "--quiet")
    assert (quiet.code, quiet.out) == (1, "results/tiny/REPORT.md\n")
    (line,) = quiet.err.splitlines()
    assert line.startswith(f"{rows[0]['run']} failed: diverged")
    # The next command retries it, and succeeds if the cause is gone.
    write_study(Path())
    assert counts(dae("replicate", "tiny", "--seeds", "2").succeeded()) == (2, 2, 0)


# The runs of a study


def test_a_dry_run_shows_successive_seeds_and_writes_nothing(dae: Dae, tmp_path: Path) -> None:
    ended = dae("replicate", "tiny", "--dry-run", "--seeds", "3")
    runs = grid(ended)
    assert [(cell, run.split("-")[3]) for cell, run, *_ in runs] == [
        (cell, f"s{seed}") for cell in ("rect-0", "rect-25") for seed in range(3)
    ]
    assert len({run for _, run, *_ in runs}) == 6
    assert {(state, data) for *_, state, data in runs} == {("new", "rect (original, unverified)")}
    assert ended.lines[-2] == "6 of 6 to run · results/tiny"
    # Data of several cells are listed once.
    assert sum("rect (original)" in line for line in ended.err.splitlines()) == 1
    assert not (tmp_path / "results").exists()
    # Seeds count from the experiment's seed.
    write_study(Path(), "late", {"rect-0": {"corruption": {"destruction": 0.0}, "seed": 40}})
    for words, seeds in (
        ((), ["s40"]),
        (("--seeds", "2"), ["s40", "s41"]),
        (("--set", "seed=7"), ["s7"]),
    ):
        runs = grid(dae("replicate", "late", "--dry-run", *words))
        assert [run.split("-")[3] for _, run, *_ in runs] == seeds


def test_a_dry_run_shows_which_runs_are_done_stopped_or_restarted(dae: Dae, done: Path) -> None:
    first = run_of(done, "rect-0")
    partial = first.rename(first.with_name(first.name + ".partial"))
    ended = dae("replicate", "tiny", "--dry-run")
    assert [state for *_, state, _ in grid(ended)] == ["stopped", "done"]
    assert ended.lines[-2] == "1 of 2 to run · results/tiny"
    with FileLock(first.with_name(f".{first.name}.lock")):  # as another process does
        assert [state for *_, state, _ in grid(dae("replicate", "tiny", "--dry-run"))] == [
            "running",
            "done",
        ]
    ended = dae("replicate", "tiny", "--dry-run", "--seeds", "2", "--force")
    assert [state for *_, state, _ in grid(ended)] == ["restart", "new", "restart", "new"]
    assert ended.lines[-2] == "4 of 4 to run · results/tiny"
    # A folder without a checkpoint belongs to a run that has not started.
    (partial / "checkpoint.safetensors").unlink()
    assert grid(dae("replicate", "tiny", "--dry-run"))[0][2] == "new"
    assert len(list((done / "runs").iterdir())) == 2


@pytest.mark.parametrize("command", [("replicate", "tiny"), ("train", "tiny/rect-0")])
def test_a_dry_run_that_would_be_refused_shows_the_runs_and_fails(
    dae: Dae, done: Path, command: tuple[str, ...]
) -> None:
    before = snapshot(Path())
    ended = dae(*command, "--engine", "compiled", "--dry-run").failed(2, "rect-0", "--force")
    assert "0 of " in ended.out
    refused = dae(*command, "--engine", "compiled").failed(2)
    assert ended.err.splitlines()[-1] == refused.err.splitlines()[-1]
    Path("file").touch()
    words = (*command, "--out", "file/below", "--dry-run", "--format", "json")
    ended = dae(*words).failed(2, "file/below", "--out")
    assert ended.json["runs"][0]["state"] == "new"
    Path("file").unlink()
    assert snapshot(Path()) == before
    dae(*command, "--force", "--engine", "compiled", "--dry-run").succeeded()


def test_only_accepts_cells_and_globs_and_keeps_the_order_of_the_study(dae: Dae) -> None:
    write_study(Path(), "tiny", destruction_cells(0, 10, 25))
    for only, asked in (
        (["rect-25", "rect-0"], [0, 25]),
        (["tiny/rect-10"], [10]),
        (["rect-?0"], [10]),
        (["rect-[12]*", "rect-25"], [10, 25]),
        (["*"], [0, 10, 25]),
    ):
        words = [word for name in only for word in ("--only", name)]
        runs = grid(dae("replicate", "tiny", "--dry-run", *words))
        assert [cell for cell, *_ in runs] == [f"rect-{percent}" for percent in asked], only


def test_changed_settings_go_to_a_separate_folder_without_out(dae: Dae) -> None:
    def folder(*words: str) -> str:
        ended = dae("replicate", "tiny", "--dry-run", *words).succeeded()
        return ended.lines[-2].partition(" · ")[2]

    one, two = ("--set", "finetune.patience=2"), ("--set", "pretrain.epochs=1")
    assert folder() == "results/tiny"
    assert re.fullmatch(r"results/tiny-[0-9a-f]{6}", folder(*one))
    assert folder(*one, *two) == folder(*two, *one) not in (folder(*one), folder(*two))
    assert folder(*one) != folder("--set", "finetune.patience=3")
    assert folder(*one, "--out", "mine") == "mine"
    assert folder("--seeds", "2") == "results/tiny"


def test_a_study_is_given_by_its_path_its_results_by_out_and_a_cell_by_only(
    dae: Dae, tmp_path: Path
) -> None:
    shutil.copytree("experiments/tiny", tmp_path / "else where")
    words = ("--only", "rect-0", "--set", "finetune.max_epochs=1", "--out", "my results")
    ended = dae("replicate", "else where", *words).succeeded()
    assert ended.lines[-1].endswith(" · my results/REPORT.md")
    assert {path.name for path in Path("my results").iterdir()} == {
        *("runs", "filters", "runs.csv", "table.csv", "wrong_rows.csv", "REPORT.md"),
        *("report.html", "error_vs_destruction.png", "learning_curves.png", "mcnemar.csv"),
        *("settings.yaml", "curves.csv"),
    }
    (run,) = Path("my results/runs").iterdir()
    assert "max_epochs: 1," in (run / "config.yaml").read_text()
    assert not Path("results").exists()
    assert [row["run"] for row in rows_of(Path("my results"))] == [run.name]
    assert re.search(r"^1 run$", ended.err, re.M)
    assert re.search(r"^done +rect-0: .* in \d+ s$", ended.err, re.M)  # not: (1 of 1)


def test_the_longest_runs_are_started_first(dae: Dae, tmp_path: Path) -> None:
    """The order follows the estimated minutes, whose sum `--dry-run` shows."""
    svm = {"kernel": "rbf", "gammas": [0.1, 1.0, 10.0], "penalties": [1.0, 10.0], "refine": False}
    svm |= {"destructions": [0.0, 0.1]}
    few = {"valid": 50, "test": 100}
    none = {"corruption": {"destruction": 0.0}}
    write_study(
        tmp_path,
        "long",
        {
            "a": none | {"subset": few | {"train": 40}},
            "b": none | {"model": {"hidden": [16]}},
            "c": none | {"pretrain": {"learning_rate": 0.1, "epochs": 5}},
            "d": none | {"finetune": {"learning_rate": 1.0, "patience": 6, "max_epochs": 6}},
            "s": {"svm": svm, "subset": few | {"train": 38}},
        },
    )
    ended = dae("replicate", "long").succeeded()
    words = ("started  ", "resumed  ")
    begun = [line.split()[-1] for line in ended.err.splitlines() if line.startswith(words)]
    assert begun == ["s", "c", "b", "d", "a"]
    assert [cell for cell, _ in cells_of(rows_of(tmp_path / "results/long"))] == list("abcds")


def test_wrong_arguments_end_with_exit_code_2(dae: Dae, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "in the way").mkdir()
    (tmp_path / "in the way" / "runs").write_text("")
    for words, parts in (
        (("tiny", "--jobs", "0"), ("--jobs",)),
        (("tiny", "--seeds", "0"), ("--seeds",)),
        (("tiny", "--only", "rect-99"), ("tiny", "rect-99", "rect-0")),
        (("tiny", "--only", "rect-0", "--only", "x*"), ("tiny", "x*", "rect-0, rect-25")),
        (("tiny", "--data-dir", "file"), ("--data-dir", "file")),
        (("tiny", "--origin", "made-up"), ("--origin", "made-up", "original")),
        (("tiny", "--out", "file/deeper"), ("--out", "file/deeper")),
        (("tiny", "--out", "in the way"), ("--out", "in the way/runs")),
        (("tiny", "--resume"), ("--resume",)),
        (("tiny/rect-25",), ("tiny/rect-25", "dae train")),
        (("tinny",), ("tinny", "tiny")),
        ((), ("STUDY",)),
    ):
        ended = dae("replicate", *words).failed(2, *parts)
        assert ended.out == "" and "started" not in ended.err, words
    assert not (tmp_path / "results").exists()


# Running a study again


def test_a_stopped_run_is_resumed_and_with_force_started_over(dae: Dae, done: Path) -> None:
    before = bits(done / "runs")
    for force, word in (((), "resumed"), (("--force",), "started")):
        stop(run_of(done, "rect-0"))
        ended = dae("replicate", "tiny", "--only", "rect-0", *force).succeeded()
        assert f"{word}  rect-0" in ended.err.splitlines()
        assert counts(ended) == (1, 0, 0)
        assert bits(done / "runs") == before


def test_a_run_whose_record_is_damaged_or_lost_is_a_failed_row(dae: Dae, done: Path) -> None:
    damaged = run_of(done, "rect-0") / "status.json"
    damaged.write_text('{"state": "done"}')
    lost = stop(run_of(done, "rect-25")) / "environment.json"
    lost.unlink()
    ended = dae("replicate", "tiny").failed(1, str(damaged), str(lost), "delete")
    assert counts(ended) == (0, 0, 2)
    for row, name in zip(rows_of(done), ("status.json", "environment.json"), strict=True):
        assert name in row["error"] and "delete" in row["error"]
        assert (row["n_wrong"], row["verdict"]) == ("", "")
        assert (row["device"], row["engine"], row["threads"]) == ("cpu", "torch", "1")
    assert damaged.read_text() == '{"state": "done"}' and lost.parent.exists()


def is_within_the_second_run() -> bool:
    """Whether rect-25 has saved a checkpoint and continues."""
    return bool(list(Path("results").rglob("*-25-*.partial/checkpoint.safetensors")))


def test_an_interrupted_study_leaves_its_results_and_is_resumed(dae: Dae, child: Start) -> None:
    settings = ("--set", "finetune.max_epochs=60", "--set", "finetune.patience=60")
    words = ("replicate", "tiny", *settings)
    interrupt = functools.partial(signal_itself, signal.SIGINT, is_within_the_second_run)
    ended = child(*words, "--force", prepare=(interrupt,)).wait()
    assert (ended.code, ended.out) == (130, "")
    assert "--force" in ended.err.splitlines()[-1]  # without it the command resumes
    (results,) = Path("results").iterdir()
    for name in ("runs.csv", "table.csv"):
        assert [row["cell"] for row in read_csv(results / name)] == ["rect-0"]
    assert not (results / "REPORT.md").exists()
    states = [state for *_, state, _ in grid(dae(*words, "--dry-run"))]
    assert states == ["done", "stopped"]
    assert counts(dae(*words).succeeded()) == (1, 1, 0)


def is_within_the_first_run() -> bool:
    """Whether rect-0 has saved a checkpoint and continues."""
    return bool(list(Path("results").rglob("*-0-*.partial/checkpoint.safetensors")))


def test_force_keeps_each_finished_run_until_its_turn_comes(
    dae: Dae, child: Start, done: Path
) -> None:
    second = run_of(done, "rect-25")
    before = snapshot(second)
    interrupt = functools.partial(signal_itself, signal.SIGINT, is_within_the_first_run)
    assert child("replicate", "tiny", "--force", prepare=(interrupt,)).wait().code == 130
    assert [state for *_, state, _ in grid(dae("replicate", "tiny", "--dry-run"))] == [
        "stopped",
        "done",
    ]
    assert snapshot(second) == before
    assert counts(dae("replicate", "tiny").succeeded()) == (1, 1, 0)


# Rows of earlier commands


def test_a_study_interrupted_while_it_writes_its_report_has_every_row(
    child: Start, tiny: Path
) -> None:
    before_runs_csv = interrupt_when_written(
        "settings.yaml", times=2
    )  # the first time is after the first run, the second at the end
    child("replicate", "tiny", prepare=before_runs_csv).wait().failed(130, "the same command")
    assert cells_of(rows_of(tiny)) == [("rect-0", "0"), ("rect-25", "0")]
    assert {row["run"] for row in read_csv(tiny / "curves.csv")} == {
        row["run"] for row in rows_of(tiny)
    }


def test_more_seeds_add_to_the_earlier_ones_and_fewer_keep_them(dae: Dae, done: Path) -> None:
    dae("train", "tiny/rect-25", "--seed", "1").succeeded()  # the new command reuses it
    more = dae("replicate", "tiny", "--only", "rect-25", "--seeds", "4").succeeded()
    assert counts(more) == (2, 2, 0)
    assert "started  rect-25 seed 2" in more.err.splitlines()
    seeds = [("rect-25", str(seed)) for seed in range(4)]
    assert cells_of(rows_of(done)) == [("rect-0", "0"), *seeds]
    before = (done / "runs.csv").read_bytes()
    assert counts(dae("replicate", "tiny").succeeded()) == (0, 2, 0)
    assert (done / "runs.csv").read_bytes() == before
    assert [row["seeds"] for row in read_csv(done / "table.csv")] == ["0", "0 1 2 3"]


def test_cells_that_differ_only_in_their_seed_share_a_run_and_have_one_row_each(
    dae: Dae, tiny: Path
) -> None:
    cells = destruction_cells(0)
    cells["again"] = cells["rect-0"] | {"seed": 1}
    write_study(Path(), "tiny", cells)
    (Path("experiments") / "tiny" / "rect-25.yaml").unlink()
    every = [("again", "1"), ("again", "2"), ("rect-0", "0"), ("rect-0", "1")]
    dae("replicate", "tiny", "--seeds", "2").succeeded()
    assert cells_of(rows_of(tiny)) == every
    for cell in ("again", "rect-0"):  # while it holds a row of the other command in memory
        shutil.rmtree(tiny / "runs" / rows_of(tiny)[0]["run"])
        dae("replicate", "tiny", "--only", cell, "--seeds", "2").succeeded()
        assert cells_of(rows_of(tiny)) == every
    assert "3 runs recomputed, 0 differences" in dae("verify", "tiny").succeeded().out
    rows = read_csv(tiny / "runs.csv")
    rows[3]["best_epoch"] = "77"
    write_csv(tiny / "runs.csv", [list(rows[0]), *(list(row.values()) for row in rows)])
    found = dae("verify", "tiny").failed(1).out
    assert f"rect-0, {rows[3]['run']}: best_epoch" in found
    assert "1 difference\n" in found


def test_rows_without_folders_stay_until_run_again(dae: Dae, done: Path) -> None:
    """This is the state of a clone, which has tables but no run folders."""
    before = rows_of(done)
    shutil.rmtree(done / "runs")
    write_study(Path(), "tiny", destruction_cells(0, 10, 25))
    ended = dae("replicate", "tiny", "--only", "rect-10").succeeded()
    assert counts(ended) == (1, 0, 0)
    rows = rows_of(done)
    assert [row["cell"] for row in rows] == ["rect-0", "rect-10", "rect-25"]
    assert [rows[0], rows[2]] == before
    ended = dae("replicate", "tiny").succeeded()
    assert counts(ended) == (2, 1, 0)
    for row, now in zip(before, (rows_of(done)[0], rows_of(done)[2]), strict=True):
        assert {**row, "minutes": ""} == {**now, "minutes": ""}


def test_replaced_rows_are_removed_from_the_tables_and_reported(
    dae: Dae, done: Path, tmp_path: Path, tiny_data: Path
) -> None:
    other = write_other_rect(tmp_path / "other", tiny_data / "rect.npz")
    words = ("replicate", "tiny", "--only", "rect-25", "--replace", "--data-dir", other)
    ended = dae(*words).succeeded()
    assert counts(ended) == (1, 0, 0)
    (line,) = (line for line in ended.err.splitlines() if "rect-0 seed 0" in line)
    assert line.startswith("results/tiny: ") and "--replace" in line
    assert "rect-0 seed 0, rect-25 seed 0" in line
    (row,) = rows_of(done)
    assert (row["cell"], len(list((done / "runs").iterdir()))) == ("rect-25", 3)

    shared = STUDY["shared"]
    fewer = {"finetune": shared["finetune"] | {"max_epochs": 3}}
    write_study(tmp_path, "tiny", shared=shared | fewer)
    ended = dae(*words).succeeded()
    assert any("--replace" in line and "rect-25 seed 0" in line for line in ended.err.splitlines())
    (row,) = rows_of(done)
    assert (row["cell"], row["epochs"]) == ("rect-25", "3")
    assert len(list((done / "runs").iterdir())) == 4


def test_rows_of_a_removed_cell_or_of_other_numerics_are_removed(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    path = done / "runs.csv"
    digest = rows_of(done)[1]["config_sha256"]
    path.write_text(path.read_text().replace(digest, "0" * 64))  # a row of other numerics
    ended = dae("replicate", "tiny", "--only", "rect-0", "--replace").succeeded()
    assert any("rect-25 seed 0" in line for line in ended.err.splitlines())
    assert [row["cell"] for row in rows_of(done)] == ["rect-0"]
    assert counts(dae("replicate", "tiny").succeeded()) == (0, 2, 0)
    (tmp_path / "experiments/tiny/rect-0.yaml").unlink()
    ended = dae("replicate", "tiny", "--replace").succeeded()
    assert any("rect-0 seed 0" in line for line in ended.err.splitlines())
    assert [row["cell"] for row in rows_of(done)] == ["rect-25"]


def test_an_edited_row_is_reported_with_the_values_of_its_folder(dae: Dae, done: Path) -> None:
    path = done / "runs.csv"
    before = path.read_text()
    wrong = rows_of(done)[0]["n_wrong"]
    assert f",400,{wrong}," in before
    path.write_text(before.replace(f",400,{wrong},", ",400,1,"))
    dae("replicate", "tiny", "--only", "rect-25").succeeded()
    assert path.read_text() == before
    # If the folder is missing, only the row is known, but the verdict follows from its numbers.
    shutil.rmtree(run_of(done, "rect-0"))
    path.write_text(before.replace("no reference", "better", 1))
    quiet = dae("replicate", "tiny", "--only", "rect-25", "--quiet")
    assert quiet == (0, "results/tiny/REPORT.md\n", "")
    assert path.read_text() == before


def test_a_damaged_run_of_another_cell_loses_its_result(dae: Dae, done: Path) -> None:
    run = run_of(done, "rect-0")
    change_json(run / "status.json", lambda status: status.update(run="another"))
    dae("replicate", "tiny", "--only", "rect-25").succeeded()
    row = rows_of(done)[0]
    assert run.name in row["error"] and "delete" in row["error"]
    for name in ("n_test", "n_wrong", "test_error_percent", "best_epoch", "epochs", "verdict"):
        assert row[name] == "", name


def test_tables_that_dae_did_not_write_are_refused_before_any_run(dae: Dae, done: Path) -> None:
    for name, force, place in (
        ("wrong_rows.csv", ("--force",), "wrong_rows.csv:1"),
        ("runs.csv", (), "runs.csv"),
    ):
        (done / name).write_bytes(b"<<<<<<< HEAD\n")
        ended = dae("replicate", "tiny", *force).failed(2, place)
        assert ended.out == "" and "started" not in ended.err
        assert (done / name).read_bytes() == b"<<<<<<< HEAD\n"
    assert len(list((done / "runs").iterdir())) == 2


def test_original_and_regenerated_data_never_share_a_table(dae: Dae, done: Path) -> None:
    words = ("replicate", "tiny", "--only", "rect-0", "--origin", "regenerated")
    ended = dae(*words, "--replace").succeeded()
    assert counts(ended) == (1, 0, 0)
    (row,) = rows_of(done)
    assert row["data_origin"] == "regenerated"
    assert [row["data_origin"] for row in read_csv(done / "table.csv")] == ["regenerated"]
    assert any("rect-25 seed 0" in line for line in ended.err.splitlines())
    assert "rect (regenerated)" in ended.err
    assert "regenerated" in (done / "REPORT.md").read_text()
    assert grid(dae("replicate", "tiny", "--dry-run", "--origin", "regenerated"))[0][2:] == [
        "done",
        "rect (regenerated)",
    ]
