"""Fuzz every target, write the table, and exit with 1 if anything failed."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.fuzz.run import fuzz, write_rows
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz the targets in turn, each for its share of the time."""
    asked = _arguments()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install -c constraints.txt -e '.[fuzz]'")
        return 2
    names = asked.target or list(TARGETS)
    rows = []
    for name in names:
        seconds = 60 * asked.minutes / len(names)
        row = fuzz(name, seconds, asked.seed, asked.failures, _commit())
        rows.append(row)
        print(
            f"{row.target:<14} {row.inputs:>9} inputs, {row.refused} refused, {row.accepted} "
            f"accepted, {row.edges} edges, {row.failures} failures in {row.seconds:.0f} s",
            flush=True,
        )
    if asked.out is not None:
        print(write_rows(asked.out / "fuzz.csv", rows))
    if any(row.failures for row in rows):
        print(f"failing inputs are in {asked.failures}")
        return 1
    return 0


def _commit() -> str:
    words = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutations; not 0")
    parser.add_argument("--out", type=Path, help="folder for fuzz.csv")
    parser.add_argument(
        "--failures", type=Path, default=Path("build/fuzz"), help="folder for failing inputs"
    )
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only these")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
