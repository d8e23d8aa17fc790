"""`--engine` and `--device`: what is taken, recorded, told and refused, by both commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from dae_cli.commands.console import Lines
from dae_cli.engines import choice
from dae_cli.errors import ConfigError
from dae_cli.study.progress import Position
from dae_cli.study.rows import RunRow, read_rows

if TYPE_CHECKING:
    from tests.commands.conftest import Ended

    Dae = Callable[..., Ended]

BOTH = pytest.mark.parametrize("command", [("train", "tiny/rect-0"), ("replicate", "tiny")])
FIGURES = {"torch": 3.0, "blas": 2.0, "compiled": 2.5}


@pytest.fixture(autouse=True)
def _no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def without_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the kernels cannot be compiled."""

    def none() -> None:
        raise ConfigError("--engine compiled: not here; use --engine auto")

    monkeypatch.setattr("dae_cli.engines.engine._compiled", none)


def _environment(results: Path, cell: str = "rect-25") -> dict[str, Any]:
    """The environment.json of the only run of a cell, whole or not."""
    level = cell.removeprefix("rect-")
    (path,) = results.glob(f"runs/rect-*-{level}-*/environment.json")
    environment: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return environment


def _stop(dae: Dae, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """Train tiny/rect-25 up to its last checkpoint."""

    def stopped(watcher: Lines, run: str, position: Position) -> None:
        if position.phase == "test":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Lines, "moved", stopped)
        assert dae("train", "tiny/rect-25", *options).code == 130


@pytest.mark.parametrize("options", [(), ("--device", "cpu"), ("--device", "auto")])
def test_a_run_records_the_engine_that_was_asked_for(
    dae: Dae, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ended = dae("train", "tiny/rect-25", "--engine", "blas", *options)
    assert ended.code == 0, ended.err
    environment = _environment(tmp_path / "results/tiny")
    assert (environment["engine"], environment["device"]) == ("blas", "cpu")


def test_a_study_has_the_engine_in_its_tables_and_its_report(dae: Dae, tmp_path: Path) -> None:
    ended = dae("replicate", "tiny", "--engine", "blas", "--jobs", "2")
    assert ended.code == 0, ended.err
    results = tmp_path / "results/tiny"
    assert [row.engine for row in read_rows(results / "runs.csv", RunRow)] == ["blas", "blas"]
    assert "one thread a run, engine blas.\n" in (results / "REPORT.md").read_text(encoding="utf-8")


def test_auto_takes_the_fastest_and_tells_the_figures_once(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(names: Sequence[str]) -> dict[str, float]:
        return {name: FIGURES[name] for name in names if name != "compiled"}

    monkeypatch.setattr(choice, "_measure", measure)
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    first = dae("replicate", "tiny", "--jobs", "1")
    assert first.err.count("engine: blas (2.0 ms a step; torch 3.0)\n") == 1
    assert _environment(tmp_path / "results/tiny")["engine"] == "blas"
    second = dae("replicate", "tiny", "--jobs", "1", "--force")
    assert second.code == 0
    assert "ms a step" not in second.err
    assert _environment(tmp_path / "results/tiny")["engine"] == "blas"


@pytest.mark.parametrize("options", [("--dry-run",), ()])
def test_nothing_is_measured_where_nothing_is_computed(
    dae: Dae, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    def measure(_: Sequence[str]) -> dict[str, float]:
        raise AssertionError("measured")

    monkeypatch.setattr(choice, "_measure", measure)
    monkeypatch.setenv("DAE_CACHE_DIR", str(tmp_path / "cache"))
    ended = dae("replicate", "tiny", *options)
    assert (ended.code, "ms a step" in ended.err) == (0, False)


# Going on


def test_a_stopped_run_goes_on_with_its_engine(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop(dae, monkeypatch, "--engine", "blas")
    ended = dae("train", "tiny/rect-25", "--resume")
    assert ended.code == 0, ended.err
    assert "begun with" not in ended.err
    assert _environment(tmp_path / "results/tiny")["engine"] == "blas"


def test_replicate_goes_on_with_the_engine_too(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop(dae, monkeypatch, "--engine", "blas")
    assert dae("replicate", "tiny", "--jobs", "1").code == 0
    rows = read_rows(tmp_path / "results/tiny/runs.csv", RunRow)
    assert [(row.cell, row.engine) for row in rows] == [("rect-0", "torch"), ("rect-25", "blas")]


def test_another_engine_by_name_is_refused(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stop(dae, monkeypatch, "--engine", "blas")
    for command in (("train", "tiny/rect-25", "--resume"), ("replicate", "tiny", "--jobs", "1")):
        ended = dae(*command, "--engine", "torch")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.endswith(
            "rect-25, seed 0: was begun with the engine blas on cpu, not the engine torch\n"
            "  leave --engine out to go on as it was begun, or give --force to start over\n"
        )
    assert _environment(tmp_path / "results/tiny")["engine"] == "blas"
    assert dae("train", "tiny/rect-25", "--resume").code == 0


def test_an_engine_that_is_gone_is_told_with_exit_code_2(
    dae: Dae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_compiled: None
) -> None:
    _stop(dae, monkeypatch, "--engine", "torch")
    (path,) = (tmp_path / "results/tiny/runs").glob("*/environment.json")
    path.write_text('{"engine": "compiled", "device": "cpu"}')
    why = (
        "the run was begun with the engine compiled on cpu, which cannot be had here; "
        f"remove {path.parent} to have it made anew"
    )
    ended = dae("train", "tiny/rect-25", "--resume")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.endswith(f"rect-25, seed 0: {why}\n")
    assert "started" not in ended.err
    ended = dae("replicate", "tiny", "--jobs", "1")
    assert ended.code == 1
    assert f"failed: {why}" in ended.err
    assert "1 done, 0 skipped, 1 failed" in ended.out
    assert dae("train", "tiny/rect-25", "--force").code == 0


# Refused


@BOTH
@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("engine", ["blas", "compiled"])
def test_an_engine_of_the_cpu_on_another_device_is_a_usage_error(
    dae: Dae, command: tuple[str, ...], device: str, engine: str
) -> None:
    ended = dae(*command, "--engine", engine, "--device", device)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: dae ")
    assert (
        f"{engine} runs on the CPU alone; with --device {device} leave it out or give torch"
    ) in ended.err


@BOTH
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_told_before_anything_is_done(
    dae: Dae, command: tuple[str, ...], device: str
) -> None:
    assert dae(*command, "--device", device) == (
        2,
        "",
        f"--device {device}: torch sees no {device.upper()} device here; "
        "use --device cpu or auto\n",
    )


@BOTH
def test_an_engine_that_is_not_there_is_told_before_anything_is_done(
    dae: Dae, command: tuple[str, ...], without_compiled: None
) -> None:
    told = "--engine compiled: not here; use --engine auto\n"
    assert dae(*command, "--engine", "compiled") == (2, "", told)
    assert dae(*command, "--engine", "auto").code == 0


@BOTH
def test_an_unknown_engine_is_a_usage_error(dae: Dae, command: tuple[str, ...]) -> None:
    ended = dae(*command, "--engine", "abacus")
    assert (ended.code, ended.out) == (2, "")
    assert "--engine" in ended.err
    assert "'abacus'" in ended.err
