"""How fast the text files are read: dae beside pandas, on a file in the original format.

Each reading happens in a process of its own, the readers taking turns, so that what else the
machine does hits all of them alike and each has its own peak of memory.

    python benchmarks/read_text.py [--rows 50000] [--repeats 3] [--csv FILE] [--folder FOLDER]

The table is printed and written to ``read_text.csv`` beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Read = Callable[[Path, int], Any]
BAR_TIMES = 3.0
BAR_PEAK_GIB = 1.5
PANDAS = "pandas.read_csv(sep=r'\\s+')"
FLOAT32 = "pandas.read_csv(sep=r'\\s+', engine='c', dtype='float32')"
ONE_BLANK = "pandas.read_csv(sep=' ', skipinitialspace=True, dtype='float32')"


@dataclass(frozen=True)
class Reading:
    """One reading in a process of its own."""

    seconds: float
    peak_mib: float
    checksum: int
    """Sum of all grey levels and labels: the same for every reader."""


def write_text(path: Path, rows: int, seed: int = 0) -> None:
    """Write random grey levels k/255 and labels 0 or 1, printed as the originals are."""
    random = np.random.default_rng(seed)
    levels = _fields(np.arange(256) / 255)
    labels = _fields(np.arange(2.0))
    with path.open("wb") as stream:
        for start in range(0, rows, 1000):
            n = min(1000, rows - start)
            block = np.full((n, 785 * 16 + 1), ord("\n"), dtype=np.uint8)
            pixels = random.integers(0, 256, (n, 784), dtype=np.uint8)
            block[:, : 784 * 16] = levels[pixels].reshape(n, -1)
            block[:, 784 * 16 : -1] = labels[random.integers(0, 2, n)]
            stream.write(block.tobytes())


def _fields(values: np.ndarray) -> np.ndarray:
    text = "".join(f"{value:16.7e}" for value in values).encode()
    return np.frombuffer(text, dtype=np.uint8).reshape(-1, 16)


def read_with_dae(path: Path, rows: int) -> Any:
    """Pixels (rows, 784) uint8 and labels (rows,), every value checked."""
    from dae_cli.data.readers.text import read_rows
    from dae_cli.data.registry import REGISTRY

    spec = replace(REGISTRY["rect-img"], n_test=rows)
    with path.open("rb") as stream:
        return read_rows(stream, spec, rows, str(path))


def _read_with_pandas(**options: Any) -> Read:
    def read(path: Path, _: int) -> Any:
        import pandas

        return pandas.read_csv(path, header=None, **options)

    return read


READERS: dict[str, Read] = {
    "dae": read_with_dae,
    PANDAS: _read_with_pandas(sep=r"\s+"),
    FLOAT32: _read_with_pandas(sep=r"\s+", engine="c", dtype=np.float32, low_memory=False),
    ONE_BLANK: _read_with_pandas(sep=" ", skipinitialspace=True, engine="c", dtype=np.float32),
}


def measure(name: str, path: Path, rows: int) -> Reading:
    """Read once in this process; meant for one that did nothing before."""
    import resource

    read = READERS[name]
    tiny = path.with_name("tiny.amat")  # imports and first calls are not what is measured
    read(tiny, 2)
    started = time.perf_counter()
    content = read(path, rows)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Reading(seconds, peak_mib, _checksum(content))


def _checksum(content: Any) -> int:
    if isinstance(content, tuple):
        pixels, labels = content
        return int(pixels.sum(dtype=np.int64)) + int(labels.sum(dtype=np.int64))
    values = content.to_numpy()
    blocks = (values[start : start + 1000] for start in range(0, len(values), 1000))
    scale = np.append(np.full(784, 255.0), 1.0)
    return sum(int(np.rint(block * scale).sum()) for block in blocks)


def compare(rows: int, repeats: int, folder: Path | None) -> dict[str, list[Reading]]:
    """Read a new file with every reader in turn, ``repeats`` times."""
    readings: dict[str, list[Reading]] = {name: [] for name in READERS}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "rows.amat"
        write_text(path, rows)
        write_text(path.with_name("tiny.amat"), 2)
        for _ in range(repeats):
            for name, done in readings.items():
                done.append(_in_own_process(name, path, rows))
    if len({reading.checksum for done in readings.values() for reading in done}) != 1:
        raise SystemExit("the readers disagree about the content")
    return readings


def _in_own_process(name: str, path: Path, rows: int) -> Reading:
    command = [sys.executable, __file__, "--measure", name, str(path), "--rows", str(rows)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | threads, stdout=subprocess.PIPE, check=True)
    return Reading(**json.loads(done.stdout))


def table(readings: dict[str, list[Reading]], rows: int) -> list[dict[str, Any]]:
    """One row per reader, with what the figures depend on."""
    megabytes = rows * (785 * 16 + 1) / 1e6
    base = statistics.median(reading.seconds for reading in readings["dae"])
    lines = []
    for name, done in readings.items():
        seconds = statistics.median(reading.seconds for reading in done)
        lines.append(
            {
                "reader": name,
                "rows": rows,
                "megabytes": round(megabytes, 1),
                "median_seconds": round(seconds, 3),
                "seconds": " ".join(f"{reading.seconds:.3f}" for reading in done),
                "megabytes_per_second": round(megabytes / seconds, 1),
                "times_as_long_as_dae": round(seconds / base, 2),
                "peak_mib": round(max(reading.peak_mib for reading in done), 1),
                "threads": 1,
                "cpu": _cpu(),
                "cores": os.cpu_count(),
                "system": platform.platform(terse=True),
                "python": platform.python_version(),
                "numpy": version("numpy"),
                "pandas": version("pandas"),
            }
        )
    return lines


def _cpu() -> str:
    try:
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line for line in about.splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.processor()


def show(lines: Sequence[dict[str, Any]]) -> None:
    """Print the table, and whether the bars are met."""
    print(f"{lines[0]['rows']} rows, {lines[0]['megabytes']} MB, one thread, {lines[0]['cpu']}")
    print(f"{'reader':<66}{'seconds':>9}{'MB/s':>9}{'dae = 1':>9}{'peak MiB':>10}")
    for line in lines:
        print(
            f"{line['reader']:<66}{line['median_seconds']:>9.2f}{line['megabytes_per_second']:>9.0f}"
            f"{line['times_as_long_as_dae']:>9.2f}{line['peak_mib']:>10.0f}"
        )
    times = next(line["times_as_long_as_dae"] for line in lines if line["reader"] == PANDAS)
    least = min(line["times_as_long_as_dae"] for line in lines if line["reader"] != "dae")
    peak = next(line["peak_mib"] for line in lines if line["reader"] == "dae") / 1024
    print(f"{times:.1f} times as fast as {PANDAS} (bar: {BAR_TIMES:g}), {least:.1f} as its best")
    print(f"peak memory {peak:.2f} GiB (bar: {BAR_PEAK_GIB:g})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison, or, for a child process, one reading."""
    parser = argparse.ArgumentParser(description="How fast the text files are read.")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--folder", type=Path, help="where the file is written for the while")
    parser.add_argument("--measure", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.measure:
        name, path = asked.measure
        print(json.dumps(vars(measure(name, Path(path), asked.rows))))
        return
    lines = table(compare(asked.rows, asked.repeats, asked.folder), asked.rows)
    show(lines)
    with asked.csv.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


if __name__ == "__main__":
    main()
