"""Altered inputs are read, or refused with a message; `python -m tests.fuzz` tries millions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.entry_points.readers import DaeError
from tests.fuzz.run import Attempts, Row, counted, fuzz, write_rows
from tests.fuzz.targets import TARGETS

COLUMNS = "target,inputs,refused,accepted,failures,corpus,edges,seconds,seed,engine,commit"


@pytest.mark.parametrize("of_results", [False, True])
def test_altered_files_are_read_or_refused_with_a_message(
    of_results: bool, done: Path, tmp_path: Path
) -> None:
    targets = [t for t in TARGETS.values() if t.file.startswith("results/") == of_results]
    assert targets
    for target in targets:
        random = Random(target.name)
        inputs = target.inputs(tmp_path)
        for _ in range(target.short):
            target.accepts(target.mutate(random.choice(inputs), random), tmp_path)
        half = inputs[0][: len(inputs[0]) // 2]
        assert not target.accepts(half, tmp_path), target.name
        for data in reversed(inputs):  # the first comes last, so that results end unchanged
            assert target.accepts(data, tmp_path), target.name


def test_failures_are_counted_and_saved_once_per_kind(tmp_path: Path) -> None:
    def reads(path: Path) -> None:
        data = path.read_bytes()
        if data == b"refused":
            raise DaeError("train.amat: no")
        if data == b"names nothing":
            raise DaeError("no")
        if data == b"drives a terminal":
            raise DaeError("train.amat: \x1b[31m")
        if data.startswith(b"fails"):
            raise KeyError(data)

    failures = tmp_path / "failures"
    failures.mkdir()
    attempts = Attempts(replace(TARGETS["amat"], attempt=reads), tmp_path, failures)
    for data in (b"sound", b"refused", b"fails", b"drives a terminal", b"fails again"):
        attempts.attempt(data)
    assert counted(tmp_path) == {"accepted": 1, "refused": 1, "failed": 3, "ways": 2}
    attempts.attempt(b"names nothing")
    assert counted(tmp_path) == {"accepted": 1, "refused": 1, "failed": 4, "ways": 3}
    saved = {path.name: path.read_bytes() for path in failures.glob("*.input")}
    wrong = {1: b"fails", 2: b"drives a terminal", 3: b"names nothing"}
    assert saved == {f"amat-{way}.input": data for way, data in wrong.items()}
    assert "KeyError: b'fails'" in (failures / "amat-1.txt").read_text()


def test_the_table_has_one_row_per_target(tmp_path: Path) -> None:
    row = Row("idx labels", 9, 5, 4, 0, 3, 17, 1.5, 1, "atheris 3", "abc")
    write_rows(tmp_path / "new" / "fuzz.csv", [row])
    line = "idx labels,9,5,4,0,3,17,1.5,1,atheris 3,abc"
    assert (tmp_path / "new" / "fuzz.csv").read_text().splitlines() == [COLUMNS, line]
    committed = Path(__file__).parents[1] / "docs" / "reliability" / "fuzz.csv"
    assert committed.read_text(encoding="utf-8").splitlines()[0] == COLUMNS


def test_a_target_is_fuzzed_in_a_separate_process(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="the extra `fuzz` is not installed")
    row = fuzz("idx labels", 100, 1, tmp_path / "failures", "abc", most_inputs=2000)
    assert (row.target, row.failures, row.seed, row.commit) == ("idx labels", 0, 1, "abc")
    assert row.inputs == row.accepted + row.refused >= 2000
    assert min(row.accepted, row.corpus, row.edges) > 2
    assert list((tmp_path / "failures").iterdir()) == []
