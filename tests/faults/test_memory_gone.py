"""Memory that runs out: refused by the system, or taken by the kernel with the process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dae_cli.study.rows import RunRow, read_rows

resource = pytest.importorskip("resource")

Run = Callable[..., Any]
REPLICATE = ("replicate", "tiny", "--engine", "torch")


def enlarge(level: int, hidden: str) -> None:
    """Give one cell of the study other layers."""
    cell = Path(f"experiments/tiny/rect-{level}.yaml")
    cell.write_text(f"{cell.read_text()}model: {{hidden: {hidden}}}\n")


def limit() -> None:
    """For `child(prepare=…)`: room for the libraries, not for 4 GB of weights."""
    resource.setrlimit(resource.RLIMIT_AS, (6 * 10**9, 6 * 10**9))


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_memory_that_is_refused_fails_the_run_with_a_remedy_and_the_other_is_done(
    child: Run, study: Any, workers: str
) -> None:
    enlarge(25, "[30000, 30000]")
    ended = child(*REPLICATE, "--jobs", workers, prepare=limit)
    ended.told(1, "failed", "the memory ran out (", "fewer --jobs or smaller layers need less")
    assert "1 done, 0 skipped, 1 failed" in ended.out
    out = Path("results/tiny")
    study.assert_valid(out)
    well, ill = read_rows(out / "runs.csv", RunRow)
    assert well.error == "" and ill.error.startswith("the memory ran out")
    sound = study.sound / "runs" / well.run / "checkpoint.safetensors"
    assert (out / "runs" / well.run / sound.name).read_bytes() == sound.read_bytes()


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group for memory, version 1 or 2."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        group = root / f"dae-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if _limits(group):
                yield group
                return
        finally:
            _remove(group)
    pytest.skip("no control group for memory can be made here")


def _limits(group: Path) -> list[Path]:
    names = ("memory.limit_in_bytes", "memory.max")
    return [group / name for name in names if (group / name).exists()]


def _kills(group: Path) -> int:
    """Return how many processes of a group the kernel has killed for memory."""
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            told = dict(line.split() for line in (group / name).read_text().splitlines())
            return int(told["oom_kill"])
    return 0


def _remove(group: Path) -> None:
    for _ in range(100):
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)  # until its last process is gone


def test_a_worker_that_the_kernel_kills_for_memory_fails_its_run_and_the_other_is_done(
    child: Run, study: Any, memory_group: Path
) -> None:
    enlarge(25, "[9000, 9000]")

    def join() -> None:
        _limits(memory_group)[0].write_text(str(900 * 2**20))
        for more in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with suppress(OSError):
                (memory_group / more).write_text(str(900 * 2**20 if "memsw" in more else 0))
        (memory_group / "cgroup.procs").write_text(str(os.getpid()))

    ended = child(*REPLICATE, "--jobs", "2", prepare=join)
    assert _kills(memory_group) > 0
    ended.told(1, "a worker process was killed, perhaps because the memory ran out")
    assert "1 done, 0 skipped, 1 failed" in ended.out
    out = Path("results/tiny")
    study.assert_valid(out)
    well, ill = read_rows(out / "runs.csv", RunRow)
    assert well.error == "" and "smaller layers need less memory" in ill.error
    sound = study.sound / "runs" / well.run / "checkpoint.safetensors"
    assert (out / "runs" / well.run / sound.name).read_bytes() == sound.read_bytes()
