"""A clock that jumps: back by hours or ahead by days, each time anybody looks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dae_cli.files import part_of, sweep
from dae_cli.study.rows import RunRow, read_rows

Run = Callable[..., Any]
REPLICATE = ("replicate", "tiny", "--engine", "torch")

# Python runs it at its start, in the command and in every worker.
JUMPING = """
    import datetime, os, time
    step, sound = float(os.environ["CLOCK_STEP"]), time.time
    looks = 0
    def jumping():
        global looks
        looks += 1
        return sound() + looks * step
    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(jumping(), tz)
    time.time, time.time_ns = jumping, lambda: int(jumping() * 1e9)
    datetime.datetime = Jumping
"""


@pytest.fixture
def jumping(tmp_path: Path) -> dict[str, str]:
    """The environment in which Python's clock jumps."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(JUMPING))
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path)}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("-7200", id="back by hours"),
        pytest.param("172800", id="ahead by days", marks=pytest.mark.slow),
    ],
)
def test_a_clock_that_jumps_changes_no_result(
    child: Run, study: Any, jumping: dict[str, str], step: str
) -> None:
    program = "import time, datetime; a = time.time(), time.time(); print(a[1] - a[0])"
    environment = {**jumping, "CLOCK_STEP": step}
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
    assert abs(float(shown.stdout) - float(step)) < 60

    ended = child(*REPLICATE, "--jobs", "2", environment=environment)
    ended.told(0)
    out = Path("results/tiny")
    study.assert_same(out)
    assert all(0 <= (row.minutes or 0) < 5 for row in read_rows(out / "runs.csv", RunRow))


@pytest.fixture
def living() -> Iterator[int]:
    """The id of another process of this machine, which goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        yield process.pid


def left_by(process: int, folder: Path) -> Path:
    """A temporary file of a process, as `part_of` names it."""
    name = part_of(folder / "file").name
    left = folder / name.replace(f"-{os.getpid()}-", f"-{process}-")
    left.write_bytes(b"half")
    return left


def test_what_a_living_process_writes_is_in_use_however_old_it_looks(
    tmp_path: Path, living: int
) -> None:
    left = left_by(living, tmp_path)
    days_ago = time.time() - 10 * 24 * 3600
    os.utime(left, (days_ago, days_ago))
    sweep(tmp_path)
    assert left.exists()


def test_what_a_gone_process_left_is_swept_though_the_clock_went_back(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = left_by(process.pid, tmp_path)
    in_an_hour = time.time() + 3600
    os.utime(left, (in_an_hour, in_an_hour))
    sweep(tmp_path)
    assert not left.exists()


@pytest.mark.slow
def test_a_command_whose_clock_is_days_ahead_leaves_the_files_of_another_alone(
    child: Run, study: Any, jumping: dict[str, str], living: int
) -> None:
    runs = Path("results/tiny/runs")
    runs.mkdir(parents=True)
    left = left_by(living, runs)
    child(*REPLICATE, "--jobs", "1", environment={**jumping, "CLOCK_STEP": "172800"}).told(0)
    assert left.read_bytes() == b"half"
