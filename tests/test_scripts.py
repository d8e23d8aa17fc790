"""For programs: JSON on standard output, and --fail-if."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from tests.support.commands import Ended
from tests.support.tiny import read_csv, run_of

Dae = Callable[..., Ended]


def test_json_has_the_rows_that_the_csv_files_have(dae: Dae, done: Path) -> None:
    found = dae("replicate", "tiny", "--format", "json").succeeded().json
    assert (found["study"], found["folder"]) == ("tiny", "results/tiny")
    assert (found["done"], found["skipped"], found["failed"]) == (0, 2, 0)
    assert Path(found["report"]).is_file() and found["lacking"] == []
    for name in ("runs", "table"):
        for row, line in zip(found[name], read_csv(done / f"{name}.csv"), strict=True):
            for column, text in line.items():
                value = "" if row[column] is None else row[column]
                assert value == (float(text) if isinstance(value, float) else type(value)(text))
    one = dae("train", "tiny/rect-25", "--format", "json").succeeded().json
    assert Path(one["folder"]) == run_of(done, "rect-25").relative_to(Path.cwd())
    expected = {key: value for key, value in found["runs"][1].items() if "." not in key}
    assert {name: value for name, value in one.items() if name != "folder"} == expected


def test_json_of_a_dry_run_and_of_settings(dae: Dae, done: Path) -> None:
    ended = dae("replicate", "tiny", "--seeds", "2", "--dry-run", "--format", "json").succeeded()
    states = [(run["cell"], run["state"]) for run in ended.json["runs"]]
    assert states == [(cell, state) for cell in ("rect-0", "rect-25") for state in ("done", "new")]
    shown = dae("show", "tiny", "--format", "json").succeeded().json
    assert list(shown) == ["tiny/rect-0", "tiny/rect-25"]
    settings, printed = shown["tiny/rect-25"], yaml.safe_load(dae("show", "tiny/rect-25").out)
    assert settings["seed"] == printed.pop("seed") and settings["dataset"] == printed.pop("dataset")
    for section, values in printed.items():  # JSON also has those that do not apply
        assert values.items() <= settings[section].items()


def test_a_condition_that_is_true_is_exit_code_1_with_the_cell(dae: Dae, done: Path) -> None:
    rows = read_csv(done / "table.csv")
    errors = sorted((float(row["test_error_percent"]), row["cell"]) for row in rows)
    (low, best), (high, worst) = errors
    between = f"test_error_percent>{(low + high) / 2}"
    ended = dae("replicate", "tiny", "--fail-if", between).failed(1, worst, f"{high:g}")
    assert ended.err.count("--fail-if") == 1 and "0 %" in ended.out
    dae("replicate", "tiny", "--fail-if", f"test_error_percent > {high}").succeeded()
    equal = f"valid_error_percent={rows[0]['valid_error_percent']}"  # as it is printed
    dae("replicate", "tiny", "--fail-if", equal).failed(1, "rect-0")
    dae("replicate", "tiny", "--only", best, "--fail-if", between).succeeded()
    dae("train", f"tiny/{worst}", "--fail-if", between).failed(1, worst)
    verdict = rows[0]["verdict"]
    dae("train", "tiny/rect-0", "--fail-if", f"verdict={verdict}").failed(1, "rect-0", verdict)
    words = (
        "train",
        "tiny/rect-0",
        "--fail-if",
        "verdict=worse",
        "--fail-if",
        f"verdict!={verdict}",
    )
    dae(*words, "--fail-if", "error!=none").succeeded()
    # A condition that no row can meet would never fail.
    ended = dae("train", "tiny/rect-0", "--fail-if", "sd_over_seeds>1", "--seeds", "1").failed(2)
    assert "sd_over_seeds>1: no row has a value for sd_over_seeds" in ended.err
    assert "1 skipped" in ended.out


def test_an_invalid_condition_is_refused_before_anything_is_run(dae: Dae, tiny: Path) -> None:
    for text, parts in (
        ("verdict", ("COLUMN", ">=")),
        ("verdct=worse", ("verdct", "did you mean verdict?")),
        ("verdict<worse", ("text", "!=")),
        ("test_error_percent>high", ("a number",)),
        ("test_error_percent>nan", ("a number",)),
        ("verdict=wrose", ("wrose", "did you mean worse?")),
    ):
        for words in (("replicate", "tiny"), ("train", "tiny/rect-0")):
            dae(*words, "--fail-if", text).failed(2, "--fail-if", f"'{text}'", *parts)
    assert not tiny.exists()
