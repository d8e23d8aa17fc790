"""Results files that may have been altered are read as strictly as they were written."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load, save

from tests.entry_points.readers import (
    read_comparisons_and_saved_rows,
    read_search,
    read_wrong_rows,
)
from tests.fuzz import samples
from tests.fuzz.targets import make_results
from tests.support.commands import Ended
from tests.support.data_files import npy, refused
from tests.support.tiny import read_csv

Dae = Callable[..., Ended]


def run_of(out: Path, kind: str = "saa") -> Path:
    """Return the folder of the run without noise, or of another run."""
    (folder,) = (out / "runs").glob(f"*-{kind}*")
    return folder


# ---------------------------------------------------------------- runs.csv and table.csv


def _edit_line(path: Path, line: int, **values: str) -> None:
    """Change values in a line of a CSV file, counting lines like an editor."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for name, value in values.items():
        rows[line - 1][rows[0].index(name)] = value
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def test_rows_of_runs_without_folders_are_written_as_they_were_read(done: Path, dae: Dae) -> None:
    shutil.rmtree(done / "runs")
    path = done / "runs.csv"
    odd = {"device": 'cpu "x", y', "versions": "μ; 'v'", "commit": "", "threads": ""}
    _edit_line(path, 3, **odd, minutes="61.3", test_error_percent="100.00", best_epoch="")
    before = path.read_bytes()
    dae("report", "tiny").succeeded()
    assert path.read_bytes() == before
    table = read_csv(done / "table.csv")[1]
    assert (table["device"], table["minutes"]) == (odd["device"], "61.3")
    # Percentages have two decimals, minutes one, destruction as many as it needs.
    given = {"minutes": "61.26", "test_error_percent": "7.6666", "half_width_95": "3"}
    given |= {"destruction_percent": "25.0", "valid_error_percent": "1e1", "seed": "00"}
    _edit_line(path, 3, **given)
    dae("report", "tiny").succeeded()
    row = read_csv(path)[1]
    assert [row[name] for name in given] == ["61.3", "7.67", "3.00", "25", "10.00", "0"]


def test_a_value_that_cannot_be_in_runs_csv_is_reported_with_line_and_column(
    done: Path, dae: Dae
) -> None:
    path = done / "runs.csv"
    before = path.read_bytes()
    for line, column, value, *parts in (
        (2, "n_test", "many", "'many'"),
        (3, "n_wrong", "-32", "-32"),
        (3, "destruction_percent", "", "''"),
        (3, "destruction_percent", "100.1", "100.1", "100"),
        (3, "test_error_percent", "18.00 %", "'18.00 %'"),
        (3, "test_error_percent", "100.01", "100.01", "100"),
        (3, "test_error_percent", "inf", "inf"),
        (2, "half_width_95", "101", "'101'", "100"),
        (2, "minutes", "-1", "'-1'"),
        (2, "threads", "-1", "-1"),
    ):
        _edit_line(path, line, **{column: value})
        place = f"results/tiny/runs.csv:{line}:"
        dae("verify", "tiny").failed(2, place, column, *parts)
        path.write_bytes(before)


def test_runs_csv_with_other_columns_or_rows_is_refused_at_its_line(done: Path, dae: Dae) -> None:
    path = done / "runs.csv"
    sound = path.read_text(encoding="utf-8")
    columns, _, rows = sound.partition("\n")
    n = columns.count(",") + 1
    less, all_of_them, more = str(n - 1), str(n), str(n + 1)
    for content, parts in (
        (",".join(["x"] * n) + "\n" + rows, (":1:",)),
        (sound.replace(",seed,", ",", 1), (":1:",)),
        (sound.replace(",seed,", ",seed,seed,", 1), (":1:",)),
        (sound.replace("cell,run", "run,cell", 1), (":1:",)),
        (columns.upper() + "\n" + rows, (":1:",)),
        ("\n" + rows, (":1:",)),
        (sound.rstrip("\n").rstrip(","), (":3:", less, all_of_them)),
        (sound.rstrip("\n") + ",more\n", (":3:", more, all_of_them)),
        (sound.replace("8.00", "8,00", 1), (":2:", more, all_of_them)),
        (sound + "\n", (":4:", "0", all_of_them)),
    ):
        path.write_text(content, encoding="utf-8")
        dae("verify", "tiny").failed(2, f"results/tiny/runs.csv{parts[0]}", *parts[1:])
    dae("report", "tiny").failed(2, "results/tiny/runs.csv:4:")
    path.write_bytes(sound.encode().replace(b"no reference", b"\xff\xfe", 1))
    dae("verify", "tiny").failed(2, "results/tiny/runs.csv")
    with path.open("wb") as file:
        file.truncate(100_000_001)
    dae("verify", "tiny").failed(2, "results/tiny/runs.csv", "100000000")


