"""How fast these networks are trained, measured beside plain PyTorch and the machine's sgemm.

    python -m benchmarks.engine                  all of it: RESULTS.md, results.csv, the docs' part
    python -m benchmarks.engine --full           the cells of icml2008 whole: hours
    python -m benchmarks.engine --quick --out F  tiny sizes, to try the benchmarks themselves
    python -m benchmarks.engine --only NAME --out F   some measures; files into the folder F
    python -m benchmarks.engine --render         write the pages again from results.csv

RESULTS.md is always of one whole run, hence `--only` and `--quick` write elsewhere.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import figures
from benchmarks.cells import cells
from benchmarks.commands import answers, memory
from benchmarks.epochs import finetuning, large_batches, masks, pretraining, wide_pretraining
from benchmarks.figures import Figure, Table
from benchmarks.growth import growth
from benchmarks.machine import ROOT, about, one_thread
from benchmarks.ours import chosen_engine
from benchmarks.parts import profile
from benchmarks.plan import PLANS, Mode, Plan
from benchmarks.plots import draw
from benchmarks.tables import bar_table
from benchmarks.workers import workers
from benchmarks.writing import results_page, write_pages

RESULTS = ROOT / "benchmarks" / "results.csv"
PERFORMANCE = ROOT / "docs" / "performance.md"


MEASURES: dict[str, Callable[[Plan], list[Figure]]] = {
    "masks": masks,
    "pretraining": pretraining,
    "pretraining-wide": wide_pretraining,
    "finetuning": finetuning,
    "batch-100": large_batches,
    "profile": profile,
    "growth": growth,
    "workers": workers,
    "help": answers,
    "memory": memory,
    "cells": cells,
}


def run(mode: Mode, names: Sequence[str]) -> Table:
    """Measure, each measure in a process of its own, and return the figures."""
    engine = _in_own_process(mode, "engine")
    described = about(mode, engine)
    found: list[Figure] = []
    for name in names:
        started = time.perf_counter()
        for figure in json.loads(_in_own_process(mode, name)):
            found.append(Figure(**figure | {"values": tuple(figure["values"])}))
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return figures.rounded(described, found)


def _in_own_process(mode: Mode, name: str) -> str:
    """Return what a measure prints; libraries read the number of threads when they start."""
    size = [] if mode == "normal" else [f"--{mode}"]
    command = [sys.executable, "-m", "benchmarks.engine", *size, "--measure", name]
    done = subprocess.run(command, cwd=ROOT, env=one_thread(), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"measuring {name} failed with exit code {done.returncode}")
    return done.stdout.strip()


def _measure(mode: Mode, name: str) -> str:
    if name == "engine":
        return chosen_engine()
    return json.dumps([asdict(figure) for figure in MEASURES[name](PLANS[mode])])


def write(table: Table, out: Path | None) -> None:
    """Write the figures and the pages: those of the repository, or all into a folder."""
    if out is None:
        figures.write(table, RESULTS)
        draw(table, PERFORMANCE.with_suffix(""))
        write_pages(table, RESULTS.with_name("RESULTS.md"), PERFORMANCE)
    else:
        figures.write(table, out / "results.csv")
        draw(table, out)
        (out / "RESULTS.md").write_text(results_page(table), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks, or, in a child process, one measure."""
    asked = _parser().parse_args(arguments)
    mode: Mode = asked.mode
    if asked.measure:
        print(_measure(mode, asked.measure))
        return
    if asked.render:
        write(figures.read(RESULTS), None)
        return
    if (asked.only or mode == "quick") and asked.out is None:
        raise SystemExit("--only and --quick need --out FOLDER: RESULTS.md is of a whole run")
    table = run(mode, asked.only or list(MEASURES))
    write(table, asked.out)
    print(bar_table(table))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    how = parser.add_mutually_exclusive_group()
    for name, text in (("quick", "tiny sizes"), ("full", "the cells of icml2008 whole: hours")):
        how.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    how.add_argument("--render", action="store_true", help="measure nothing, write the pages")
    parser.add_argument("--only", action="append", choices=MEASURES, help="repeatable")
    parser.add_argument("--out", type=Path, help="folder for the files")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.set_defaults(mode="normal")
    return parser


if __name__ == "__main__":
    main()
