"""Steps of the engine torch on CUDA beside plain PyTorch there, in less than five minutes."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import torch

from benchmarks import measure, results

SECONDS = 200.0  # after which nothing new is begun; what is compiled then may take a minute more


def main() -> None:
    """Print, or write, what is measured; exit code 2 where there is no such device."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cpu: to try this script")
    parser.add_argument("--rounds", type=int, default=21, help="medians are over so many")
    parser.add_argument("--out", type=Path, help="folder for results.csv and RESULTS.md")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, f"torch {torch.__version__} sees no CUDA device here\n")
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