# ---------------------------------------------------------------- status.json, environment.json

RESULT = {"n_test": 400, "n_wrong": 7, "valid_error_percent": 5.0, "best_epoch": 3, "epochs": 4}
OF_SVM = {
    **{"best_epoch": None, "epochs": None, "trials": 61},
    **{"selected": "degree 3, gamma 1e-07, C 0.316"},
}


def _changed_json(status: Mapping[str, Any], changes: Mapping[str, Any]) -> bytes:
    """Change keys, such as `data.sha256`; the value "absent" removes a key."""
    changed = json.loads(json.dumps(status))
    for name, value in changes.items():
        *sections, key = name.split(".")
        place = changed
        for section in sections:
            place = place[section]
        if value == "absent":
            del place[key]
        else:
            place[key] = value
    return json.dumps(changed).encode()


@pytest.fixture
def status(done: Path) -> tuple[Path, dict[str, Any], str]:
    """status.json of a run, its content, and the run's folder as an argument of commands."""
    path = run_of(done) / "status.json"
    held = json.loads(path.read_bytes()) | RESULT
    return path, held, f"results/tiny/runs/{path.parent.name}"


def test_sound_records_are_read_with_what_a_later_version_adds(
    status: tuple[Path, dict[str, Any], str], dae: Dae
) -> None:
    path, held, run = status
    for changes in (
        {},
        {"more": {"x": [1]}},
        {"n_wrong": 400, "best_epoch": 4, "valid_error_percent": 100},
        {"run": "absent", "written": "absent", "data_source": "absent"},
        OF_SVM,
        OF_SVM | {"selected": "gamma 0.01, C 1"},
    ):
        path.write_bytes(_changed_json(held, changes))
        (row,) = dae("evaluate", run, "--format", "csv").succeeded().rows
        assert (row["cell"], row["n_wrong"]) == ("rect-0", "32")  # the recounted number


def test_a_value_that_cannot_be_in_status_json_is_reported_with_its_place(
    status: tuple[Path, dict[str, Any], str], dae: Dae
) -> None:
    path, held, run = status
    for changes, parts in (
        ({"n_wrong": "7"}, ("n_wrong", "'7'")),
        ({"n_wrong": True}, ("n_wrong", "True")),
        ({"n_wrong": -1}, ("n_wrong", "-1")),
        ({"n_wrong": 401}, ("n_wrong", "401", "400")),
        ({"best_epoch": 5}, ("best_epoch", "5", "4")),
        ({"best_epoch": 0}, ("best_epoch", "0")),
        ({"epochs": "absent"}, ("epochs",)),
        ({"trials": 3}, ("trials",)),
        ({"selected": "C 1"}, ("selected", "'C 1'")),
        (OF_SVM | {"trials": 0}, ("trials", "0")),
        (OF_SVM | {"selected": ""}, ("selected",)),
        (OF_SVM | {"epochs": 3}, ("epochs",)),
        ({"n_test": 10**400}, ("n_test", "1000")),
        ({"valid_error_percent": float("nan")}, ("valid_error_percent", "nan")),
        ({"valid_error_percent": 100.5}, ("valid_error_percent", "100.5")),
        ({"state": "finished"}, ("state", "'finished'")),
        ({"minutes": -1}, ("minutes", "-1")),
        ({"data_sha256": "A" * 64}, ("data_sha256", "AAA")),
        ({"data_origin": "found"}, ("data_origin", "'found'")),
        (
            dict.fromkeys(("state", "cell", "data_sha256", "minutes"), "absent"),
            ("cell is missing",),
        ),
    ):
        path.write_bytes(_changed_json(held, changes))
        ended = dae("evaluate", run).failed(2, "status.json", *parts)
        assert len(ended.err) < 1200  # even if the value is very long
    path.write_bytes(_changed_json(held, {"data_sha256": "a" * 64}))
    dae("evaluate", run).failed(2, run, "a" * 12)


