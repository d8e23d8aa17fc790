"""`dae evaluate`: recounting the errors of finished runs, on any split, in any format."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Ended
from tests.support.synthetic_results import write_csv
from tests.support.tiny import (
    RESULT,
    change_json,
    read_csv,
    read_json,
    run_of,
    stop,
    write_other_rect,
    write_yaml,
)

Dae = Callable[..., Ended]
Patch = pytest.MonkeyPatch

pytestmark = pytest.mark.usefixtures("tiny")

COLUMNS = [
    *(
        "run",
        "cell",
        "corruption.destruction",
        "dataset",
        "data_origin",
        "trust",
        "split",
        "n_rows",
    ),
    *("n_wrong", "error_percent", "half_width_95"),
]


def runs_of(done: Path) -> list[Path]:
    """The run folders of rect-0 and rect-25."""
    return [run_of(done, "rect-0"), run_of(done, "rect-25")]


def half_width(wrong: int, rows: int) -> float:
    """Half-width of the 95 % interval, in percent, with two decimals."""
    share = wrong / rows
    return round(float(196 * np.sqrt(share * (1 - share) / rows)), 2)


def test_every_format_has_the_errors_that_the_study_counted(dae: Dae, done: Path) -> None:
    runs = runs_of(done)
    rows = read_csv(done / "runs.csv")
    expected = [
        {
            "run": row["run"],
            "cell": row["cell"],
            "corruption.destruction": float(row["corruption.destruction"]),
            "dataset": "rect",
            "data_origin": "original",
            "trust": "unverified",
            "split": "test",
            "n_rows": 400,
            "n_wrong": int(row["n_wrong"]),
            "error_percent": float(row["test_error_percent"]),
            "half_width_95": float(row["half_width_95"]),
        }
        for row in rows
    ]
    ended = dae("evaluate", *runs, "--format", "json").succeeded()
    assert ended.json == expected and list(ended.json[0]) == COLUMNS
    assert ended.err == ""  # no note about data that were used before
    ended = dae("evaluate", *runs, "--format", "csv").succeeded()
    assert ended.lines[0] == ",".join(COLUMNS) and len(ended.lines) == 3
    assert ended.rows == [{name: str(value) for name, value in row.items()} for row in expected]
    # In the order of the command line, by folder, by name or both.
    table = dae("evaluate", "tiny/rect-25", runs[0]).succeeded()
    header, *lines = table.lines
    level = "corruption.destruction"
    assert header.split() == ["run", "cell", level, "data", "split", "wrong", "error,", "%"]
    for line, row in zip(lines, reversed(rows), strict=True):
        number = f"{row['test_error_percent']} ± {row['half_width_95']}"
        wrong = f"{row['n_wrong']} of 400"
        assert [part.strip() for part in line.split("  ") if part] == [
            *(row["run"], row["cell"], row[level], "rect (original, unverified)", "test"),
            *(wrong, number),
        ]
    assert "\x1b" not in table.out


def test_the_validation_errors_are_those_of_the_best_epoch(dae: Dae, done: Path) -> None:
    runs = runs_of(done)
    rows = read_csv(done / "runs.csv")
    valid = dae("evaluate", *runs, "--split", "valid", "--format", "json").succeeded().json
    for entry, row in zip(valid, rows, strict=True):
        assert (entry["split"], entry["n_rows"]) == ("valid", 50)
        assert entry["error_percent"] == float(row["valid_error_percent"]) == 2 * entry["n_wrong"]
        assert entry["half_width_95"] == half_width(entry["n_wrong"], 50)
    train = dae("evaluate", *runs, "--split", "train", "--format", "json").succeeded().json
    assert {(entry["split"], entry["n_rows"]) for entry in train} == {("train", 100)}
    assert [entry["error_percent"] for entry in train] == [entry["n_wrong"] for entry in train]
    assert train[0]["n_wrong"] < train[1]["n_wrong"] < 60


def test_thousands_are_grouped_in_the_table_alone(dae: Dae) -> None:
    words = ("--set", "subset.test=2000", "--set", "finetune.max_epochs=1", "--quiet")
    run = dae("train", "tiny/rect-25", *words).succeeded().lines[0]
    (row,) = dae("evaluate", run, "--format", "csv").succeeded().rows
    wrong = int(row["n_wrong"])
    assert f"{wrong:,} of 2,000  " in dae("evaluate", run).succeeded().lines[1]
    assert (row["n_rows"], row["error_percent"]) == ("2000", str(round(wrong / 20, 2)))
    assert row["half_width_95"] == str(half_width(wrong, 2000))


def test_a_run_is_found_from_within_and_where_only_its_rename_is_lacking(
    dae: Dae, done: Path, monkeypatch: Patch
) -> None:
    folder = run_of(done, "rect-25")
    expected = dae("evaluate", folder).succeeded().out
    monkeypatch.chdir(folder)
    assert dae("evaluate", ".").succeeded().out == expected
    monkeypatch.chdir(folder.parent)
    partial = folder.rename(folder.with_name(folder.name + ".partial"))
    (row,) = dae("evaluate", partial.name, "--format", "json").succeeded().json
    assert (row["run"], row["n_rows"]) == (partial.name, 400)


# Which run is evaluated


def test_the_name_of_an_experiment_means_its_newest_finished_run(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    old = run_of(done, "rect-25")
    new = Path(shutil.copytree(old, old.with_name("of-other-data")))
    change_json(new / "status.json", lambda status: status.update(run=""))
    for older, newest in ((old, new), (new, old)):
        os.utime(older / "checkpoint.safetensors", (1e9, 1e9))
        os.utime(newest / "checkpoint.safetensors", (2e9, 2e9))
        ended = dae("evaluate", "tiny/rect-25", "--format", "json").succeeded()
        assert [row["run"] for row in ended.json] == [newest.name]
        assert "tiny/rect-25 has 2 " in ended.message
        assert f"results/tiny/runs/{newest.name}" in ended.message
    # Damaged folders and those of other cells and seeds are ignored.
    for name in ("status.json", "config.yaml", "checkpoint.safetensors"):
        (Path(shutil.copytree(new, old.with_name(f"without-{name}"))) / name).unlink()
    (old.parent / "file").write_text("")
    shutil.rmtree(new)
    dae("train", "tiny/rect-25", "--seed", "1").succeeded()
    ended = dae("evaluate", "experiments/tiny/rect-25.yaml", "--format", "json").succeeded()
    assert ([row["run"] for row in ended.json], ended.err) == ([old.name], "")
    # A renamed experiment keeps its run.
    cells = tmp_path / "experiments" / "tiny"
    (cells / "rect-25.yaml").rename(cells / "renamed.yaml")
    ended = dae("evaluate", "tiny/renamed", "--format", "json").succeeded()
    assert [row["run"] for row in ended.json] == [old.name]


def test_an_experiment_without_a_run_says_how_to_train_it_and_which_runs_there_are(
    dae: Dae, done: Path
) -> None:
    run = run_of(done, "rect-25")
    for name in ("run-a", "run-b", "run-c", "run-d"):
        shutil.copytree(run, run.with_name(name))
    shutil.rmtree(run)
    path = "experiments/tiny/rect-25.yaml"
    write_yaml(Path(path), {"corruption": {"destruction": 0.3}})
    ended = dae("evaluate", "tiny/rect-25")
    ended.failed(2, "tiny/rect-25", "results/tiny/runs", "dae train tiny/rect-25")
    ended.failed(2, "run-a, run-b, run-c", "1 more")
    assert "run-d" not in ended.err
    shutil.rmtree(run.with_name("run-d"))
    ended = dae("evaluate", path).failed(2, "run-a, run-b, run-c", f"dae train {path}")
    assert "more" not in ended.err
    shutil.rmtree(done)
    assert "seed" not in dae("evaluate", "tiny/rect-25").failed(2, "dae train tiny/rect-25").err


# Not a run, damaged, or other data


def test_what_is_no_run_is_reported_with_exit_code_2(dae: Dae, done: Path) -> None:
    for words, parts in (
        (("results/tiny/runs/nope",), ("results/tiny/runs/nope", "no such run folder")),
        (("results/nope",), ("results/nope", "no such run folder")),
        (("/nowhere/runs/nope",), ("/nowhere/runs/nope", "/nowhere/runs")),
        (("results",), ("results", "config.yaml")),
        (("tiny/rect-99",), ("tiny", "rect-99")),
        (("rect-25",), ("rect-25", "tiny/rect-25")),
        ((run_of(done, "rect-0"), "--split", "all"), ("--split", "all", "valid")),
        ((run_of(done, "rect-0"), "--format", "xml"), ("--format", "xml", "csv")),
    ):
        assert dae("evaluate", *words).failed(2, *parts).out == "", words


def test_one_bad_run_is_reported_and_does_not_hide_the_others(dae: Dae, done: Path) -> None:
    good, bad = runs_of(done)
    (bad / "checkpoint.safetensors").write_bytes(b"damaged")
    ended = dae("evaluate", "results/nope", bad, good, "--format", "json")
    ended.failed(2, "results/nope", str(bad / "checkpoint.safetensors"))
    assert [row["run"] for row in ended.json] == [good.name]


def test_of_a_folder_of_results_every_run_is_counted_and_what_is_not_there_named(
    dae: Dae, done: Path
) -> None:
    rows = read_csv(done / "runs.csv")
    counted = dae("evaluate", done, "--format", "csv").succeeded().rows
    assert [(row["run"], row["n_wrong"]) for row in counted] == [
        (row["run"], row["n_wrong"]) for row in rows
    ]
    shutil.rmtree(done / "runs" / rows[0]["run"])
    rows[1] |= {name: "" for name in RESULT if name in rows[1]} | {"error": "it diverged"}
    write_csv(done / "runs.csv", [list(rows[0]), *(list(row.values()) for row in rows)])
    ended = dae("evaluate", done).failed(2, "1 of 1 runs are not here", rows[0]["run"])
    assert f"{Path('results/tiny/runs') / rows[1]['run']}: the run failed" in ended.message


def test_a_damaged_or_unfinished_run_is_refused_with_its_folder(dae: Dae, done: Path) -> None:
    folder = run_of(done, "rect-0")
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, content, part in (
        ("checkpoint.safetensors", good["checkpoint.safetensors"][:-40], "checkpoint.safetensors"),
        ("checkpoint.safetensors", None, "checkpoint.safetensors"),
        ("config.yaml", b"", "config.yaml"),
        ("config.yaml", b"dataset: convix\n", "config.yaml"),
        ("config.yaml", None, "config.yaml"),
        # A model that does not fit the checkpoint.
        ("config.yaml", good["config.yaml"].replace(b"[12, 10]", b"[12, 9]"), "checkpoint"),
        # A run that is not done.
        ("status.json", good["status.json"].replace(b'"done"', b'"failed"'), "dae train"),
        ("status.json", good["status.json"].replace(b'"done"', b'"running"'), "replicate"),
    ):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        assert dae("evaluate", folder).failed(2, folder.name, part).out == "", (name, content)
        (folder / name).write_bytes(good[name])
    partial = stop(folder)
    dae("evaluate", partial).failed(2, str(partial), "dae train")


def test_a_run_is_counted_on_the_data_it_had(
    dae: Dae, done: Path, tmp_path: Path, tiny_data: Path, monkeypatch: Patch
) -> None:
    folder, other_run = runs_of(done)
    other = write_other_rect(tmp_path / "other", tiny_data / "rect.npz")
    had = read_json(folder / "status.json")["data_sha256"][:12]
    ended = dae("evaluate", folder, "--data-dir", other)
    assert ended.failed(2, str(folder), had, "--data-dir", "rect").out == ""
    # The recorded digest, and that of the data found.
    change_json(folder / "status.json", lambda status: status.update(data_sha256="0" * 64))
    dae("evaluate", folder).failed(2, "0" * 12, had)
    # --data-dir overrides the environment.
    monkeypatch.setenv("DAE_DATA_DIR", str(other))
    dae("evaluate", other_run).failed(2, str(other_run))
    dae("evaluate", other_run, "--data-dir", tiny_data).succeeded()
    # A run on regenerated data is always counted on them.
    run = dae("train", "tiny/rect-0", "--origin", "regenerated", "--quiet").succeeded().lines[0]
    n_wrong = read_json(Path(run) / "status.json")["n_wrong"]
    (row,) = dae("evaluate", run, "--format", "json").succeeded().json
    assert (row["data_origin"], row["n_wrong"]) == ("regenerated", n_wrong)
