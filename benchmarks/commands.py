"""What a user meets: how fast the command line answers, how much memory a worker takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.figures import Figure
from benchmarks.machine import ROOT, default_threads, one_thread
from benchmarks.plan import HELP, MEMORY, Plan
from benchmarks.rounds import Turn, take_turns

OUR_HELP = "dae --help"
BARE_HELP = 'python -c "import typer, rich"'
STACK = "dae train, 784-1000-1000-1000"


def dae() -> str:
    """Return the path of the command that belongs to this interpreter."""
    path = Path(sys.executable).with_name("dae")
    if not path.exists():
        raise SystemExit(f"{path} is not there: install the package into this environment")
    return str(path)


def seconds_of(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Run a command to its end and return how long it took.

    Raises:
        SystemExit: it failed; what it wrote is told.
    """
    started = perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    seconds = perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return seconds


def answers(plan: Plan) -> list[Figure]:
    """Time `dae --help` beside the imports that no such command can do without."""
    env = default_threads()
    turns: dict[str, Turn] = {
        OUR_HELP: partial(seconds_of, [dae(), "--help"], env),
        BARE_HELP: partial(seconds_of, [sys.executable, "-c", "import typer, rich"], env),
    }
    values = take_turns(turns, plan.help_rounds)
    return [Figure(HELP, name, "s", "", values[name]) for name in turns]


def memory(plan: Plan) -> list[Figure]:
    """Measure the peak memory of a run on rect-img, all of its rows, an epoch of each phase."""
    settings = ["pretrain.epochs=1", "finetune.max_epochs=1"]
    if plan.mode == "quick":
        settings += [f"subset.{split}=50" for split in ("train", "valid", "test")]
    with tempfile.TemporaryDirectory() as folder:
        command = [dae(), "train", "icml2008/rect-img-25", "--out", folder, "--quiet"]
        command += [word for setting in settings for word in ("--set", setting)]
        process = subprocess.Popen(command, cwd=ROOT, env=one_thread(), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    mebibytes = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return [Figure(MEMORY, STACK, "MiB", "1", (mebibytes,))]
