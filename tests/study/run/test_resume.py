"""A run that was stopped, wherever, goes on to the same bits as one that was not."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dae_cli.engines.choice import can_be_had
from dae_cli.engines.names import EngineName
from dae_cli.files import part_of
from dae_cli.study.progress import Position, Silent
from dae_cli.study.run import execute as execute_module
from dae_cli.study.run import keeper, which_engine
from dae_cli.study.run.execute import execute
from dae_cli.study.run.folder import CHECKPOINT, METRICS, Job, PlannedRun
from dae_cli.study.run.which_engine import settled

MakeJob = Callable[..., Job]


class Interrupting(Silent):
    """Interrupts at the n-th position it hears, as Ctrl-C would."""

    def __init__(self, at: int) -> None:
        self.left = at

    def moved(self, run: str, position: Position) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _tell_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "STATUS_SECONDS", 0.0)


@pytest.fixture(scope="module")
def uninterrupted(in_process: Any) -> Path:
    """The folder of the run that was never stopped."""
    folder: Path = in_process.folder("convex-25")
    return folder


def _same_bits(folder: Path, other: Path) -> None:
    for name in (CHECKPOINT, METRICS, "config.yaml", "filters.png"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


# Positions: 0 the start, 1-2 layer 1, 3-4 layer 2, 5-12 fine-tuning, 13 the test.
@pytest.mark.parametrize(
    ("seconds", "at"),
    [*((0.0, at) for at in (0, 1, 2, 3, 5, 6, 9, 12, 13)), *((1e9, at) for at in (3, 4, 8))],
)
def test_the_same_bits_wherever_it_was_stopped(
    make_job: MakeJob,
    uninterrupted: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    at: int,
) -> None:
    monkeypatch.setattr(keeper, "LEAST_SECONDS", seconds)
    monkeypatch.setattr(keeper, "MOST_SECONDS", seconds)
    job = make_job()
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(at), "dae")
    assert job.state() == ("stopped" if at else "new")
    assert not job.folder.exists()
    row = execute(job, Silent(), "dae")
    assert row.error == ""
    _same_bits(job.folder, uninterrupted)


@pytest.mark.parametrize("engine", ["blas", "compiled"])
def test_the_same_bits_with_the_engine_it_was_begun_with(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EngineName
) -> None:
    if not can_be_had(engine):
        pytest.skip(f"the engine {engine} cannot be had here")
    monkeypatch.setattr(keeper, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(keeper, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(which_engine, "fastest_engine", lambda _: "torch")
    whole, job = (replace(make_job(runs), engine=engine) for runs in (tmp_path / "whole", None))
    execute(whole, Silent(), "dae")
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(6), "dae")
    (again,) = settled([PlannedRun(make_job(), "stopped", "auto")], Silent())
    execute(again, Silent(), "dae")
    _same_bits(job.folder, whole.folder)


def test_stopped_again_and_again_it_still_ends_at_the_same_bits(
    make_job: MakeJob, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(keeper, "MOST_SECONDS", 0.0)
    job = make_job()
    stops = 0
    while job.state() != "done":
        try:
            execute(job, Interrupting(2), "dae")
        except KeyboardInterrupt:
            stops += 1
    assert stops > 5
    _same_bits(job.folder, uninterrupted)


@pytest.mark.parametrize("last_step", ["draw_run_filters", "done_row"])
def test_stopped_while_the_folder_is_being_finished(
    make_job: MakeJob, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch, last_step: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    job = make_job()
    with monkeypatch.context() as patch:
        patch.setattr(execute_module, last_step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            execute(job, Silent(), "dae")
    if job.state() == "stopped":
        execute(job, Silent(), "dae")
    assert job.state() == "done"
    _same_bits(job.folder, uninterrupted)


def test_killed_before_the_rename_the_run_is_only_renamed(
    make_job: MakeJob, uninterrupted: Path
) -> None:
    job = make_job()
    execute(job, Silent(), "dae")
    job.folder.rename(job.partial)  # its status says done
    assert job.state() == "stopped"
    execute(job, Silent(), "dae")
    _same_bits(job.folder, uninterrupted)


def test_what_a_killed_process_left_half_written_goes(
    make_job: MakeJob, uninterrupted: Path
) -> None:
    job = make_job()
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(4), "dae")
    (job.partial / ".status.json@elsewhere-123-0a0b0c0d.part").write_text("{")
    part_of(job.partial / CHECKPOINT).write_bytes(b"half")
    execute(job, Silent(), "dae")
    assert {p.name for p in job.folder.iterdir()} == {p.name for p in uninterrupted.iterdir()}
    _same_bits(job.folder, uninterrupted)


def test_going_on_is_told_and_begins_at_the_checkpoint(make_job: MakeJob, recorder: Any) -> None:
    job = make_job()
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(3), "dae")
    execute(job, recorder, "dae")
    assert recorder.events[0] == ("started", job.name, True)
    first = recorder.positions(job.name)[0]
    assert (first.phase, first.layer, first.epoch) == ("pretrain", 2, 0)
    assert 0 < first.fraction < 1


def test_the_metrics_of_a_stopped_run_go_as_far_as_its_checkpoint(make_job: MakeJob) -> None:
    job = make_job()
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(3), "dae")
    with (job.partial / METRICS).open(newline="") as file:
        places = [(row["layer"], row["epoch"]) for row in csv.DictReader(file)]
    assert places == [("1", "1"), ("1", "2")]
    assert json.loads((job.partial / "status.json").read_text())["state"] == "running"


def test_the_minutes_are_kept_where_a_session_fails_before_it_reads_the_checkpoint(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(3), "dae")
    path = job.partial / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"minutes": 60.0}))

    def fail(*_: object) -> None:
        raise MemoryError("none left")

    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "load", fail)
        failed = execute(job, Silent(), "dae")
    assert "the memory ran out" in failed.error
    assert failed.minutes is not None and failed.minutes >= 60.0
    row = execute(job, Silent(), "dae")
    assert row.error == ""
    assert row.minutes is not None and row.minutes >= 60.0


def test_the_minutes_of_all_sessions_are_added(make_job: MakeJob) -> None:
    job = make_job()
    with pytest.raises(KeyboardInterrupt):
        execute(job, Interrupting(3), "dae")
    path = job.partial / "status.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"minutes": 60.0}))
    row = execute(job, Silent(), "dae")
    assert row.minutes is not None
    assert 60.0 < row.minutes < 61.0
