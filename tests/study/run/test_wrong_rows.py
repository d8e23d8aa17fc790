"""Which test rows a run got wrong: kept, read strictly, counted again where there are none."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.errors import RunFolderError
from dae_cli.study.run.folder import CHECKPOINT, WRONG_ROWS, Job
from dae_cli.study.run.recount import keep_what_is_missing
from dae_cli.study.run.wrong_rows import keep_wrong_rows, load_wrong_rows
from dae_cli.study.tables.comparisons import MCNEMAR_CSV, read_comparisons, write_comparisons
from tests.fuzz.mutations import WORDS, bytes_and


@pytest.fixture
def wrong() -> NDArray[np.bool_]:
    """Thirteen rows, which fill no whole byte; four of them wrong."""
    rows = np.zeros(13, dtype=np.bool_)
    rows[[0, 3, 8, 12]] = True
    return rows


@pytest.mark.parametrize("n", [1, 7, 8, 9, 13, 5000])
def test_what_was_kept_is_read_back(tmp_path: Path, n: int) -> None:
    rows = np.random.default_rng(n).random(n) < 0.3
    keep_wrong_rows(tmp_path, rows)
    assert (load_wrong_rows(tmp_path, n, int(rows.sum())) == rows).all()


def test_numpy_reads_it_too(tmp_path: Path, wrong: NDArray[np.bool_]) -> None:
    keep_wrong_rows(tmp_path, wrong)
    bits = np.load(tmp_path / WRONG_ROWS, allow_pickle=False)
    assert (np.unpackbits(bits)[:13] == wrong).all()


def _npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, np.zeros(2, np.uint8))
    return file.getvalue()


SOUND = _npy(np.packbits(np.arange(13) < 4))
HUGE = _npy(np.zeros(2, np.uint8)).replace(b"(2,), }", b"(2000000000000,), }")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_npy(np.packbits(np.arange(13) < 5)), "tells of 5 wrong rows, expected 4"),
        (_npy(np.array([240, 1], np.uint8)), "bits are set beyond the 13 test rows"),
        (_npy(np.zeros(3, np.uint8)), "holds uint8 (3,), expected uint8 (2,)"),
        (_npy(np.zeros(2, np.int8)), "holds int8 (2,), expected uint8 (2,)"),
        (_npy(np.array([{}, {}]), allow_pickle=True), "holds object (2,)"),
        (_npy(np.zeros((2, 1), np.uint8)), "holds uint8 (2, 1)"),
        (HUGE, "holds uint8 (2000000000000,)"),
        (SOUND[:-1], "has not the 2 bytes"),
        (SOUND + b"\0", "has not the 2 bytes"),
        (SOUND[:20], "is no .npy file"),
        (_archive(), "is no .npy file"),
        (b"", "is no .npy file"),
    ],
)
def test_anything_else_is_refused_with_the_file(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / WRONG_ROWS).write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        load_wrong_rows(tmp_path, 13, 4)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / WRONG_ROWS))
    assert why in message
    assert "dae replicate counts it again" in message


def test_altered_files_are_read_or_refused_in_plain_words(tmp_path: Path) -> None:
    mutate, random = bytes_and(WORDS["npy"]), Random(0)
    refused = 0
    for _ in range(500):
        (tmp_path / WRONG_ROWS).write_bytes(mutate(SOUND, random))
        try:
            assert load_wrong_rows(tmp_path, 13, 4).sum() == 4
        except RunFolderError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > 250


def test_where_there_is_none_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not there; dae replicate counts it again"):
        load_wrong_rows(tmp_path, 13, 4)


# Of a study that was run


@pytest.fixture
def copied(in_process: Any, tmp_path: Path) -> tuple[Path, list[Job]]:
    """A copy of the results, which a test may damage, and the jobs of its done runs."""
    out = Path(shutil.copytree(in_process.out, tmp_path / "copy"))
    jobs = [
        replace(p.job, folder=out / "runs" / p.job.name)
        for p in in_process.plan.runs
        if p.job.state() == "done"
    ]
    return out, jobs


def test_a_run_keeps_as_many_wrong_rows_as_it_counts(in_process: Any) -> None:
    for row in in_process.outcome.rows:
        if not row.error:
            rows = load_wrong_rows(in_process.out / "runs" / row.run, row.n_test, row.n_wrong)
            assert len(rows) == 200


def test_runs_made_before_are_counted_again_from_their_checkpoint(
    copied: tuple[Path, list[Job]], in_process: Any, recorder: Any
) -> None:
    _, jobs = copied
    before = {job.name: (job.folder / WRONG_ROWS).read_bytes() for job in jobs}
    (jobs[0].folder / WRONG_ROWS).unlink()
    (jobs[1].folder / WRONG_ROWS).write_bytes(b"damaged")
    keep_what_is_missing(jobs, in_process.outcome.rows, recorder)
    assert {job.name: (job.folder / WRONG_ROWS).read_bytes() for job in jobs} == before
    told = [text for what, _, text in recorder.events if what == "note"]
    assert "was not kept when it was made; counted again" in told[0]
    assert "was damaged; counted again" in told[1]
    assert len(told) == 2


def test_a_count_that_comes_out_otherwise_is_left_and_told(
    copied: tuple[Path, list[Job]], in_process: Any, recorder: Any
) -> None:
    _, jobs = copied
    rows = [replace(r, n_wrong=(r.n_wrong or 0) + 1) for r in in_process.outcome.rows[:1]]
    (jobs[0].folder / WRONG_ROWS).unlink()
    keep_what_is_missing(jobs[:1], rows, recorder)
    assert not (jobs[0].folder / WRONG_ROWS).exists()
    (told,) = [text for what, _, text in recorder.events if what == "note"]
    assert f"the run had {rows[0].n_wrong} of 200" in told


def test_without_a_checkpoint_it_is_left_and_told(
    copied: tuple[Path, list[Job]], in_process: Any, recorder: Any
) -> None:
    _, jobs = copied
    for name in (WRONG_ROWS, CHECKPOINT):
        (jobs[0].folder / name).unlink()
    keep_what_is_missing(jobs, in_process.outcome.rows, recorder)
    assert "has no checkpoint.safetensors" in recorder.events[0][2]


def test_the_study_compares_the_same_rows_seed_by_seed(in_process: Any) -> None:
    found = read_comparisons(in_process.out)
    # convex-50 diverged: two cells are left, at two seeds.
    assert [test.key for test in found] == [
        ("convex-0", "convex-25", 0),
        ("convex-0", "convex-25", 1),
    ]
    rows = {row.run: row for row in in_process.outcome.rows}
    for test in found:
        a, b = rows[test.run_a].n_wrong, rows[test.run_b].n_wrong
        assert test.only_a_wrong - test.only_b_wrong == a - b


def test_rows_of_runs_that_are_elsewhere_stay(
    copied: tuple[Path, list[Job]], in_process: Any
) -> None:
    out, _ = copied
    before = (out / MCNEMAR_CSV).read_bytes()
    shutil.rmtree(out / "runs")
    write_comparisons(out, in_process.outcome.rows)
    assert (out / MCNEMAR_CSV).read_bytes() == before
    other = [replace(row, n_wrong=1) if row.seed else row for row in in_process.outcome.rows]
    assert [test.seed for test in write_comparisons(out, other)] == [0]