def test_a_malformed_record_is_refused(status: tuple[Path, dict[str, Any], str], dae: Dae) -> None:
    path, _, run = status
    drives_a_terminal = b'{"\\u001b[31m\\u007f": 1, "state": "\\u001b[31m"}'
    broken = (b"", b"null", b"\xff\xfe", b'"\\ud800"', b"9" * 900_000, b'{"state":' * 100_000)
    for content in (*broken, drives_a_terminal):
        path.write_bytes(content)
        assert dae("evaluate", run).failed(2, "status.json").message.isprintable()
    path.write_bytes(b'"' + b"x" * 1_000_000)
    dae("evaluate", run).failed(2, "status.json", "1000000")


def test_a_damaged_environment_is_reported_with_its_place(done: Path, dae: Dae) -> None:
    path = run_of(done) / "environment.json"
    held = json.loads(path.read_bytes())
    for changes, parts in (
        ({"threads": 0, "cores": 10**6 + 1}, ("threads", "0", "cores", "1000001")),
        ({"engine": ["torch"]}, ("engine", "['torch']")),
        ({"packages": {"torch": 2}}, ("packages.torch", "2")),
        ({"earlier": [{"commit": "abc"}]}, ("earlier.0.versions",)),
        ({"\x1b[31m\x7f": 1}, ("environment.json",)),
    ):
        path.write_bytes(_changed_json(held, changes))
        ended = dae("verify", "tiny").failed(1, f"runs/{path.parent.name}/environment.json", *parts)
        assert ended.message.isprintable()
    path.unlink()
    dae("verify", "tiny").failed(1, f"runs/{path.parent.name}", path.name)


# ---------------------------------------------------------------- wrong_rows.npy

FOUR = np.zeros(13, dtype=np.bool_)
"""Thirteen rows, which do not fill whole bytes; four of them are wrong."""
FOUR[[0, 3, 8, 12]] = True
SOUND = npy(np.packbits(FOUR))


def test_wrong_rows_are_bits_of_which_the_highest_of_the_first_byte_is_the_first_row(
    finished: tuple[Path, Ended],
) -> None:
    Path("wrong_rows.npy").write_bytes(npy(np.array([0b10010000, 0b10001000], np.uint8)))
    assert read_wrong_rows(Path(), 13, 4) == FOUR.tolist()
    for n in (1, 7, 8, 9):
        rows = np.arange(n) % 3 == 0
        Path("wrong_rows.npy").write_bytes(npy(np.packbits(rows)))
        assert read_wrong_rows(Path(), n, int(rows.sum())) == rows.tolist()
    for row in read_csv(finished[0] / "runs.csv"):
        wrong = read_wrong_rows(finished[0] / "runs" / row["run"], 400, int(row["n_wrong"]))
        assert (len(wrong), sum(wrong)) == (400, int(row["n_wrong"]))


def test_other_wrong_rows_are_refused_with_the_file_and_both_values() -> None:
    objects = npy(np.array([{}, {}]), allow_pickle=True)
    huge = npy(np.zeros(2, np.uint8)).replace(b"(2,), }", b"(2000000000000,), }")
    path = Path("wrong_rows.npy")
    for content, parts in (
        (npy(np.packbits(np.arange(13) < 5)), ("5", "4")),
        (npy(np.array([0b11100000, 0b00000100], np.uint8)), ("13",)),
        (npy(np.zeros(3, np.uint8)), ("(3,)", "(2,)")),
        (npy(np.zeros(2, np.int8)), ("int8", "uint8")),
        (objects, ("Object", "uint8")),
        (huge, ("(2000000000000,)", "(2,)")),
        (SOUND[:-1], ("2 bytes",)),
        (SOUND + b"\0", ("2 bytes",)),
        (SOUND[:20], ("wrong_rows.npy",)),
    ):
        path.write_bytes(content)
        expected = (path.absolute(), "dae replicate", *parts)
        refused(expected, read_wrong_rows, Path().absolute(), 13, 4)
    path.unlink()
    refused((path, "dae replicate"), read_wrong_rows, Path(), 13, 4)


