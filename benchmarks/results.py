"""Last results on each kind of processor: results.csv, and RESULTS.md generated from it."""

from __future__ import annotations

import csv
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from dae_cli.machine import cores, cpu_name, version_of
from dae_cli.study.run.provenance import commit

LOADER, IN_MEMORY = "PyTorch, DataLoader", "PyTorch, data in memory"
COMPILED, OURS = "PyTorch, torch.compile", "dae"
PRODUCTS, WEIGHTS = "products at the best sgemm", "weights read and written"
HEAD = """\
# Benchmarks

This page shows the last results of `make bench` on each kind of processor, as medians over the
rounds in [results.csv](results.csv). [docs/performance.md](../docs/performance.md) explains how
they are measured.
"""
VECTORS = ("amx", "asimd", "avx", "fma", "neon", "sse", "sve")
# Family, models, name, as in Linux (arch/x86/kernel/cpu/amd.c, intel-family.h).
GENERATIONS = (
    (6, {106, 108}, "Ice Lake"),
    (6, {143}, "Sapphire Rapids"),
    (6, {207}, "Emerald Rapids"),
    (25, {*range(0x10), *range(0x20, 0x60)}, "Zen 3"),
    (25, {*range(0x10, 0x20), *range(0x60, 0xB0)}, "Zen 4"),
    (26, {*range(0x30), *range(0x40, 0x50), *range(0x60, 0x80)}, "Zen 5"),
)


class Figure(NamedTuple):
    """Measurements of one contender, one per round; without values, a remark."""

    measure: str
    contender: str
    unit: str = ""
    values: Sequence[float] = ()


def kind_of_processor(name: str, family: int, model: int) -> str:
    """Return a name for all processors of one generation, such as `AMD EPYC (Zen 5)`.

    Cloud machines often report only the brand. Family and model identify the generation, and
    replace its name if it is unknown.
    """
    plain = " ".join(re.sub(r"\((R|TM)\)|@.*|\bCPU\b|\bProcessor\b", "", name).split())
    known = (each for f, models, each in GENERATIONS if f == family and model in models)
    return f"{plain} ({next(known, f'family {family}, model {model}')})"


def this_machine(engine: str) -> tuple[str, Figure]:
    """Return this processor's kind, and a remark on what the measurements depend on."""
    name, info = cpu_name(), Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    numbers = re.search(r"^cpu family\s*: (\d+)\nmodel\s*: (\d+)$", text, re.MULTILINE)
    kind = kind_of_processor(name, int(numbers[1]), int(numbers[2])) if numbers else name
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    vectors = [word for word in flags[1].split() if word.startswith(VECTORS)] if flags else []
    libraries = ", ".join(f"{each} {version_of(each)}" for each in ("torch", "numpy", "numba"))
    which = f"family {numbers[1]}, model {numbers[2]}" if numbers else "family and model unknown"
    remark = (
        f"{datetime.now(UTC).date()}, commit {commit() or 'unknown'}, engine {engine}; {name}, "
        f"{which}, {cores()} cores, "
        f"{' '.join(sorted(set(vectors)))}; {platform.platform(terse=True)}, {libraries}."
    )
    return kind, Figure("machine", remark)


def read(path: Path) -> dict[str, list[Figure]]:
    """Return the measurements by kind of processor; empty if there is no file."""
    runs: dict[str, list[Figure]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for processor, measure, contender, unit, values in list(csv.reader(lines))[1:]:
        numbers = [float(value) for value in values.split()]
        runs.setdefault(processor, []).append(Figure(measure, contender, unit, numbers))
    return runs


def write(folder: Path, runs: Mapping[str, Sequence[Figure]]) -> None:
    """Write results.csv, and RESULTS.md generated from it."""
    path = folder / "results.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["processor", *Figure._fields])
        for processor, figures in sorted(runs.items()):
            for *words, values in figures:
                writer.writerow([processor, *words, " ".join(f"{v:.6g}" for v in values)])
    text = "\n".join([HEAD, *(section(kind, own) for kind, own in read(path).items())])
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")


def section(kind: str, figures: Sequence[Figure]) -> str:
    """Return a section of RESULTS.md: a table of steps, then results of whole commands."""
    columns = {f.measure: column(figures, f.measure) for f in figures if f.contender == PRODUCTS}
    lines = [f"## {kind}", "", *(f.contender for f in figures if not f.values), ""]
    lines.append(f"| batch 20, one thread | {' | '.join(columns)} |")
    lines.append(f"| --- {'| ---: ' * len(columns)}|")
    for what in dict.fromkeys(what for rows in columns.values() for what in rows):
        lines.append(f"| {what} | {' | '.join(rows.get(what, '') for rows in columns.values())} |")
    lines.append("")
    for f in (f for f in figures if f.unit in ("s", "MiB")):
        lines.append(f"- {f.measure}, {f.contender}: {short(median(f.values))} {f.unit}")
    if seconds := [f.values for f in figures if f.unit == "s"]:
        lines.append(f"- these cells, PyTorch / dae: {short(ratio(*seconds))}")
    return "\n".join(lines) + "\n"


def column(figures: Sequence[Figure], measure: str) -> dict[str, str]:
    """Return a column of the table of steps: milliseconds, then ratios."""
    own = {f.contender: f for f in figures if f.measure == measure}
    times = {name: f.values for name, f in own.items() if f.unit == "ms"}
    for name, unit in ((PRODUCTS, "GFLOP/s"), (WEIGHTS, "GB/s")):
        if rates := [f.values for f in own.values() if f.unit == unit]:
            times[name] = [1e3 * own[name].values[0] / rate for rate in max(rates, key=median)]
    rows = {f"{name}, ms": short(median(values)) for name, values in times.items()}
    peer = min((times[name] for name in (LOADER, IN_MEMORY) if name in times), key=median)
    rows["**best plain PyTorch / dae**"] = f"**{short(ratio(peer, times[OURS]))}**"
    if PRODUCTS in times:
        share = 100 * ratio(times[PRODUCTS], times[OURS])
        rows["**dae, share of the best sgemm**"] = f"**{short(share)} %**"
    return rows


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median ratio, paired by round if possible, because disturbances affect both."""
    if len(above) != len(below):
        return median(above) / median(below)
    return median(a / b for a, b in zip(above, below, strict=True))


def short(number: float) -> str:
    """Return a number with three significant digits, or all before the decimal point."""
    return f"{number:.0f}" if number >= 100 else f"{number:#.3g}"
