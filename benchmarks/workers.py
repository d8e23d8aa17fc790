"""Pretraining in several processes at a time, one thread each: what a second core adds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import cast

from benchmarks import ours
from benchmarks.figures import Figure
from benchmarks.machine import ROOT, one_thread
from benchmarks.plan import PLANS, WORKERS, Mode, Plan
from benchmarks.rounds import Turn, take_turns
from dae_cli.machine import cores


def workers(plan: Plan) -> list[Figure]:
    """Measure steps a second of 1, 2, 4, … workers, up to the number of cores."""
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= cores()]
    with _processes(plan.mode, counts[-1]) as processes:
        turns: dict[str, Turn] = {
            str(count): partial(_together, processes[:count], plan.steps) for count in counts
        }
        values = take_turns(turns, plan.rounds)
    return [Figure(WORKERS, name, "steps/s", "1 each", values[name]) for name in turns]


def _together(processes: list[subprocess.Popen[str]], steps: int) -> float:
    """Let every process take its steps at the same time; steps a second of all until the last."""
    started = perf_counter()
    for process in processes:
        _tell(process, str(steps))
    for process in processes:
        _hear(process)
    return len(processes) * steps / (perf_counter() - started)


@contextmanager
def _processes(mode: Mode, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "benchmarks.workers", mode]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=one_thread(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            _hear(process)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"a worker ended with exit code {process.wait()}")


def _work(plan: Plan) -> None:
    """In a worker: take as many steps as each line of the input says."""
    ours.use_one_thread()
    engine = ours.engine(ours.chosen_engine())
    split = ours.synthetic(plan.rows, plan.inputs)
    steps = ours.pretrain(ours.autoencoder(plan.inputs, plan.units), split, 20, engine)
    next(steps)
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            next(steps)
        print("done", flush=True)


if __name__ == "__main__":
    _work(PLANS[cast(Mode, sys.argv[1])])
