"""`dae verify`: agreement, and every kind of tampering told with place and both values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dae_cli.errors import DataError
from dae_cli.study.rows import RunRow, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]


def runs(done: Path) -> list[Path]:
    """The run folders, rect-0 (SAA) first."""
    return sorted((done / "runs").iterdir())


def edit(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")


def edit_json(path: Path, *keys: str, value: object) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(record), encoding="utf-8")


def found(dae: Dae, code: int = 1, *options: str) -> dict[str, Any]:
    ended = dae("verify", "tiny", "--format", "json", *options)
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    result: dict[str, Any] = json.loads(ended.out)
    return result


def differences(result: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    keys = ("place", "what", "recorded", "recomputed")
    return {tuple(d[key] for key in keys) for d in result["differences"]}


def reasons(result: dict[str, Any]) -> dict[str, str]:
    return {problem["place"]: problem["reason"] for problem in result["unchecked"]}


# Agreement


def test_results_that_were_not_touched_agree(dae: Dae, done: Path) -> None:
    before = {p: p.read_bytes() for p in done.rglob("*") if p.is_file()}
    ended = dae("verify", "tiny")
    assert (ended.code, ended.lines) == (0, ["2 runs recomputed, 0 differences"])
    for folder in runs(done):
        assert f"{folder.name}: agrees\n" in ended.err
    assert found(dae, 0) == {
        "runs": 2,
        "recomputed": 2,
        "differences": [],
        "unchecked": [],
        "agrees": True,
    }
    assert dae("verify", "tiny", "--quiet") == (0, "", "")
    assert {p: p.read_bytes() for p in done.rglob("*") if p.is_file()} == before


def test_results_elsewhere_are_found_with_out(dae: Dae, done: Path, tmp_path: Path) -> None:
    done.rename(tmp_path / "moved")
    assert dae("verify", "tiny", "--out", "moved").code == 0
    ended = dae("verify", "tiny")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "results/tiny/runs.csv: there are no results of tiny here; make them with "
        "dae replicate tiny, or say where they are with --out\n"
    )


def test_results_of_changed_settings_agree_with_the_same_set(dae: Dae, tmp_path: Path) -> None:
    setting = ("--set", "pretrain.epochs=1")
    assert dae("replicate", "tiny", "--jobs", "1", *setting).code == 0
    assert dae("verify", "tiny", *setting).code == 0
    (folder,) = (tmp_path / "results").iterdir()
    result = found(dae, 1, "--out", str(folder))
    assert {
        (what, recorded, now)
        for place, what, recorded, now in differences(result)
        if place.endswith("config.yaml")
    } == {("pretrain.epochs", "1", "2")}


def test_several_seeds_agree(dae: Dae) -> None:
    assert dae("replicate", "tiny", "--jobs", "1", "--seeds", "3").code == 0
    assert dae("verify", "tiny").lines == ["6 runs recomputed, 0 differences"]


def test_a_study_of_which_a_part_was_run_agrees_and_the_rest_is_told(dae: Dae) -> None:
    assert dae("replicate", "tiny", "--only", "rect-25").code == 0
    ended = dae("verify", "tiny")
    assert (ended.code, ended.lines) == (0, ["1 run recomputed, 0 differences"])
    assert "rect-0: no run of it in runs.csv\n" in ended.err


# runs.csv and the run folders


def _row(done: Path, cell: str = "rect-25") -> RunRow:
    return next(r for r in read_rows(done / "runs.csv", RunRow) if r.cell == cell)


@pytest.mark.parametrize(
    ("column", "new"),
    [
        ("n_wrong", "1"),
        ("test_error_percent", "0.25"),
        ("valid_error_percent", "0.00"),
        ("best_epoch", "9"),
        ("verdict", "better"),
        ("paper_error_percent", "99.00"),
        ("minutes", "77.0"),
        ("device", "NVIDIA H100"),
        ("engine", "compiled"),
        ("threads", "8"),
        ("versions", "dae 9"),
        ("commit", "0123456789ab"),
        ("config_sha256", "f" * 64),
        ("data_origin", "regenerated"),
        ("data_sha256", "f" * 64),
        ("model", "SAA-2"),
        ("seed", "7"),
        ("cell", "rect-0"),
    ],
)
def test_any_column_of_runs_csv_that_was_changed_is_told(
    dae: Dae, done: Path, column: str, new: str
) -> None:
    row = _row(done)
    lines = (done / "runs.csv").read_text().splitlines()
    values = lines[2].split(",")
    place = lines[0].split(",").index(column)
    old, values[place] = values[place], new
    (done / "runs.csv").write_text("\n".join([*lines[:2], ",".join(values)]) + "\n")
    result = found(dae)
    assert ("runs.csv", f"{row.run}: {column}", new, old or "–") in differences(result)


def test_a_count_that_cannot_be_hides_nothing_else(dae: Dae, done: Path) -> None:
    row = _row(done)
    edit(done / "runs.csv", f",400,{row.n_wrong},", ",400,401,")
    edit(done / "REPORT.md", "Tiny: two cells", "Tiny: three cells")
    edit(done / "REPORT.md", "dataset: rect\n", "dataset: convex\n")
    result = found(dae)
    told = differences(result)
    assert ("runs.csv", f"{row.run}: n_wrong", "401", str(row.n_wrong)) in told
    assert f"{row.run}: n_wrong is 401 and n_test 400" in reasons(result)["table.csv"]
    assert result["recomputed"] == 2


def test_a_result_changed_in_every_file_is_found_by_counting_again(dae: Dae, done: Path) -> None:
    # As a forger would: status.json changed, and everything made from it made anew.
    row = _row(done)
    folder = done / "runs" / row.run
    edit_json(folder / "status.json", "result", "n_wrong", value=1)
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    assert _row(done).n_wrong == 1
    assert differences(found(dae)) == {
        ("runs.csv", f"{row.run}: n_wrong", "1", str(row.n_wrong)),
        (f"runs/{row.run}/status.json", "result.n_wrong", "1", str(row.n_wrong)),
    }


def test_a_run_that_is_counted_twice_is_told(dae: Dae, done: Path) -> None:
    lines = (done / "runs.csv").read_text().splitlines()
    (done / "runs.csv").write_text("\n".join([*lines, lines[2]]) + "\n")
    told = differences(found(dae))
    assert ("runs.csv", f"{_row(done).run}: rows", "2", "1") in told


def test_the_checkpoint_of_another_run_is_told(dae: Dae, done: Path) -> None:
    first, second = runs(done)
    shutil.copy(first / "checkpoint.safetensors", second / "checkpoint.safetensors")
    told = differences(found(dae))
    assert {place for place, *_ in told} >= {f"runs/{second.name}/metrics.csv"}
    assert not any(first.name in place for place, *_ in told)


@pytest.mark.parametrize("name", ["status.json", "config.yaml", "environment.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[" * 50_000, b"\xff", b" " * 2_000_000])
def test_a_damaged_file_of_a_run_hides_nothing_of_the_others(
    dae: Dae, done: Path, name: str, content: bytes
) -> None:
    first, second = runs(done)
    (first / name).write_bytes(content)
    edit(second / "metrics.csv", "pretrain,1,1,", "pretrain,1,1,9")
    result = found(dae)
    assert f"runs/{first.name}/{name}" in reasons(result)
    assert [place for place, *_ in differences(result)] == [f"runs/{second.name}/metrics.csv"]
    assert result["recomputed"] == (1 if name == "config.yaml" else 2)


@pytest.mark.parametrize("damage", ["cut", "removed", "garbage"])
def test_a_damaged_checkpoint_is_told_and_its_run_not_recomputed(
    dae: Dae, done: Path, damage: str
) -> None:
    first, _ = runs(done)
    path = first / "checkpoint.safetensors"
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-40] if damage == "cut" else b"\xff" * 1000)
    result = found(dae)
    assert (result["recomputed"], result["differences"]) == (1, [])
    assert "checkpoint" in reasons(result)[f"runs/{first.name}/checkpoint.safetensors"]


def test_metrics_that_were_edited_are_told_with_the_line(dae: Dae, done: Path) -> None:
    folder = runs(done)[1]
    path = folder / "metrics.csv"
    lines = path.read_text().splitlines()
    kept = lines[2]
    lines[2] = lines[2].rpartition(",")[0].replace("pretrain,1,2", "pretrain,1,3") + ","
    path.write_text("\n".join(lines) + "\n")
    assert differences(found(dae)) == {
        (f"runs/{folder.name}/metrics.csv", "line 3", lines[2], kept)
    }


def test_settings_that_were_edited_are_told_and_the_name_does_not_fit_them(
    dae: Dae, done: Path
) -> None:
    folder = runs(done)[1]
    edit(folder / "config.yaml", "patience: 4", "patience: 5")
    told = differences(found(dae))
    place = f"runs/{folder.name}"
    assert (f"{place}/config.yaml", "finetune.patience", "5", "4") in told
    (name,) = [d for d in told if d[1] == "name of the folder"]
    assert name[:3] == (place, "name of the folder", folder.name)
    assert name[3][:-8] == folder.name[:-8]


def test_a_study_whose_files_changed_since_is_told(dae: Dae, done: Path, tmp_path: Path) -> None:
    edit(tmp_path / "experiments/tiny/study.yaml", "max_epochs: 4", "max_epochs: 5")
    result = found(dae)
    told = differences(result)
    for folder in runs(done):
        assert (f"runs/{folder.name}/config.yaml", "finetune.max_epochs", "4", "5") in told
    whats = {what for place, what, *_ in told if place == "runs.csv"}
    assert {f"{f.name}: config_sha256" for f in runs(done)} <= whats
    assert any(place == "REPORT.md" and "Settings" in what for place, what, *_ in told)
    assert result["recomputed"] == 2


def test_another_version_of_the_numerics_is_told(
    dae: Dae, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dae_cli.study.run_folder.NUMERICS_VERSION", 10**6)
    told = differences(found(dae))
    for folder in runs(done):
        assert (f"runs/{folder.name}", "name of the folder") in {d[:2] for d in told}
        assert ("runs.csv", f"{folder.name}: config_sha256") in {d[:2] for d in told}


def test_a_cell_that_is_gone_is_told(dae: Dae, done: Path, tmp_path: Path) -> None:
    (tmp_path / "experiments/tiny/rect-25.yaml").unlink()
    run = _row(done).run
    told = differences(found(dae))
    assert ("runs.csv", f"{run}: cell", "rect-25", "no such cell in the study") in told


def test_another_data_digest_in_the_status_is_told_and_the_run_not_recomputed(
    dae: Dae, done: Path
) -> None:
    row = _row(done)
    folder = done / "runs" / row.run
    edit_json(folder / "status.json", "data", "sha256", value="0" * 64)
    result = found(dae)
    assert ("runs.csv", f"{row.run}: data_sha256", row.data_sha256, "0" * 64) in differences(result)
    assert (f"runs/{row.run}", "name of the folder") in {d[:2] for d in differences(result)}
    assert "was trained on rect with SHA-256 000000000000…" in reasons(result)[f"runs/{row.run}"]
    assert result["recomputed"] == 1


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_run_whose_folder_is_not_here_is_told_with_the_remedy(
    dae: Dae, done: Path, how: str
) -> None:
    folder = runs(done)[0]
    if how == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(folder.with_name("rect-saa2-0-s0-01234567"))
    ended = dae("verify", "tiny")
    assert (ended.code, ended.lines) == (
        1,
        ["1 of 2 runs recomputed, 0 differences, 1 not checked"],
    )
    assert (
        f"runs/{folder.name}: is not here: run folders are not committed with the results; "
        "dae replicate tiny makes them\n"
    ) in ended.err
    if how == "removed":
        assert dae("replicate", "tiny", "--jobs", "1").code == 0
        assert dae("verify", "tiny").code == 0


def test_a_renamed_folder_does_not_fit_its_name_even_if_runs_csv_has_it(
    dae: Dae, done: Path
) -> None:
    folder = runs(done)[0]
    name = "rect-saa2-0-s0-01234567"
    folder.rename(folder.with_name(name))
    edit(done / "runs.csv", folder.name, name)
    told = differences(found(dae))
    assert (f"runs/{name}", "name of the folder", name, folder.name) in told


@pytest.mark.parametrize("name", ["../runs/x", "/etc", "..", ".", "a\0b"])
def test_a_name_that_leads_elsewhere_is_not_followed(dae: Dae, done: Path, name: str) -> None:
    edit(done / "runs.csv", runs(done)[0].name, name)
    result = found(dae)
    told = reasons(result)
    assert result["recomputed"] == 1
    if "\0" in name:
        assert "is not here" in told[f"runs/{name}"]
    else:
        assert "expected the name of a folder in runs" in told["runs.csv"]


def test_a_run_that_failed_is_told_as_not_recomputed(dae: Dae, done: Path) -> None:
    # Its folder is whole all the same: the row is not what the run says.
    path = done / "runs.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2] + "diverged"]) + "\n")
    result = found(dae)
    run = _row(done).run
    assert ("runs.csv", f"{run}: error", "diverged", "the run is done") in differences(result)
    assert reasons(result)[f"runs/{run}"] == "failed (diverged); dae replicate tiny tries again"


# table.csv and REPORT.md


def test_a_cell_of_table_csv_that_was_changed_is_told(dae: Dae, done: Path) -> None:
    row = _row(done, "rect-0")
    edit(done / "table.csv", f",{row.n_wrong},", ",1,")
    assert differences(found(dae)) == {("table.csv", "rect-0: n_wrong", "1", str(row.n_wrong))}


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n", "\r\n"), ("\nrect-25", "\n\nrect-25"), ("cell,", "cells,"), (",rect,", ", rect,")],
)
def test_any_other_byte_of_table_csv_is_told(dae: Dae, done: Path, old: str, new: str) -> None:
    path = done / "table.csv"
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode(), 1))
    (place,) = {place for place, *_ in differences(found(dae))}
    assert place == "table.csv"


def test_a_missing_table_or_report_is_told(dae: Dae, done: Path) -> None:
    (done / "table.csv").unlink()
    (done / "REPORT.md").unlink()
    assert set(reasons(found(dae))) == {"table.csv", "REPORT.md"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("| rect | 25 %", "| rect | 26 %", "Ours and the paper's, line 4"),
        (" of 400 |", " of 401 |", "Every run, line 3"),
        ("| rect | original |", "| rect | regenerated |", "Data, line 3"),
        ("learning_rate: 0.1", "learning_rate: 0.2", "Settings, line 5"),
        ("## Data\n", "## Date\n", "Data, line 1 and 2 more"),
        ("; 2 runs, ", "; 3 runs, ", "commits and minutes"),
    ],
)
def test_any_fact_of_the_report_that_was_changed_is_told(
    dae: Dae, done: Path, old: str, new: str, what: str
) -> None:
    edit(done / "REPORT.md", old, new)
    ((place, told, recorded, recomputed),) = differences(found(dae))
    assert (place, told) == ("REPORT.md", what)
    assert recorded != recomputed


def test_a_line_added_to_the_table_of_the_report_is_told(dae: Dae, done: Path) -> None:
    edit(
        done / "REPORT.md",
        "\n\nIntervals are",
        "\n| rect | 99 % | x | x | x | x | x |\n\nIntervals are",
    )
    ((_, what, recorded, recomputed),) = differences(found(dae))
    assert (what, recomputed) == ("Ours and the paper's, line 5", "–")
    assert recorded.startswith("| rect | 99 %")


@pytest.mark.parametrize("commit", ["0123456789ab", "0123456789ab-dirty"])
def test_a_commit_that_the_report_does_not_name_is_told(dae: Dae, done: Path, commit: str) -> None:
    # Both runs were made at a commit, and the tables say so: the report does not.
    for folder in runs(done):
        edit_json(folder / "environment.json", "commit", value=commit)
    report = (done / "REPORT.md").read_text()
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    assert dae("verify", "tiny").code == 0
    (done / "REPORT.md").write_text(report)
    ((place, what, _, recomputed), *_) = sorted(
        differences(found(dae)), key=lambda d: d[1] != "commits and minutes"
    )
    assert (place, what) == ("REPORT.md", "commits and minutes")
    assert f"at commit {commit}" in recomputed
    assert ("**with changes that were not committed**" in recomputed) == commit.endswith("-dirty")


# Rows of several makes


@pytest.mark.parametrize(("key", "value"), [("engine", "compiled"), ("device", "NVIDIA H100")])
def test_rows_of_several_engines_or_devices_are_told(
    dae: Dae, done: Path, key: str, value: str
) -> None:
    edit_json(runs(done)[1] / "environment.json", key, value=value)
    assert dae("replicate", "tiny", "--jobs", "1", "--device", "auto").code == 0
    told = differences(found(dae))
    first = json.loads((runs(done)[0] / "environment.json").read_text())[key]
    assert ("runs.csv", f"{key}s", f"{first}, {value}", "one for the whole table") in told


def test_how_it_was_counted_is_told_where_it_was_not_as_the_run_was_made(
    dae: Dae, done: Path
) -> None:
    row = _row(done)
    folder = done / "runs" / row.run
    edit_json(folder / "environment.json", "device", value="NVIDIA H100")
    edit_json(folder / "status.json", "result", "n_wrong", value=1)
    assert dae("replicate", "tiny", "--jobs", "1", "--device", "auto").code == 0
    counted = f"{row.n_wrong} (counted with torch on cpu)"
    assert ("runs.csv", f"{row.run}: n_wrong", "1", counted) in differences(found(dae))


def test_data_that_cannot_be_had_are_asked_for_once_and_hide_nothing(
    dae: Dae, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def none(folder: Path, *_: object) -> None:
        asked.append(folder)
        raise DataError("rect: gone")

    monkeypatch.setattr("dae_cli.study.verify_run.recorded_data", none)
    edit(done / "table.csv", "rect-25,", "rect-26,")
    result = found(dae)
    assert reasons(result) == {f"runs/{folder.name}": "rect: gone" for folder in runs(done)}
    assert (result["recomputed"], len(asked)) == (0, 1)
    assert {place for place, *_ in differences(result)} == {"table.csv"}


# What is no results


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its columns are not those that dae writes"),
        (b"a,b\n", "its columns are not those that dae writes"),
        (b"\xff\xfe", "runs.csv:1: "),
    ],
)
def test_a_runs_csv_that_cannot_be_read_is_exit_code_2(
    dae: Dae, done: Path, content: bytes, words: str
) -> None:
    (done / "runs.csv").write_bytes(content)
    ended = dae("verify", "tiny")
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


def test_a_runs_csv_without_rows_is_exit_code_2(dae: Dae, done: Path) -> None:
    header = (done / "runs.csv").read_text().splitlines()[0]
    (done / "runs.csv").write_text(header + "\n")
    assert dae("verify", "tiny").err == (
        "results/tiny/runs.csv: holds no run; make them with dae replicate tiny\n"
    )


def test_the_table_shows_place_and_both_values_in_columns(dae: Dae, done: Path) -> None:
    row = _row(done, "rect-0")
    edit(done / "table.csv", f",{row.n_wrong},", ",\x1b[1m1,")
    ended = dae("verify", "tiny", "--quiet")
    assert (ended.code, ended.err) == (1, "")
    assert [line.split() for line in ended.lines] == [
        ["file", "what", "recorded", "recomputed"],
        ["table.csv", "rect-0:", "n_wrong", "�[1m1", str(row.n_wrong)],
    ]
