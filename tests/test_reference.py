"""The reference rows of a study, and how commands compare their runs with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.entry_points.docs import load_script
from tests.entry_points.statistics import NUMERICS_VERSION, Runs
from tests.support.commands import Ended
from tests.support.synthetic_results import write_csv
from tests.support.tiny import read_csv, write_other_rect

Dae = Callable[..., Ended]

COLUMNS = ("cell", "seed", "data_origin", "data_sha256", "numerics", "config_sha256", "n_wrong",
           "best_epoch", "device", "engine", "versions")  # fmt: skip
IDENTICAL = "2 of 2 runs identical to the reference"


def take_as_reference(results: Path, **changes: str) -> list[dict[str, str]]:
    """Use rows of results as the reference of the tiny study, with `changes` to the first."""
    rows = [{name: row[name] for name in COLUMNS} for row in read_csv(results / "runs.csv")]
    rows[0] |= changes
    write_reference(rows)
    return rows


def write_reference(rows: list[dict[str, str]]) -> None:
    path = Path("experiments/tiny/reference.csv")
    write_csv(path, [list(COLUMNS), *(list(row.values()) for row in rows)])


def test_a_study_without_reference_rows_does_not_mention_them(dae: Dae, done: Path) -> None:
    assert "reference" not in dae("replicate", "tiny").succeeded().lines[-1]
    assert len(dae("verify", "tiny").succeeded().lines) == 1


def test_replicate_and_verify_end_with_how_many_runs_are_identical(dae: Dae, done: Path) -> None:
    take_as_reference(done)
    assert dae("replicate", "tiny").succeeded().lines[-1] == IDENTICAL
    assert dae("verify", "tiny").succeeded().lines[-1] == IDENTICAL
    one = dae("replicate", "tiny", "--only", "rect-25", "--out", "other").succeeded()
    assert one.lines[-1] == "1 of 1 run identical to the reference"
    for command in ("replicate", "verify"):
        assert IDENTICAL not in dae(command, "tiny", "-q").succeeded().out
    found = dae("verify", "tiny", "--format", "json").succeeded().json["reference"]
    assert found == {"runs": 2, "identical": 2, "differing": {}}


def test_only_runs_that_verify_counted_again_are_compared(dae: Dae, done: Path) -> None:
    take_as_reference(done)
    (run,) = (done / "runs").glob("rect-saa2-*")
    shutil.rmtree(run)
    ended = dae("verify", "tiny").failed(1, run.name)
    assert ended.lines[-1] == "1 of 1 run identical to the reference"
    shutil.rmtree(done / "runs")
    assert "reference" not in dae("verify", "tiny").failed(1).out


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"config_sha256": "0" * 64, "data_sha256": "1" * 64}, "other settings"),
        ({"data_sha256": "1" * 64, "engine": "compiled"}, "other data: rect with SHA-256"),
        ({"engine": "compiled", "versions": "x"}, "engine torch on cpu (reference: compiled"),
        ({"versions": "numpy 1.0"}, "library versions"),
        ({}, "processor"),
    ],
)
@pytest.mark.parametrize("command", ["replicate", "verify"])
def test_runs_that_differ_are_named_with_the_likely_reason(
    dae: Dae, done: Path, changes: dict[str, str], why: str, command: str
) -> None:
    wrong = int(read_csv(done / "runs.csv")[0]["n_wrong"])
    take_as_reference(done, n_wrong=str(wrong + 1), **changes)
    count, differing = dae(command, "tiny").succeeded().lines[-2:]
    assert count == "1 of 2 runs identical to the reference"
    assert differing.startswith("  rect-0 seed 0") and "rect-25" not in differing
    assert why in differing
    comparable = "data_sha256" not in changes
    assert (f"{wrong} wrong rows; reference: {wrong + 1}" in differing) == comparable


def test_another_best_epoch_is_a_difference(dae: Dae, done: Path) -> None:
    take_as_reference(done, best_epoch="77")
    *_, count, differing = dae("replicate", "tiny").succeeded().lines
    assert count.startswith("1 of 2 runs") and "reference: 77" in differing


def test_library_versions_are_named_as_far_as_they_differ(dae: Dae, done: Path) -> None:
    versions = read_csv(done / "runs.csv")[0]["versions"]
    python, numpy = (next(v for v in versions.split("; ") if name in v) for name in ("py", "numpy"))
    take_as_reference(done, n_wrong="0", versions=versions.replace(numpy, "numpy 1.0"))
    line = dae("replicate", "tiny").succeeded().lines[-1]
    assert f"{numpy} (reference: numpy 1.0)" in line and python not in line


def test_the_settings_of_a_row_of_other_numerics_are_compared_under_its_own(
    dae: Dae, done: Path
) -> None:
    """Only the digest of such a row depends on the version, which is the reported reason."""
    before = NUMERICS_VERSION - 1
    _, digest = Runs("tiny").identity("rect-0", 0, "", before)
    take_as_reference(done, n_wrong="0", numerics=str(before), config_sha256=digest)
    reason = f"numerics {NUMERICS_VERSION} (reference: {before})"
    assert reason in dae("replicate", "tiny").succeeded().lines[-1]


def test_a_run_without_a_reference_row_is_named(dae: Dae, done: Path) -> None:
    take_as_reference(done)
    *_, count, differing = dae("replicate", "tiny", "--seeds", "2").succeeded().lines
    assert count == "2 of 4 runs identical to the reference"
    assert differing == "  rect-0 seed 1, rect-25 seed 1: no reference row"


def test_each_origin_of_the_data_has_separate_rows(dae: Dae, done: Path, tiny_data: Path) -> None:
    rows = take_as_reference(done)
    other = write_other_rect(Path("other"), tiny_data / "rect.npz")
    words = ("replicate", "tiny", "--data-dir", other, "--out", "others")
    ended = dae(*words).succeeded()
    assert ended.lines[-2] == "0 of 2 runs identical to the reference"
    assert "rect-0 seed 0, rect-25 seed 0: probably due to other data" in ended.lines[-1]
    others = [{name: row[name] for name in COLUMNS} for row in read_csv(Path("others/runs.csv"))]
    write_reference(rows + others)
    assert dae(*words).succeeded().lines[-1] == IDENTICAL
    assert dae("replicate", "tiny").succeeded().lines[-1] == IDENTICAL
    assert dae("verify", "others", "--data-dir", other).succeeded().lines[-1] == IDENTICAL


def test_changed_settings_are_the_reason_for_every_run(dae: Dae, done: Path) -> None:
    take_as_reference(done)
    lines = dae("replicate", "tiny", "--set", "pretrain.epochs=1").succeeded().lines
    assert lines[-2:] == [
        "0 of 2 runs identical to the reference",
        "  rect-0 seed 0, rect-25 seed 0: probably due to other settings",
    ]


def test_a_malformed_file_of_reference_rows_is_refused(dae: Dae, done: Path) -> None:
    Path("experiments/tiny/reference.csv").write_text("cell\n")
    dae("replicate", "tiny").failed(2, "experiments/tiny/reference.csv:1")


# `make results` in a clone, which has the committed rows but no run folders.


@pytest.mark.parametrize("wrong", ["as the reference", "another"])
def test_committed_rows_of_other_data_are_replaced_and_the_runs_are_identical(
    dae: Dae, done: Path, tiny_data: Path, wrong: str
) -> None:
    other = write_other_rect(Path("other"), tiny_data / "rect.npz")
    dae("replicate", "tiny", "--data-dir", other, "--out", "others").succeeded()
    committed, others = read_csv(done / "runs.csv"), read_csv(Path("others/runs.csv"))
    write_reference([{name: row[name] for name in COLUMNS} for row in (*committed, *others)])
    if wrong == "another":
        committed[0]["n_wrong"] = str(int(committed[0]["n_wrong"]) + 1)
        write_csv(
            done / "runs.csv", [list(row) for row in (committed[0], *map(dict.values, committed))]
        )
    shutil.rmtree(done / "runs")
    ended = dae("replicate", "tiny", "--data-dir", other)
    if wrong == "another":
        ended.failed(2, "rect-0 seed 0", "--replace")
        return
    assert (
        "results/tiny: your runs replace reference rows in these tables (rect-0 seed 0, "
        "rect-25 seed 0); reference.csv does not change"
    ) in ended.message
    assert "would be removed" not in ended.message
    assert ended.succeeded().lines[-1] == IDENTICAL
    assert [row["run"] for row in read_csv(done / "runs.csv")] == [row["run"] for row in others]


# `python docs/generate.py --reference FOLDER…`


def test_rows_of_results_folders_become_reference_rows_of_their_study(
    dae: Dae, done: Path, tiny_data: Path
) -> None:
    generate = load_script("generate")
    (row, *_) = take_as_reference(done, n_wrong="0")
    gone = row | {"cell": "gone"}
    other_settings = row | {"config_sha256": "0" * 64, "seed": "9"}
    write_reference([row, gone, other_settings])
    other = write_other_rect(Path("other"), tiny_data / "rect.npz")
    words = ("replicate", "tiny", "--data-dir", other, "--out", "others", "--seeds", "2")
    dae(*words).succeeded()
    generate.write_reference([Path("others"), done])
    found = read_csv(Path("experiments/tiny/reference.csv"))
    assert sorted((r["cell"], r["data_sha256"], r["seed"]) for r in found) == sorted(
        (r["cell"], r["data_sha256"], r["seed"])
        for r in (*read_csv(Path("others/runs.csv")), *read_csv(done / "runs.csv"))
    )
    assert dae("replicate", "tiny").succeeded().lines[-1] == IDENTICAL
    assert dae(*words).succeeded().lines[-1] == "4 of 4 runs identical to the reference"
    table = generate.reference_table("tiny")
    assert sorted((r.cell, r.seeds, r.sd_over_seeds is None) for r in table) == [
        *(("rect-0", "0", True), ("rect-0", "0 1", False)),
        *(("rect-25", "0", True), ("rect-25", "0 1", False)),
    ]
