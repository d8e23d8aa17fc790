"""Measure training speed and compare it with plain PyTorch; writes RESULTS.md and results.csv."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks import measure, results
from dae_cli.engines.engine import default_engine
from dae_cli.study.run.run import use_one_thread


def main() -> None:
    """Run the benchmarks; keeps the last results of other kinds of processors."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="rounds to take medians over")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="output folder")
    parser.add_argument("--study", default="icml2008", help="study for timing whole cells")
    parser.add_argument(
        "--experiment", default="icml2008/rect-img-25", help="experiment for measuring memory"
    )
    parser.add_argument(
        "--engine", choices=("compiled", "torch"), help="engine (default: as for auto)"
    )
    asked = parser.parse_args()
    cpu = torch.device("cpu")
    engine = asked.engine or default_engine(cpu, print)
    kind, machine = results.this_machine(engine)
    use_one_thread()
    figures = [machine, measure.memory(asked.experiment, engine)]
    for widths in measure.TRAINED:
        figures += measure.steps(widths, engine, cpu, asked.rounds)
    figures += measure.cells(asked.study, engine)
    results.write(asked.out, results.read(asked.out / "results.csv") | {kind: figures})


if __name__ == "__main__":
    main()