# ---------------------------------------------------------------- wrong_rows.csv, mcnemar.csv


def test_other_comparisons_and_saved_rows_are_refused_with_line_and_column() -> None:
    sound = {"mcnemar.csv": samples.COMPARISONS[0], "wrong_rows.csv": samples.SAVED_ROWS[1]}
    for name, old, new, parts in (
        ("mcnemar.csv", b"dataset,", b"set,", (1,)),
        ("mcnemar.csv", b",10,", b",ten,", (2, "n_test", "'ten'")),
        ("mcnemar.csv", b",no,", b",never,", (2, "significant", "'never'", "yes")),
        ("mcnemar.csv", b",.625,", b",p,", (2, "p_value", "'p'")),
        ("mcnemar.csv", b",1\n", b"\n", (2, 16, 17)),
        ("wrong_rows.csv", b"n_wrong", b"wrong", (1,)),
        ("wrong_rows.csv", b",10,", b",10.0,", (2, "n_test", "'10.0'")),
    ):
        for file, content in sound.items():
            Path(file).write_bytes(content)
        read_comparisons_and_saved_rows(Path())
        assert old in sound[name]
        Path(name).write_bytes(sound[name].replace(old, new, 1))
        line, *others = parts
        refused((f"{name}:{line}:", *others), read_comparisons_and_saved_rows, Path())
    for name in sound:
        Path(name).unlink()
    read_comparisons_and_saved_rows(Path())  # without files, nothing is known


def test_models_are_compared_without_the_folders_of_their_runs(done: Path, dae: Dae) -> None:
    comparisons, saved = done / "mcnemar.csv", done / "wrong_rows.csv"
    before = {path: path.read_bytes() for path in (comparisons, saved)}
    # A run's folder takes precedence over the files.
    for row, bits in ((2, "AAAA"), (3, "")):
        _edit_line(saved, row, bits=bits)
    comparisons.write_text("a,b\n")
    dae("report", "tiny").succeeded()
    assert {path: path.read_bytes() for path in before} == before
    shutil.rmtree(done / "runs")
    comparisons.unlink()
    dae("report", "tiny").succeeded()
    assert {path: path.read_bytes() for path in before} == before
    # A wrong row counts as missing, and the row of the other run remains.
    header, _, second = before[saved].splitlines(keepends=True)
    first, other = read_csv(saved)
    fewer = ("A" if first["bits"][0] != "A" else "B") + first["bits"][1:]
    for lie, other_lie in (
        ({"bits": fewer}, {}),
        ({"n_wrong": str(int(first["n_wrong"]) + 1)}, {"n_test": "401"}),
        ({"bits": first["bits"].rstrip("=")[:-4]}, {"bits": other["bits"][:-1] + "!"}),
    ):
        saved.write_bytes(before[saved])
        comparisons.unlink(missing_ok=True)
        _edit_line(saved, 2, **lie)
        _edit_line(saved, 3, **other_lie)
        dae("report", "tiny").succeeded()
        assert saved.read_bytes() == (header if other_lie else header + second)
        assert len(comparisons.read_text().splitlines()) == 1
    for path in before:  # the only record of these runs is not overwritten
        path.write_text("a,b\n")
        dae("report", "tiny").failed(2, f"results/tiny/{path.name}:1:")
        assert path.read_text() == "a,b\n"
        path.unlink()


# ---------------------------------------------------------------- search.csv

TRIAL = next(csv.DictReader(io.StringIO(samples.SEARCHES[0].decode()))) | {"weights": "1000"}
"""Nine units, 50 of 2,000 rows wrong, epoch 8 of 38, 1.5 minutes."""


