from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import machine


def test_one_thread_is_asked_of_every_library_and_the_default_of_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("SOMETHING_ELSE", "7")
    assert {machine.one_thread()[name] for name in machine.THREADS} == {"1"}
    assert not set(machine.default_threads()) & set(machine.THREADS)
    assert machine.default_threads()["SOMETHING_ELSE"] == "7"


@pytest.mark.parametrize(
    ("changed", "commit"),
    [("benchmarks/results.csv", "0123"), ("results/x.csv", "0123"), ("Makefile", "0123-dirty")],
)
def test_what_a_run_wrote_does_not_make_the_next_one_dirty(
    changed: str, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    path = tmp_path / changed
    path.parent.mkdir(exist_ok=True)
    path.write_text("new\n", encoding="utf-8")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(machine, "commit", lambda: "0123-dirty")
    assert machine.about("quick", "torch").commit == commit


def test_without_a_compiler_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.compiler() is None
