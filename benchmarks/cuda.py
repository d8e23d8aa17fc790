"""Compare steps of the engine torch on CUDA with plain PyTorch, in less than five minutes."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import torch

from benchmarks import measure, results

SECONDS = 200.0  # no new measurement starts after this; a compilation may take another minute


def main() -> None:
    """Print the results and optionally write them; exit code 2 if there is no CUDA device."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cpu to test this script")
    parser.add_argument("--rounds", type=int, default=21, help="rounds to take medians over")
    parser.add_argument("--out", type=Path, help="folder for results.csv and RESULTS.md")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, f"torch {torch.__version__} finds no CUDA device\n")
    name = torch.cuda.get_device_name() if asked.device == "cuda" else asked.device
    device, until = torch.device(asked.device), perf_counter() + SECONDS
    figures = [results.this_machine("torch")[1]]
    for widths in measure.TRAINED:
        if perf_counter() < until:
            figures += measure.steps(widths, "torch", device, asked.rounds)
    print(results.section(name, figures))
    if asked.out:
        results.write(asked.out, {name: figures})


if __name__ == "__main__":
    main()