def _trials(*changes: Mapping[str, str]) -> str:
    """Return a search.csv of trials that differ from `TRIAL`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(TRIAL), lineterminator="\n")
    writer.writeheader()
    writer.writerows(TRIAL | dict(change) for change in changes)
    return text.getvalue()


PRUNED = {"trial": "2", "state": "pruned", "valid_wrong": "10", "valid_error_percent": "0.50"}
FAILED = {"trial": "3", "state": "failed", "valid_wrong": "", "valid_error_percent": ""}


def test_another_search_csv_is_refused_with_line_and_column() -> None:
    path, sound = Path("search.csv"), _trials({}, PRUNED)
    for old, new, parts in (
        ("cell,", "sell,", (1,)),
        ("\na-sda-3,", "\na-sda-3,,", (2, 25, 24)),
        (",50,", ",many,", (2, "valid_wrong", "'many'")),
        (",50,", ",-1,", (2, "valid_wrong", "-1")),
        (",0.50,", ",100.5,", (3, "valid_error_percent", "100.5", "100")),
        ("complete", "finished", (2, "state", "'finished'")),
        (",1.5,", ",inf,", (2, "minutes", "inf")),
    ):
        assert old in sound
        path.write_text(sound.replace(old, new, 1))
        line, *others = parts
        refused((f"search.csv:{line}:", *others), read_search, path)


def test_the_report_selects_the_trial_with_the_fewest_wrong_rows_then_weights_then_epochs(
    done: Path, dae: Dae
) -> None:
    later = {"trial": "4", "units": "8"}
    quicker, smaller = later | {"epochs": "37"}, later | {"weights": "999", "epochs": "90"}
    better = {"trial": "5", "units": "7", "valid_wrong": "49", "weights": "1000000"}
    pruned, failed = PRUNED | {"units": "7"}, FAILED | {"units": "10"}
    lines, expected = [], []
    for name, trials, counts, values in (
        ("number", [later, {}], "2 | 2 | 0 | 0", "8, **9**"),
        ("epochs", [{}, quicker], "2 | 2 | 0 | 0", "**8**, 9"),
        ("weights", [quicker | {"units": "7"}, smaller], "2 | 2 | 0 | 0", "7, **8**"),
        ("wrong", [{}, smaller, better], "3 | 3 | 0 | 0", "**7**, 8, 9"),
        ("complete", [pruned, {}, failed], "3 | 1 | 1 | 1", "7, **9**, 10"),
        ("none", [pruned, failed], "2 | 0 | 1 | 1", ""),
    ):
        lines += [trial | {"cell": name} for trial in trials]
        expected += [f"| {name} | tpe | {counts} |"]
        if values:
            expected += [f" `units` {values} |"]
    (done / "search.csv").write_text(_trials(*lines))
    dae("report", "tiny").succeeded()
    report = (done / "REPORT.md").read_text(encoding="utf-8")
    assert [part for part in expected if part not in report] == []
    assert report.count("`units` ") == 5


# ---------------------------------------------------------------- an SVM's trials and machine


@pytest.fixture
def machine(tmp_path: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the run of a finished SVM."""
    monkeypatch.setenv("DAE_DATA_DIR", str(tiny_data))
    make_results(tmp_path, "machines")
    return run_of(Path("results/machines"), "svm-rbf")


