"""`dae evaluate`: formats, splits, and folders that are no good."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dae_cli.commands.evaluate import COLUMNS
from dae_cli.study.rows import RunRow, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def runs(done: Path) -> list[Path]:
    return sorted((done / "runs").iterdir())


def test_json_holds_the_errors_that_the_study_counted(dae: Dae, done: Path) -> None:
    ended = dae("evaluate", *runs(done), "--format", "json")
    assert ended.code == 0, ended.err
    counted = {row.run: row.n_wrong for row in read_rows(done / "runs.csv", RunRow)}
    assert {e["run"]: e["n_wrong"] for e in json.loads(ended.out)} == counted


def test_csv_has_the_documented_columns(dae: Dae, done: Path) -> None:
    ended = dae("evaluate", "tiny/rect-25", "--format", "csv", "--split", "valid")
    reader = csv.DictReader(io.StringIO(ended.out))
    (row,) = reader
    assert tuple(reader.fieldnames or ()) == COLUMNS
    assert (row["split"], row["n_rows"], row["data_origin"]) == ("valid", "50", "original")


def test_the_table_is_plain_in_a_pipe(dae: Dae, done: Path) -> None:
    ended = dae("evaluate", runs(done)[0])
    header, line = ended.lines
    assert header.split() == ["run", "cell", "data", "split", "wrong", "error,", "%"]
    assert " of 400 " in line
    assert "\x1b" not in ended.out


def test_one_bad_folder_does_not_hide_the_others(dae: Dae, done: Path) -> None:
    good, bad = runs(done)
    (bad / "checkpoint.safetensors").write_bytes(b"damaged")
    ended = dae("evaluate", bad, good, "--format", "json")
    assert [e["run"] for e in json.loads(ended.out)] == [good.name]
    assert ended.code == 2
    assert "checkpoint.safetensors" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("results/tiny/runs/nope", "there is no such run folder"),
        ("results", "results: not a run folder (there is no config.yaml)"),
        ("tiny/rect-99", "has no cell 'rect-99'"),
        ("results/nope", "there is no such run folder; ls results shows what there is"),
        ("rect-25", "named 'rect-25'; did you mean tiny/rect-25?"),
    ],
)
def test_what_is_no_run_is_told_with_exit_code_2(
    dae: Dae, done: Path, source: str, words: str
) -> None:
    ended = dae("evaluate", source)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_an_experiment_without_a_run_says_how_to_train_it(dae: Dae) -> None:
    ended = dae("evaluate", "tiny/rect-25")
    assert ended.code == 2
    assert "dae train tiny/rect-25" in ended.err


def test_of_several_finished_runs_the_one_that_is_taken_is_told(dae: Dae, done: Path) -> None:
    (first,) = (folder for folder in runs(done) if "-sda2-" in folder.name)
    shutil.copytree(first, first.with_name("of-other-data"))
    ended = dae("evaluate", "tiny/rect-25")
    assert ended.code == 0
    assert (
        "tiny/rect-25: 2 finished runs, of different data or numerics; taken is the newest, "
        in ended.err
    )


@pytest.mark.parametrize("name", ["status.json", "config.yaml", "checkpoint.safetensors"])
def test_a_damaged_run_folder_is_told_without_a_traceback(dae: Dae, done: Path, name: str) -> None:
    folder = runs(done)[0]
    (folder / name).write_text("}")
    ended = dae("evaluate", folder)
    assert (ended.code, ended.out) == (2, "")
    assert name in ended.err
    assert "Traceback" not in ended.err


def test_a_run_on_other_data_is_refused(dae: Dae, done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(runs(done)[0], tmp_path / "copy")
    status = json.loads((folder / "status.json").read_text())
    status["data"]["sha256"] = "0" * 64
    (folder / "status.json").write_text(json.dumps(status))
    ended = dae("evaluate", folder)
    assert ended.code == 2
    assert "was trained on rect with SHA-256 000000000000" in ended.err
