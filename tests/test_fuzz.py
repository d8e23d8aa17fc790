"""Altered inputs are read or refused in plain words; `python -m tests.fuzz` tries millions."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from dae_cli.errors import DataError
from tests.fuzz.attempts import Attempts, Counts, counted
from tests.fuzz.mutations import WORDS, bytes_and, zip_and
from tests.fuzz.run import fuzz, write_rows
from tests.fuzz.samples import archives
from tests.fuzz.targets import TARGETS

INPUTS = 250


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_to_start_from_are_accepted(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    assert all(target.accepts(data, tmp_path) for data in target.inputs())


@pytest.mark.parametrize("name", TARGETS)
def test_altered_inputs_are_read_or_refused_in_plain_words(name: str, tmp_path: Path) -> None:
    target, random = TARGETS[name], Random(0)
    inputs = list(target.inputs())
    accepted = 0
    for _ in range(INPUTS):
        accepted += target.accepts(target.mutate(random.choice(inputs), random), tmp_path)
    assert accepted < INPUTS


def test_altered_members_come_with_the_right_checksum() -> None:
    mutate, random = zip_and(bytes_and(WORDS["text"])), Random(0)
    sound = 0
    for _ in range(100):
        try:
            with zipfile.ZipFile(io.BytesIO(mutate(archives()[0], random))) as archive:
                sound += archive.testzip() is None
        except Exception:  # of those whose own bytes were altered
            continue
    assert sound > 50


def test_what_fails_is_counted_and_kept_once_for_each_way(tmp_path: Path) -> None:
    def reads(data: bytes, folder: Path) -> None:
        if data == b"refused":
            raise DataError("no")
        if data == b"drives a terminal":
            raise DataError("\x1b[31m")
        if data.startswith(b"fails"):
            raise KeyError(data)

    failures = tmp_path / "failures"
    failures.mkdir()
    attempts = Attempts(replace(TARGETS["amat"], attempt=reads), tmp_path, failures)
    for data in (b"accepted", b"refused", b"fails", b"drives a terminal", b"fails again"):
        attempts.attempt(data)
    assert counted(tmp_path) == Counts(accepted=1, refused=1, failed=3, ways=2)
    kept = {path.name: path.read_bytes() for path in failures.glob("*.input")}
    assert kept == {"amat-1.input": b"fails", "amat-2.input": b"drives a terminal"}
    assert "KeyError: b'fails'" in (failures / "amat-1.txt").read_text()


def test_a_target_is_fuzzed_in_a_process_of_its_own_and_told_in_a_row(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="the extra `fuzz` is not installed")
    row = fuzz("idx labels", 100, 1, tmp_path / "failures", "abc", most_inputs=2000)
    assert (row.target, row.failures, row.seed, row.commit) == ("idx labels", 0, 1, "abc")
    assert row.inputs == row.accepted + row.refused >= 2000
    assert min(row.accepted, row.corpus, row.edges) > 2
    assert list((tmp_path / "failures").iterdir()) == []
    write_rows(tmp_path / "fuzz.csv", [row])
    with (tmp_path / "fuzz.csv").open(newline="") as file:
        (told,) = csv.DictReader(file)
    assert (told["target"], told["inputs"], told["failures"]) == (
        "idx labels",
        str(row.inputs),
        "0",
    )
