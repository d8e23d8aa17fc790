"""Settings as columns: what the cells of a study, or the runs named, differ in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.commands import Ended
from tests.support.synthetic_results import write_csv
from tests.support.tiny import read_csv, write_study

Dae = Callable[..., Ended]
CELLS: dict[str, dict[str, Any]] = {
    "wide": {"model": {"hidden": [12, 10]}, "corruption": {"destruction": 0.25}},
    "slow": {"model": {"hidden": [12]}, "pretrain": {"learning_rate": 0.00001}},
    "machine": {"svm": {"kernel": "rbf", "gammas": [0.01], "penalties": [1.0], "refine": False}},
}
COLUMNS = {
    "model.hidden": ["", "[12]", "[12, 10]"],
    "corruption.destruction": ["", "0.0", "0.25"],
    "pretrain.learning_rate": ["", "1.0e-05", "0.1"],
}
"""Columns in the order of the schema, with values of the cells machine, slow and wide."""


@pytest.fixture
def several(tmp_path: Path, tiny: Path, dae: Dae) -> Path:
    """Results of three cells that differ in some settings."""
    write_study(tmp_path, "several", CELLS)
    dae("replicate", "several", "--seeds", "2").succeeded()
    return Path("results/several")


def test_the_tables_have_a_column_for_every_setting_in_which_the_cells_differ(
    several: Path, dae: Dae
) -> None:
    for name, seeds, after in (("runs.csv", (1, 2, 2), "seed"), ("table.csv", (1, 1, 1), "seeds")):
        rows = read_csv(several / name)
        header = list(rows[0])
        first = header.index("destruction_percent") + 1
        assert header[first : first + 4] == [*COLUMNS, after]
        for column, texts in COLUMNS.items():
            expected = [t for t, n in zip(texts, seeds, strict=True) for _ in range(n)]
            assert [row[column] for row in rows] == expected
    sweep = pd.read_csv(several / "runs.csv")
    assert sweep.groupby("pretrain.learning_rate")["n_wrong"].count().to_dict() == {1e-5: 2, 0.1: 2}
    before = (several / "runs.csv").read_bytes()
    assert "settings" not in json.loads(next(several.glob("runs/*/status.json")).read_text())
    dae("report", "several").succeeded()
    assert (several / "runs.csv").read_bytes() == before

    dae("replicate", "several", "--only", "machine", "--out", "alone").succeeded()
    (row,) = read_csv(Path("alone/runs.csv"))
    assert {key: row[key] for key in COLUMNS} == dict.fromkeys(COLUMNS, "")
    found = dae("replicate", "several", "--format", "json").succeeded().json
    values = {row["cell"]: [row[key] for key in COLUMNS] for row in found["runs"]}
    assert values["wide"] == [[12, 10], 0.25, 0.1] and values["machine"] == [None] * 3
    assert {row["cell"]: [row[key] for key in COLUMNS] for row in found["table"]} == values


def test_files_of_a_version_without_these_columns_are_read_and_verified(
    several: Path, dae: Dae
) -> None:
    sound = {name: (several / name).read_bytes() for name in ("runs.csv", "table.csv")}
    dae("verify", "several").succeeded()
    for name in sound:
        rows = [[v for k, v in row.items() if k not in COLUMNS] for row in read_csv(several / name)]
        header = [column for column in read_csv(several / name)[0] if column not in COLUMNS]
        write_csv(several / name, [header, *rows])
    dae("verify", "several").succeeded()
    dae("report", "several").succeeded()
    assert {name: (several / name).read_bytes() for name in sound} == sound

    path = several / "runs.csv"
    path.write_bytes(sound["runs.csv"].replace(b",0.25,", b",0.15,", 1))
    (line,) = dae("verify", "several").failed(1).lines[1:-1]
    assert line.split()[-3:] == ["corruption.destruction", "0.15", "0.25"]
    path.write_bytes(sound["runs.csv"].replace(b"model.hidden", b"model.hiden", 1))
    dae("report", "several").failed(2, "runs.csv:1:", "model.hiden", "move the file away")


def test_a_study_of_one_cell_has_no_such_column(dae: Dae, tiny: Path, tmp_path: Path) -> None:
    write_study(tmp_path, "one", {"wide": CELLS["wide"]})
    dae("replicate", "one", "--seeds", "2").succeeded()
    for name in ("runs.csv", "table.csv"):
        with (tmp_path / "results" / "one" / name).open(newline="") as file:
            assert not [column for column in next(csv.reader(file)) if "." in column]


def test_a_condition_may_name_such_a_column(several: Path, dae: Dae) -> None:
    def replicate(condition: str) -> Ended:
        return dae("replicate", "several", "--fail-if", condition)

    ended = replicate("pretrain.learning_rate<0.01").failed(1, "slow has 1e-05")
    assert ended.err.count("--fail-if") == 1
    assert replicate("model.hidden=[12,10]").failed(1, "wide").err.count("--fail-if") == 1
    replicate("corruption.destruction>0.25").succeeded()
    replicate("corruption.destruction=much").failed(2, "corruption.destruction is a number")
    replicate("model.hidden>9").failed(2, "model.hidden is text")
    replicate("pretrain.epochs=2").failed(2, "no column pretrain.epochs")


def test_evaluated_runs_have_the_settings_in_which_they_differ(several: Path, dae: Dae) -> None:
    rows = dae("evaluate", several, "--format", "csv").succeeded().rows
    assert [row["seed"] for row in rows] == ["0", "0", "1", "0", "1"]
    assert [row["pretrain.learning_rate"] for row in rows][1:] == ["1.0e-05"] * 2 + ["0.1"] * 2
    header, svm, *_ = dae("evaluate", several).succeeded().lines
    assert header.split()[2:6] == ["model.hidden", *header.split()[3:5], "seed"]
    assert svm.split()[2:5] == ["-"] * 3
    run = next(several.glob("runs/*sda2*s0*"))
    assert "." not in dae("evaluate", run, "--format", "csv").succeeded().lines[0]


def test_a_run_with_other_settings_is_named_after_them(dae: Dae, done: Path) -> None:
    for words, name in (
        (("finetune.max_epochs=3",), "rect-25+max_epochs=3"),
        (("corruption.destruction=.15", "model.hidden=[9,8]"), "rect+hidden=9-8+destruction=0.15"),
        (("corruption.destruction=0.25",), "rect-25"),
    ):
        settings = [word for one in words for word in ("--set", one)]
        ended = dae("train", "tiny/rect-25", *settings, "--format", "json").succeeded()
        assert ended.json["cell"] == name
        status = json.loads((Path(ended.json["folder"]) / "status.json").read_text())
        assert status["cell"] == name


def test_contenders_are_named_after_the_settings_in_which_they_differ(
    dae: Dae, done: Path, tmp_path: Path
) -> None:
    def compared(*words: object) -> list[tuple[str, str]]:
        found = dae("compare", *words, "--format", "json").succeeded().json
        return [(one["baseline"], one["name"]) for one in found]

    changed = ("--set", "corruption.destruction=0.15", "--set", "model.hidden=[9,8]")
    words = ("replicate", "tiny", "--only", "rect-25", *changed, "--out", "mine")
    dae(*words).succeeded()
    ours = "model.hidden=[9, 8], corruption.destruction=0.15"
    assert compared("tiny/rect-25", "mine/rect-25") == [
        ("model.hidden=[12, 10], corruption.destruction=0.25", ours)
    ]
    # The name of a changed cell no longer describes it.
    assert compared("tiny/rect-0", "mine/rect-25") == [("rect-0", ours)]
    said = dae("compare", "tiny/rect-0", "mine/rect-25").succeeded().lines[0]
    assert ours in said and "rect-25" not in said
    assert compared("tiny", "mine", "--baseline", "tiny")[0][1] == ours

    # If several cells differ from before in one setting, the names include the cell.
    dae("replicate", "tiny", "--set", "finetune.max_epochs=3", "--out", "short").succeeded()
    assert compared("tiny", "short") == [
        (f"{cell} with finetune.max_epochs=4", f"{cell} with finetune.max_epochs=3")
        for cell in ("rect-0", "rect-25")
    ]
    runs = [
        dae("train", "tiny/rect-25", "--set", f"finetune.max_epochs={n}", "-q").succeeded().lines[0]
        for n in (2, 3)
    ]
    assert compared(*runs) == [("finetune.max_epochs=2", "finetune.max_epochs=3")]
