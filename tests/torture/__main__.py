"""`python -m tests.torture`: kill a study at random moments and report the results."""

from __future__ import annotations

import argparse
import csv
import io
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.torture.kills import ENDS, KILLS, Tally, Torture


def rows(tally: Tally, seed: int) -> dict[str, object]:
    """Return the results of a torture run, by name."""
    return {
        **{f"kills of the {how}": tally.kills[how] for how in KILLS},
        "kills in total": tally.killed,
        **{f"stops by {ENDS[how].name}": tally.kills[how] for how in ENDS},
        "studies completed": tally.studies,
        "of these, with an empty cache": tally.cold,
        "results that differ from an undisturbed study": len(tally.different),
        "rows lost": len(tally.lost),
        "files read during writing": tally.reads,
        "of these, half-written": len(tally.broken),
        "temporary files left": len(tally.left),
        "processes left": len(tally.survivors),
        "wrong exit codes": len(tally.wrong_exits),
        "minutes": f"{tally.seconds / 60:.1f}",
        "seed": seed,
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "commit": commit(),
    }


def processor() -> str:
    """Return the processor's name from the system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """Return the commit of this repository from git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    """Run and return the exit code: 1 if anything was lost, half-written, left or different."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for torture.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dae-torture-") as folder:
        torture = Torture(Path(folder), options.seed, lambda text: print(text, flush=True))
        tally = torture.run(options.kills)
    figures = rows(tally, options.seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["what", "figure"])
    writer.writerows(figures.items())
    if options.out:
        (options.out / "torture.csv").write_text(text.getvalue(), encoding="utf-8")
    print(text.getvalue())
    for failure in tally.failures():
        print(failure, file=sys.stderr)
    return 1 if tally.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
