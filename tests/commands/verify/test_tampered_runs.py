"""Every kind of tampering with runs.csv and the run folders is told with place and both values."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.commands.conftest import Ended
    from tests.commands.verify.conftest import Tiny

    Dae = Callable[..., Ended]


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
    tiny: Tiny, done: Path, column: str, new: str
) -> None:
    row = tiny.row()
    lines = (done / "runs.csv").read_text().splitlines()
    values = lines[2].split(",")
    place = lines[0].split(",").index(column)
    old, values[place] = values[place], new
    (done / "runs.csv").write_text("\n".join([*lines[:2], ",".join(values)]) + "\n")
    result = tiny.found()
    assert ("runs.csv", f"{row.run}: {column}", new, old or "–") in tiny.differences(result)


def test_a_count_that_cannot_be_hides_nothing_else(tiny: Tiny, done: Path) -> None:
    row = tiny.row()
    tiny.edit(done / "runs.csv", f",400,{row.n_wrong},", ",400,401,")
    tiny.edit(done / "REPORT.md", "Tiny: two cells", "Tiny: three cells")
    tiny.edit(done / "REPORT.md", "dataset: rect\n", "dataset: convex\n")
    result = tiny.found()
    told = tiny.differences(result)
    assert ("runs.csv", f"{row.run}: n_wrong", "401", str(row.n_wrong)) in told
    assert f"{row.run}: n_wrong is 401 and n_test 400" in tiny.reasons(result)["table.csv"]
    assert result["recomputed"] == 2


def test_a_result_changed_in_every_file_is_found_by_counting_again(
    tiny: Tiny, dae: Dae, done: Path
) -> None:
    # As a forger would: status.json changed, and everything made from it made anew.
    row = tiny.row()
    folder = done / "runs" / row.run
    tiny.edit_json(folder / "status.json", "result", "n_wrong", value=1)
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    assert tiny.row().n_wrong == 1
    assert tiny.differences() == {
        ("runs.csv", f"{row.run}: n_wrong", "1", str(row.n_wrong)),
        (f"runs/{row.run}/status.json", "result.n_wrong", "1", str(row.n_wrong)),
    }


def test_a_run_that_is_counted_twice_is_told(tiny: Tiny, done: Path) -> None:
    lines = (done / "runs.csv").read_text().splitlines()
    (done / "runs.csv").write_text("\n".join([*lines, lines[2]]) + "\n")
    told = tiny.differences()
    assert ("runs.csv", f"{tiny.row().run}: rows", "2", "1") in told


def test_the_checkpoint_of_another_run_is_told(tiny: Tiny) -> None:
    first, second = tiny.runs()
    shutil.copy(first / "checkpoint.safetensors", second / "checkpoint.safetensors")
    result = tiny.found()
    told = tiny.reasons(result)[f"runs/{second.name}/checkpoint.safetensors"]
    assert "not a checkpoint of this run (it was made with other settings or on other data)" in told
    assert not any(first.name in place for place in tiny.reasons(result))
    assert result["recomputed"] == 1


@pytest.mark.parametrize("name", ["status.json", "config.yaml", "environment.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[" * 50_000, b"\xff", b" " * 2_000_000])
def test_a_damaged_file_of_a_run_hides_nothing_of_the_others(
    tiny: Tiny, name: str, content: bytes
) -> None:
    first, second = tiny.runs()
    (first / name).write_bytes(content)
    tiny.edit(second / "metrics.csv", "pretrain,1,1,", "pretrain,1,1,9")
    result = tiny.found()
    assert f"runs/{first.name}/{name}" in tiny.reasons(result)
    assert [place for place, *_ in tiny.differences(result)] == [f"runs/{second.name}/metrics.csv"]
    assert result["recomputed"] == (1 if name == "config.yaml" else 2)


@pytest.mark.parametrize("damage", ["cut", "removed", "garbage"])
def test_a_damaged_checkpoint_is_told_and_its_run_not_recomputed(tiny: Tiny, damage: str) -> None:
    first, _ = tiny.runs()
    path = first / "checkpoint.safetensors"
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-40] if damage == "cut" else b"\xff" * 1000)
    result = tiny.found()
    assert (result["recomputed"], result["differences"]) == (1, [])
    assert "checkpoint" in tiny.reasons(result)[f"runs/{first.name}/checkpoint.safetensors"]


def test_metrics_that_were_edited_are_told_with_the_line(tiny: Tiny) -> None:
    folder = tiny.runs()[1]
    path = folder / "metrics.csv"
    lines = path.read_text().splitlines()
    kept = lines[2]
    lines[2] = lines[2].rpartition(",")[0].replace("pretrain,1,2", "pretrain,1,3") + ","
    path.write_text("\n".join(lines) + "\n")
    assert tiny.differences() == {(f"runs/{folder.name}/metrics.csv", "line 3", lines[2], kept)}


def test_settings_that_were_edited_are_told_and_the_name_does_not_fit_them(tiny: Tiny) -> None:
    folder = tiny.runs()[1]
    tiny.edit(folder / "config.yaml", "patience: 4", "patience: 5")
    told = tiny.differences()
    place = f"runs/{folder.name}"
    assert (f"{place}/config.yaml", "finetune.patience", "5", "4") in told
    (name,) = [d for d in told if d[1] == "name of the folder"]
    assert name[:3] == (place, "name of the folder", folder.name)
    assert name[3][:-8] == folder.name[:-8]


def test_a_study_whose_files_changed_since_is_told(tiny: Tiny, tmp_path: Path) -> None:
    tiny.edit(tmp_path / "experiments/tiny/study.yaml", "max_epochs: 4", "max_epochs: 5")
    result = tiny.found()
    told = tiny.differences(result)
    for folder in tiny.runs():
        assert (f"runs/{folder.name}/config.yaml", "finetune.max_epochs", "4", "5") in told
    whats = {what for place, what, *_ in told if place == "runs.csv"}
    assert {f"{f.name}: config_sha256" for f in tiny.runs()} <= whats
    assert any(place == "REPORT.md" and "Settings" in what for place, what, *_ in told)
    assert result["recomputed"] == 2


def test_another_version_of_the_numerics_is_told(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dae_cli.study.run.folder.NUMERICS_VERSION", 10**6)
    told = tiny.differences()
    for folder in tiny.runs():
        assert (f"runs/{folder.name}", "name of the folder") in {d[:2] for d in told}
        assert ("runs.csv", f"{folder.name}: config_sha256") in {d[:2] for d in told}


def test_a_cell_that_is_gone_is_told(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "experiments/tiny/rect-25.yaml").unlink()
    run = tiny.row().run
    told = tiny.differences()
    assert ("runs.csv", f"{run}: cell", "rect-25", "no such cell in the study") in told


def test_another_data_digest_in_the_status_is_told_and_the_run_not_recomputed(
    tiny: Tiny, done: Path
) -> None:
    row = tiny.row()
    folder = done / "runs" / row.run
    tiny.edit_json(folder / "status.json", "data", "sha256", value="0" * 64)
    result = tiny.found()
    assert ("runs.csv", f"{row.run}: data_sha256", row.data_sha256, "0" * 64) in tiny.differences(
        result
    )
    assert (f"runs/{row.run}", "name of the folder") in {d[:2] for d in tiny.differences(result)}
    told = tiny.reasons(result)[f"runs/{row.run}/checkpoint.safetensors"]
    assert "it was made with other settings or on other data" in told
    assert result["recomputed"] == 1


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_run_whose_folder_is_not_here_is_told_with_the_remedy(
    tiny: Tiny, dae: Dae, how: str
) -> None:
    folder = tiny.runs()[0]
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
    tiny: Tiny, done: Path
) -> None:
    folder = tiny.runs()[0]
    name = "rect-saa2-0-s0-01234567"
    folder.rename(folder.with_name(name))
    tiny.edit(done / "runs.csv", folder.name, name)
    told = tiny.differences()
    assert (f"runs/{name}", "name of the folder", name, folder.name) in told


@pytest.mark.parametrize("name", ["../runs/x", "/etc", "..", ".", "a\0b"])
def test_a_name_that_leads_elsewhere_is_not_followed(tiny: Tiny, done: Path, name: str) -> None:
    tiny.edit(done / "runs.csv", tiny.runs()[0].name, name)
    result = tiny.found()
    told = tiny.reasons(result)
    assert result["recomputed"] == 1
    if "\0" in name:
        assert "is not here" in told[f"runs/{name}"]
    else:
        assert "expected the name of a folder in runs" in told["runs.csv"]


def test_a_run_that_failed_is_told_as_not_recomputed(tiny: Tiny, done: Path) -> None:
    # Its folder is whole all the same: the row is not what the run says.
    path = done / "runs.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2] + "diverged"]) + "\n")
    result = tiny.found()
    run = tiny.row().run
    assert ("runs.csv", f"{run}: error", "diverged", "the run is done") in tiny.differences(result)
    assert (
        tiny.reasons(result)[f"runs/{run}"] == "failed (diverged); dae replicate tiny tries again"
    )
