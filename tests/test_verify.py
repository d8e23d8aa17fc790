"""`dae verify` finds nothing in sound results, and names everything that was tampered with."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.support.commands import Ended
from tests.support.synthetic_results import write_csv
from tests.support.tiny import STUDY, read_csv, snapshot, write_study

Dae = Callable[..., Ended]
Differences = set[tuple[str, str, str, str]]
NOTHING = "–"


class Results:
    """The finished results of the tiny study, to be tampered with."""

    def __init__(self, dae: Dae, out: Path) -> None:
        self._dae = dae
        self.out = out
        self.rows = read_csv(out / "runs.csv")
        self.runs = [row["run"] for row in self.rows]
        """The runs of rect-0 and rect-25."""

    def folder(self, place: int = 1) -> Path:
        """Return the folder of a run."""
        return self.out / "runs" / self.runs[place]

    def edit(self, path: Path, old: str, new: str) -> None:
        """Replace the first occurrence of a text."""
        content = path.read_bytes()
        assert old.encode() in content, old
        path.write_bytes(content.replace(old.encode(), new.encode(), 1))

    def edit_row(self, name: str, place: int, **values: str) -> dict[str, str]:
        """Replace values in a row of a CSV file; return the old ones."""
        rows = read_csv(self.out / name)
        before = {column: rows[place][column] for column in values}
        rows[place].update(values)
        write_csv(self.out / name, [list(rows[0]), *(list(row.values()) for row in rows)])
        return before

    def edit_json(self, path: Path, **values: object) -> None:
        """Replace values of a JSON file."""
        record = json.loads(path.read_text(encoding="utf-8"))
        assert values.keys() <= record.keys()
        path.write_text(json.dumps(record | values), encoding="utf-8")

    def verified(self, code: int = 1, *words: str) -> dict[str, Any]:
        """Return what `dae verify` prints as JSON."""
        ended = self._dae("verify", "tiny", "--format", "json", *words)
        assert ended.code == code, ended.err + ended.out
        assert "Traceback" not in ended.err
        found: dict[str, Any] = ended.json
        assert found["agrees"] == (code == 0)
        return found

    def differences(self, *words: str) -> Differences:
        """Return all differences; everything must have been checked."""
        found = self.verified(1, *words)
        assert found["unchecked"] == []
        return differences_of(found)

    def put_back(self, sound: dict[str, bytes]) -> None:
        """Restore the files."""
        for name, content in sound.items():
            path = self.out / name
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)


def differences_of(found: dict[str, Any]) -> Differences:
    """Return place, what, recorded and recomputed value of each difference."""
    keys = ("place", "what", "recorded", "recomputed")
    return {tuple(d[key] for key in keys) for d in found["differences"]}


def reasons_of(found: dict[str, Any]) -> dict[str, str]:
    """Return, by place, why something could not be checked."""
    return {problem["place"]: problem["reason"] for problem in found["unchecked"]}


@pytest.fixture
def results(dae: Dae, done: Path) -> Results:
    """Finished results that a test may damage."""
    return Results(dae, done)


# Sound results


def test_nothing_is_found_in_sound_results_and_nothing_is_written(
    results: Results, dae: Dae
) -> None:
    before = snapshot(results.out)
    ended = dae("verify", "tiny").succeeded()
    assert ended.lines == ["2 runs recomputed, 0 differences"]
    assert all(f"{run}: agrees\n" in ended.err for run in results.runs)
    sound: dict[str, Any] = {"differences": [], "unchecked": [], "reference": None, "agrees": True}
    assert results.verified(0) == {"runs": 2, "recomputed": 2} | sound
    assert snapshot(results.out) == before
    results.out.rename("moved")
    assert dae("verify", "tiny", "--out", "moved", "-q") == (0, "", "")


def test_results_of_other_settings_differ_from_those_of_the_study(results: Results) -> None:
    file = Path("experiments/tiny/study.yaml")
    file.write_text(file.read_text().replace("max_epochs: 4", "max_epochs: 5"))
    differences = results.differences()
    for run in results.runs:
        assert (f"runs/{run}/config.yaml", "finetune.max_epochs", "4", "5") in differences
    whats = {d[1] for d in differences if d[0] == "runs.csv"}
    assert whats == {f"{run}: {what}" for run in results.runs for what in ("config_sha256", "run")}
    assert any(d[0] == "REPORT.md" and "Settings" in d[1] for d in differences)
    assert any(d[0] == "settings.yaml" and "max_epochs: 5" in d[3] for d in differences)


def test_a_folder_without_results_is_exit_code_2(results: Results, dae: Dae) -> None:
    path = results.out / "runs.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert dae("verify", "tiny").failed(2, "runs.csv", "dae replicate tiny").out == ""
    path.unlink()
    dae("verify", "tiny").failed(2, "results/tiny/runs.csv", "dae replicate tiny", "--out")


def test_a_study_that_was_run_in_part_is_sound(dae: Dae, tiny: Path, tmp_path: Path) -> None:
    # Percentages that need more than two decimals, on an axis so narrow that they show.
    finetune = STUDY["shared"]["finetune"] | {"learning_rate": 1e-6}
    subset = STUDY["shared"]["subset"] | {"valid": 90}
    write_study(tmp_path, shared=STUDY["shared"] | {"finetune": finetune, "subset": subset})
    dae("replicate", "tiny", "--only", "rect-25", "--quiet").succeeded()
    ended = dae("verify", "tiny").succeeded()
    assert ended.lines == ["1 run recomputed, 0 differences"]
    assert "rect-0: " in ended.err and "runs.csv" in ended.err
    (row,) = read_csv(tiny / "runs.csv")
    assert round(float(row["valid_error_percent"]) * 90 / 100) % 9  # of 90 rows


# The tables


def test_every_column_of_runs_csv_that_was_changed_is_named(results: Results) -> None:
    sound = snapshot(results.out)
    numbers = {"n_wrong": "1", "test_error_percent": "0.25", "half_width_95": "9.99",
               "valid_error_percent": "0.00", "best_epoch": "9", "epochs": "8",
               "paper_error_percent": "99.00", "paper_half_width_95": "1.00",
               "paper_model": "DBN-3", "verdict": "better", "minutes": "77.0",
               "destruction_percent": "26"}  # fmt: skip
    words = {"device": "NVIDIA H100", "engine": "compiled", "threads": "8", "versions": "dae 9",
             "commit": "0123456789ab", "config_sha256": "f" * 64, "data_origin": "regenerated",
             "data_sha256": "f" * 64, "dataset": "convex", "model": "SAA-2"}  # fmt: skip
    for changed in (numbers, words, {"seed": "7"}, {"cell": "rect-0"}, {"n_test": "399"}):
        before = results.edit_row("runs.csv", 1, **changed)
        differences = differences_of(results.verified())
        for column, value in changed.items():
            expected = ("runs.csv", f"{results.runs[1]}: {column}", value)
            assert (*expected, before[column] or NOTHING) in differences, column
        assert not any(
            results.runs[0] in what for place, what, *_ in differences if place == "runs.csv"
        )
        results.put_back(sound)


def test_any_other_byte_of_a_csv_file_is_reported(results: Results) -> None:
    sound = snapshot(results.out)
    for files, old, new in (
        (("table.csv", "runs.csv"), "\n", "\r\n"),
        (("table.csv",), "\nrect-25", "\n\nrect-25"),
        (("table.csv",), "cell,", "cells,"),
        (("table.csv",), ",rect,", ", rect,"),
    ):
        for name in files:
            results.edit(results.out / name, old, new)
        assert {place for place, *_ in results.differences()} == {*files}, old
        results.put_back(sound)
    before_all = read_csv(results.out / "table.csv")
    before = results.edit_row("table.csv", 0, n_wrong="1", minutes="5.0")
    assert results.differences() == {
        ("table.csv", "rect-0: n_wrong", "1", before["n_wrong"]),
        ("table.csv", "rect-0: minutes", "5.0", before["minutes"]),
    }
    # Only the first twenty values are listed.
    columns = [name for name in before_all[0] if name != "cell"]
    for place in (0, 1):
        results.edit_row("table.csv", place, **dict.fromkeys(columns, "x"))
    whats = [d["what"] for d in results.verified()["differences"]]
    assert len(whats) == 20 and whats[0] == "rect-0: dataset"
    assert whats[-1] == f"rect-0: {columns[19]} and {2 * len(columns) - 20} more"


def test_counts_that_cannot_be_hide_nothing_else(results: Results) -> None:
    results.edit_row("runs.csv", 1, n_wrong="401")
    results.edit(results.folder(0) / "metrics.csv", "pretrain,1,1,", "pretrain,1,1,9")
    found = results.verified()
    differences = {(place, what) for place, what, *_ in differences_of(found)}
    assert ("runs.csv", f"{results.runs[1]}: n_wrong") in differences
    assert (f"runs/{results.runs[0]}/metrics.csv", "line 2") in differences
    # The row is compared with its checkpoint; without the run folder, it cannot be compared.
    assert {place for place, _ in differences} == {
        "runs.csv",
        f"runs/{results.runs[0]}/metrics.csv",
    }
    shutil.rmtree(results.folder(1))
    reasons = reasons_of(results.verified())
    assert "n_wrong is 401" in reasons["tables and reports"]


def test_a_run_that_is_there_twice_or_of_no_cell_is_reported(results: Results) -> None:
    path = results.out / "runs.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[2]]))
    differences = differences_of(results.verified())
    assert ("runs.csv", "line 4", lines[2].rstrip("\n"), NOTHING) in differences
    path.write_text("".join(lines))
    Path("experiments/tiny/rect-25.yaml").unlink()
    differences = differences_of(results.verified())
    assert ("runs.csv", f"{results.runs[1]}: cell", "rect-25") in {d[:3] for d in differences}


def test_rows_of_several_engines_or_devices_and_an_unnamed_commit_are_reported(
    results: Results, dae: Dae
) -> None:
    report, commit = (results.out / "REPORT.md").read_bytes(), "0123456789ab-dirty"
    results.edit_json(results.folder(0) / "environment.json", commit=commit)
    results.edit_json(results.folder(1) / "environment.json", commit=commit, engine="blas",
                      device="NVIDIA H100")  # fmt: skip
    results.edit_json(results.folder(1) / "status.json", n_wrong=1)
    dae("report", "tiny", "--quiet").succeeded()
    (results.out / "REPORT.md").write_bytes(report)
    differences = differences_of(results.verified())
    assert {d[:3] for d in differences} >= {
        ("runs.csv", "engines", "torch, blas"),
        ("runs.csv", "devices", "cpu, NVIDIA H100"),
    }
    # The message says how the errors were counted, because the run was computed differently.
    status = f"runs/{results.runs[1]}/status.json"
    (again,) = {d[3] for d in differences if d[:2] == (status, "n_wrong")}
    assert again.startswith(f"{results.rows[1]['n_wrong']} (") and "torch" in again
    (line,) = {d[3] for d in differences if d[:2] == ("REPORT.md", "line 3")}
    assert commit in line and "**" in line


def test_wrong_rows_that_are_damaged_missing_or_others_are_reported(
    results: Results, dae: Dae
) -> None:
    sound, run = snapshot(results.out), results.runs[0]
    csv, npy = results.out / "wrong_rows.csv", results.folder(0) / "wrong_rows.npy"
    (kept,) = [row for row in read_csv(csv) if row["run"] == run]
    rows = np.unpackbits(np.frombuffer(b64decode(kept["bits"]), np.uint8))[:400]
    first, right = int(np.flatnonzero(rows)[0]), int(np.flatnonzero(rows == 0)[0])
    rows[[first, right]] = 0, 1  # other rows, but the same number
    np.save(npy, np.packbits(rows))
    place, what = f"runs/{run}/wrong_rows.npy", f"test row {min(first, right)} and 1 more"
    assert {d[:2] for d in results.differences()} == {(place, what)}
    dae("report", "tiny", "--quiet").succeeded()  # as if the run had always had them
    differences = {d[:2] for d in results.differences()}
    assert {(place, what), ("wrong_rows.csv", f"{run}: bits")} <= differences
    reports = {"REPORT.md", "report.html"}
    assert {d[0] for d in differences} == {place, "wrong_rows.csv", "mcnemar.csv"} | reports
    results.put_back(sound)
    npy.write_bytes(sound[place][:-1])
    ((unchecked, reason),) = reasons_of(results.verified()).items()
    assert unchecked == place and "dae replicate" in reason
    results.put_back(sound)

    header, _, second_row = csv.read_text().splitlines(keepends=True)
    csv.write_text("".join([header, second_row, second_row.replace("rect", "other")]))
    other = results.runs[1].replace("rect", "other")
    assert {d[1] for d in results.differences() if d[0] == "wrong_rows.csv"} == {run, other}
    results.put_back(sound)
    for name in ("wrong_rows.csv", "mcnemar.csv", "curves.csv"):
        (results.out / name).write_text("a,b\n")
    found = results.verified()
    assert found["differences"] == []
    assert all("columns" in reason for reason in reasons_of(found).values())
    assert set(reasons_of(found)) == {"wrong_rows.csv", "mcnemar.csv", "curves.csv"}
    results.put_back(sound)
    results.edit_row("wrong_rows.csv", 0, n_wrong="31")
    ((place, what, recorded, again),) = {d for d in results.differences() if "31" in d[2]}
    assert (place, what) == ("wrong_rows.csv", f"{run}: n_wrong")
    assert (recorded, again) == ("31", results.rows[0]["n_wrong"])


def test_every_column_of_mcnemar_csv_that_was_changed_is_named(results: Results) -> None:
    place = "rect-0, rect-25, seed 0"
    numbers = {"only_a_wrong": "77", "error_b_percent": "1.00", "p_value": "0.001",
               "p_holm": "0.5", "model_a": "SVM_rbf", "significant": "no"}  # fmt: skip
    before = results.edit_row("mcnemar.csv", 0, **numbers)
    assert results.differences() == {
        ("mcnemar.csv", f"{place}: {name}", value, before[name]) for name, value in numbers.items()
    }


def test_one_value_that_was_changed_is_found_in_its_file_alone(results: Results) -> None:
    sound = snapshot(results.out)
    lines = {name: len(text.splitlines()) for name, text in sound.items() if "/" not in name}
    for name, place, changes in (
        ("runs.csv", 0, {"n_wrong": "1"}),
        ("runs.csv", 1, {"minutes": "77.0"}),
        ("table.csv", 1, {"sd_over_seeds": "0.10"}),
        ("mcnemar.csv", 0, {"p_holm": "0.2"}),
        ("wrong_rows.csv", 1, {"bits": "////" * 17}),
        ("curves.csv", 0, {"points": "1:0.5"}),
    ):
        ((column, value),) = changes.items()
        before = results.edit_row(name, place, **changes)
        assert len((results.out / name).read_text().splitlines()) == lines[name]
        ((file, what, recorded, again),) = results.differences()
        assert (file, what.split(": ")[1], recorded) == (name, column, value)
        assert again == (before[column] or NOTHING)
        results.put_back(sound)
    for name, old, new in (
        ("settings.yaml", "learning_rate: 0.1", "learning_rate: 0.2"),
        ("REPORT.md", "over the n test rows", "over all test rows"),
        ("report.html", "</title>", "!</title>"),
    ):
        results.edit(results.out / name, old, new)
        ((file, _, recorded, again),) = results.differences()
        assert file == name and new in recorded and old in again
        results.put_back(sound)
    results.edit(results.out / "curves.csv", "\n", "\nother,cost 1,1:0.5\n")
    assert results.differences() == {("curves.csv", "other, cost 1", "a row", "no row")}
    results.put_back(sound)
    (results.out / "tried.md").write_text("Nothing.\n")  # the study has no tried.md
    assert results.differences() == {("tried.md", "file", "is there", NOTHING)}
    (results.out / "tried.md").unlink()
    status = results.folder() / "status.json"
    results.edit_json(status, test_error_percent=1.5)
    recorded = results.rows[1]["test_error_percent"]
    name = f"runs/{results.runs[1]}/status.json"
    assert results.differences() == {(name, "test_error_percent", "1.50", recorded)}


# The folders of runs


def test_every_value_of_a_run_that_was_changed_is_named(results: Results) -> None:
    sound, row, run = snapshot(results.out), results.rows[1], results.runs[1]
    folder, place = results.folder(), f"runs/{results.runs[1]}"
    results.edit_json(folder / "status.json", minutes=77.0, n_wrong=7, valid_error_percent=1.5)
    results.edit_json(folder / "environment.json", threads=8)
    assert results.differences() >= {
        (f"{place}/status.json", "n_wrong", "7", row["n_wrong"]),
        (f"{place}/status.json", "valid_error_percent", "1.50", row["valid_error_percent"]),
        ("runs.csv", f"{run}: minutes", row["minutes"], "77.0"),
        ("runs.csv", f"{run}: threads", "1", "8"),
    }
    results.put_back(sound)

    results.edit_json(folder / "status.json", state="running")
    assert (f"{place}/status.json", "state", "running", "done") in results.differences()
    results.put_back(sound)

    results.edit(folder / "config.yaml", "patience: 4", "patience: 3")
    found = results.verified()
    differences = differences_of(found)
    assert (f"{place}/config.yaml", "finetune.patience", "3", "4") in differences
    assert ("runs.csv", f"{run}: config_sha256") in {d[:2] for d in differences}
    assert f"{place}/checkpoint.safetensors" in reasons_of(found)  # it belongs to other settings
    assert found["recomputed"] == 1
    results.put_back(sound)

    results.edit(folder / "metrics.csv", "finetune,,2,", "finetune,,3,")
    results.edit(folder / "metrics.csv", "finetune,,4,", "finetune,,5,")
    ((file, what, recorded, again),) = results.differences()
    assert (file, what) == (f"{place}/metrics.csv", "line 7 and 1 more")
    assert recorded.startswith("finetune,,3,") and again.startswith("finetune,,2,")


def test_what_cannot_be_checked_is_named_and_the_rest_is_checked(results: Results) -> None:
    sound, place, row = snapshot(results.out), f"runs/{results.runs[1]}", results.rows[1]
    checkpoint = f"{place}/checkpoint.safetensors"
    for content in (sound[checkpoint][:-1], b"", None):
        path = results.out / checkpoint
        path.write_bytes(content) if content is not None else path.unlink()
        found = results.verified()
        assert list(reasons_of(found)) == [checkpoint]
        assert (found["runs"], found["recomputed"], found["differences"]) == (2, 1, [])
    results.put_back(sound)
    (results.folder() / "metrics.csv").unlink()
    found = results.verified()
    assert (list(reasons_of(found)), found["differences"]) == ([f"{place}/metrics.csv"], [])
    results.put_back(sound)

    # A run on other data.
    results.edit(results.folder() / "status.json", row["data_sha256"], "0" * 64)
    found = results.verified()
    changed = ("runs.csv", f"{results.runs[1]}: data_sha256", row["data_sha256"], "0" * 64)
    assert changed in differences_of(found)
    assert checkpoint in reasons_of(found)
    assert found["recomputed"] == 1
    results.put_back(sound)

    # The row says that the run failed, but its folder is complete.
    results.edit_row("runs.csv", 1, error="diverged")
    found = results.verified()
    expected = ("runs.csv", f"{results.runs[1]}: error", "diverged")
    assert expected in {d[:3] for d in differences_of(found)}
    assert "diverged" in reasons_of(found)[place]
    assert "dae replicate tiny" in reasons_of(found)[place]


def test_a_checkpoint_that_answers_the_other_way_round_is_named(results: Results) -> None:
    path, place = results.folder() / "checkpoint.safetensors", f"runs/{results.runs[1]}"
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name in ("best.top.weight", "best.top.bias"):
        tensors[name] = -tensors[name]
    save_file(tensors, path, metadata)
    differences, row = results.differences(), results.rows[1]
    wrong = (row["n_wrong"], str(400 - int(row["n_wrong"])))
    valid = (row["valid_error_percent"], f"{100 - float(row['valid_error_percent']):.2f}")
    invalid = tuple(f"{float(percent) / 2:.0f}" for percent in valid)  # of 50 rows
    assert differences >= {
        ("runs.csv", f"{row['run']}: n_wrong", *wrong),
        ("runs.csv", f"{row['run']}: valid_error_percent", *valid),
        (f"{place}/status.json", "n_wrong", *wrong),
        (f"{place}/checkpoint.safetensors", "best_wrong", *invalid),
    }
    whats = {d[:2] for d in differences}
    assert (f"{place}/wrong_rows.npy", "test row 0 and 399 more") in whats


def test_a_checkpoint_without_the_network_that_was_tested_is_named(
    results: Results, dae: Dae
) -> None:
    path = results.folder() / "checkpoint.safetensors"
    with safe_open(path, "numpy") as file:
        facts = json.loads(file.metadata()["dae"]) | {"best_wrong": None, "best_epoch": 0}
        names = [name for name in file.keys() if not name.startswith("best.")]  # noqa: SIM118
        tensors = {name: file.get_tensor(name) for name in names}
    save_file(tensors, path, {"dae": json.dumps(facts)})
    dae("evaluate", str(results.folder())).failed(2, f"{path}", "no fine-tuned network")
    place = f"runs/{results.runs[1]}/checkpoint.safetensors"
    assert "no fine-tuned network" in reasons_of(results.verified())[place]


def test_a_run_whose_folder_is_not_here_is_reported_with_the_remedy(
    results: Results, dae: Dae
) -> None:
    gone = results.folder(0)
    gone.rename(gone.with_name("rect-saa2-0-s0-01234567"))
    ended = dae("verify", "tiny").failed(1, f"runs/{gone.name}: ", "dae replicate tiny")
    assert ended.lines == ["1 of 2 runs recomputed, 0 differences, 1 not checked"]
    assert f"{results.runs[1]}: agrees\n" in ended.err
    # A clone has no run folders.
    shutil.rmtree(results.out / "runs")
    found = results.verified()
    assert (found["recomputed"], found["differences"]) == (0, [])
    assert set(reasons_of(found)) == {f"runs/{run}" for run in results.runs}


def test_missing_data_hide_nothing(
    results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "empty"))
    results.edit(results.out / "table.csv", "rect-25,", "rect-26,")
    results.edit_row("wrong_rows.csv", 0, bits="////" * 17)  # the run folder has other rows
    results.edit_row("curves.csv", 0, points="1:0.5")
    found = results.verified()
    assert set(reasons_of(found)) == {f"runs/{run}" for run in results.runs}
    assert all("DAE_DATA_DIR" in reason for reason in reasons_of(found).values())
    assert found["recomputed"] == 0
    places = {place for place, *_ in differences_of(found)}
    assert places == {"table.csv", "wrong_rows.csv", "curves.csv"}


# REPORT.md, report.html and pictures


def test_every_line_of_the_report_that_was_changed_is_named_with_its_section(
    results: Results,
) -> None:
    sound, report = snapshot(results.out), results.out / "REPORT.md"
    tried, pairs = "Differences from the paper", "McNemar's tests of pairs of cells"
    warning = "**These runs were made under different conditions**: engines blas, torch."
    for changes in (
        (
            ("; 2 runs, ", "; 3 runs, ", ""),
            ("| rect | 25 %", "| rect | 26 %", "Our results and the paper's"),
            (" of 400 |", " of 401 |", "Every run"),
            ("| rect | original (unverified) |", "| rect | regenerated |", "Data"),
            ("learning_rate: 0.1", "learning_rate: 0.2", "Settings"),
            ("| rect-0 (SAA-2) |", "| rect-0 (SAA-3) |", pairs),
            (f"## {tried}", f"## {tried}\n| rect-0 | is worse |", tried),
        ),
        (
            ("# ", "# Our ", ""),
            ("\n\nIntervals", "\n| rect | 9 %\n\nIntervals", "Our results and the paper's"),
            ("McNemar's test compares", "Student's test compares", pairs),
            ("after pretraining", "before pretraining", "First-layer filters"),
            ("## Data", "## Date", "Data"),
            ("one thread per run", "two threads per run", "Settings"),
        ),
        (("\nIntervals", f"\n{warning}\nIntervals", "Our results and the paper's"),),
        (("rows, p ± 1.96", "rows, q ± 1.96", "Our results and the paper's"),),
        (("](filters/rect-25.png)", "](filters/rect-2.png)", "First-layer filters"),),
    ):
        for old, new, _ in changes:
            results.edit(report, old, new)
        lines, expected = report.read_text().split("\n"), set()
        for old, new, section in changes:
            changed = next(part for part in new.split("\n") if part and part not in old)
            number = next(k for k, line in enumerate(lines, start=1) if changed in line)
            expected.add(f"{section}, line {number}".removeprefix(", "))
        differences = results.differences()
        assert {d[:2] for d in differences} == {("REPORT.md", what) for what in expected}
        assert all(recorded != again for *_, recorded, again in differences)
        results.put_back(sound)


def test_a_line_that_is_not_empty_represents_several(results: Results) -> None:
    results.edit(results.out / "REPORT.md", "\nIntervals", "\n\nMore.\nIntervals")
    ((_, what, recorded, again),) = results.differences()
    assert what.endswith(" and 1 more")
    assert (recorded, again) == ("More.", NOTHING)


def test_the_command_and_the_machine_of_the_report_are_copied(results: Results) -> None:
    report, page = results.out / "REPORT.md", results.out / "report.html"
    text = report.read_text()
    (machine,) = re.findall(r"Written on (.+), [0-9]+ cores; one", text)
    (command,) = re.findall(r"^Made by `(.+)` ", text, re.MULTILINE)
    report.write_text(text.replace(machine, "A Processor, another"))
    results.verified(0)
    shown = escape(command)
    for path, places in (
        (report, (f"`{command}`",)),
        (page, (f'content="{shown}"', f"<code>{shown}</code>")),
    ):
        for (
            place
        ) in places:  # with the end of the sentence, because the command may be as short as `dae`
            last = place[-1] if place[-1] in '`"' else "</code>"
            longer = f"{place.removesuffix(last)} --jobs 9{last}"
            path.write_text(path.read_text().replace(place, longer))
    results.verified(0)
    report.write_text(text)
    assert {d[0] for d in results.differences()} == {"report.html"}


def test_every_fact_of_the_page_that_was_changed_is_reported(results: Results) -> None:
    page = results.out / "report.html"
    sound = page.read_bytes()
    for old, new in (
        (" of 400</td>", " of 401</td>"),
        ("<small>original (unverified) data</small>", "<small>regenerated data</small>"),
        ("</footer>", "</footer><p>More.</p>"),
    ):
        results.edit(page, old, new)
        ((place, what, recorded, again),) = results.differences()
        assert (place, what.split()[0]) == ("report.html", "line")
        assert new in recorded and old in again
        page.write_bytes(sound)
    page.unlink()
    reasons = reasons_of(results.verified())
    assert list(reasons) == ["report.html"] and "dae replicate tiny" in reasons["report.html"]


def test_tables_and_report_that_are_missing_are_not_checked_and_pictures_are_not_compared(
    results: Results,
) -> None:
    (results.out / "learning_curves.png").write_bytes(b"")
    (results.out / "filters" / "rect.png").unlink()
    (results.folder() / "filters.png").unlink()
    results.verified(0)
    missing = {"table.csv", "wrong_rows.csv", "mcnemar.csv", "REPORT.md"}
    for name in missing:
        (results.out / name).unlink()
    found = results.verified()
    assert set(reasons_of(found)) == {*missing, "report.html"}
    assert found["differences"] == []


# Output


def test_differences_are_a_table_of_place_and_both_values(results: Results, dae: Dae) -> None:
    results.edit(results.out / "table.csv", f",{results.rows[0]['n_wrong']},", ",\x1b[1m1,")
    ended = dae("verify", "tiny")
    assert ended.code == 1
    assert [line.split() for line in ended.lines if line][:2] == [
        ["file", "what", "recorded", "recomputed"],
        ["table.csv", "rect-0:", "n_wrong", "�[1m1", results.rows[0]["n_wrong"]],
    ]
    assert ended.lines[-1] == "2 runs recomputed, 1 difference"
    results.edit_row("table.csv", 0, versions="v" * 99)
    results.edit_row("table.csv", 1, versions="w" * 60)
    quiet = dae("verify", "tiny", "-q")
    assert quiet.err == ""
    assert f"{'v' * 59}…" in quiet.out and "v" * 60 not in quiet.out
    assert "w" * 60 in quiet.out
    # A long line is cut to the surroundings of the difference.
    page = results.out / "report.html"
    longest = max(page.read_text().split("\n"), key=len)
    assert len(longest) > 1000
    results.edit(page, longest, longest[:-9] + "XYZ" + longest[-9:])
    (line,) = [line for line in dae("verify", "tiny", "-q").lines if line.startswith("report.html")]
    assert "XYZ" in line