def test_another_trials_csv_is_refused_with_line_and_column(machine: Path, dae: Dae) -> None:
    path = machine / "trials.csv"
    before = path.read_bytes()
    columns = "kernel,gamma,degree,penalty,n_wrong,valid_error_percent,n_support,converged,seconds"
    assert before.decode().splitlines()[0] == columns
    for line, column, value, *parts in (
        (1, "kernel", "colonel", "kernel, gamma"),
        (2, "kernel", "\x1b[2J", "kernel", "rbf"),
        (2, "gamma", "0", "gamma", "'0'"),
        (3, "penalty", "much", "penalty", "'much'"),
        (2, "degree", "3", "degree", "'3'"),
        (2, "n_wrong", "51", "n_wrong", "'51'", "0 to 50"),
        (2, "n_wrong", "6", "valid_error_percent", "'10.0'", "12.0000", "6 of 50"),
        (2, "valid_error_percent", "10.00001", "valid_error_percent", "10.00001", "10.0000"),
        (2, "n_support", "101", "n_support", "'101'", "1 to 100"),
        (2, "converged", "yes", "converged", "'yes'", "true", "false"),
        (5, "seconds", "-3", "seconds", "'-3'"),
    ):
        _edit_line(path, line, **{column: value})
        place = f"runs/{machine.name}/trials.csv:{line}:"
        assert dae("verify", "machines").failed(1, place, *parts).message.isprintable()
        path.write_bytes(before)
    lines = before.splitlines(keepends=True)
    for content, *parts in (
        (before + lines[1], "trials.csv:6:"),
        (lines[0] + lines[1][:-6] + b"\n", "trials.csv:2:", "8", "9"),
        (before + b"\n" * 10_000_000, "trials.csv", "10000000"),
        (before.replace(b"kernel,", b"kernel,nu,").replace(b"rbf,", b"rbf,1,"), "nu", "'1'", ":2:"),
        (before.replace(b"kernel,", b"nu,kernel,"), "kernel, nu, gamma", "trials.csv:1:"),
    ):
        path.write_bytes(content)
        dae("verify", "machines").failed(1, *parts)
    path.unlink()
    dae("verify", "machines").failed(1, "trials.csv")


def _checkpoint_bytes(tensors: Mapping[str, Any], ours: Mapping[str, Any]) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    return save(arrays, metadata={"dae": json.dumps(ours)})


def test_a_checkpoint_of_an_svm_contains_only_numbers_and_an_altered_one_is_refused(
    machine: Path, dae: Dae
) -> None:
    path = machine / "checkpoint.safetensors"
    before = path.read_bytes()
    with safe_open(path, framework="numpy") as file:
        ours = json.loads(file.metadata()["dae"])
    assert sorted(load(before)) == ["biases", "support", "weights"]
    assert (ours["kernel"], ours["classes"]) == ("rbf", [0, 1])

    def with_value(name: str, index: int, value: float) -> dict[str, Any]:
        changed = load(before)[name].copy()
        changed.flat[index] = value
        return {name: changed}

    tensors = load(before)
    support, weights = tensors["support"], tensors["weights"]
    for others, changes, parts in (
        (with_value("support", 0, 150), {}, ("support", "149")),
        (with_value("support", 0, -1), {}, ("support", "149")),
        (with_value("support", 1, support[0]), {}, ("support",)),
        (with_value("weights", 3, np.nan), {}, ("finite",)),
        ({"weights": weights[:5]}, {}, ("weights", "[5, 1]")),
        ({"support": support[:0], "weights": weights[:0]}, {}, ("support",)),
        ({"weights": weights.astype("f4")}, {}, ("F32",)),
        ({"more": tensors["biases"]}, {}, ("'more'",)),
        ({}, {"gamma": -1.0}, ("gamma", "0")),
        ({}, {"penalty": "many"}, ("penalty",)),
        ({}, {"classes": [1, 0]}, ("[1, 0]",)),
        ({}, {"classes": [0, 2]}, ("[0, 2]",)),
        ({}, {"format": None}, ("format",)),
        ({}, {"data_sha256": "b" * 64}, ("checkpoint",)),
        ({}, {"experiment": ours["experiment"] | {"seed": 1}}, ("checkpoint",)),
    ):
        path.write_bytes(_checkpoint_bytes(tensors | others, ours | changes))
        dae("evaluate", machine).failed(2, str(path), *parts)
    absent = {name: value for name, value in ours.items() if name != "format"}
    for content in (_checkpoint_bytes(tensors, absent), before[:-9], b""):
        path.write_bytes(content)
        dae("evaluate", machine).failed(2, str(path))
    path.write_bytes(_checkpoint_bytes(tensors, ours))
    dae("evaluate", machine).succeeded()
