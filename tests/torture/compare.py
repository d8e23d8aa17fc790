"""Two results folders of the same study: what differs that must not."""

from __future__ import annotations

import csv
import re
from pathlib import Path

SAME_BYTES = (
    "checkpoint.safetensors",
    "metrics.csv",
    "config.yaml",
    "filters.png",
    "wrong_rows.npy",
)


def differences(folder: Path, reference: Path) -> list[str]:
    """Compare parameters, metrics, rows and pictures bit for bit; times and commands may differ."""
    found = []
    runs = {path.name for path in (reference / "runs").iterdir()}
    here = {path.name for path in (folder / "runs").iterdir()}
    found += [f"runs/{name}: one has it, one has not" for name in sorted(runs ^ here)]
    for name in sorted(runs & here):
        found += [
            f"runs/{name}/{file}"
            for file in SAME_BYTES
            if not _same(folder / "runs" / name / file, reference / "runs" / name / file)
        ]
    found += [
        name
        for name in ("runs.csv", "table.csv", "mcnemar.csv", "wrong_rows.csv")
        if _rows(folder / name) != _rows(reference / name)
    ]
    pictures = [path.relative_to(reference) for path in reference.rglob("*.png")]
    found += [str(p) for p in pictures if not _same(folder / p, reference / p)]
    if _report(folder) != _report(reference):
        found.append("REPORT.md")
    if _page(folder) != _page(reference):
        found.append("report.html")
    return found


def temporary_files(folder: Path) -> list[str]:
    """Files and folders that a command may have while it runs, and must not leave."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.startswith(".") or path.suffix in (".partial", ".part", ".tmp", ".lock")
    ]


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if name != "minutes"}
            for row in csv.DictReader(file)
        ]


def _report(folder: Path) -> str:
    """REPORT.md without its times and the command, which tells the folder's name."""
    text = (folder / "REPORT.md").read_text(encoding="utf-8")
    text = re.sub(
        r"^(?:Made|Put together) by .*? in all\.$", "", text, flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"\| \d+\.\d \| ([0-9a-f]{12}(?:-dirty)?)? ?\|$", "|", text, flags=re.MULTILINE)


def _page(folder: Path) -> str:
    """report.html without times, commits and the command; empty where there is none."""
    path = folder / "report.html"
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    for pattern in (
        r'(?<=name="dae-command" content=")[^"]*',
        r'(?<=<p class="made">).*?(?=</p>)',
        r"(?<=<dt>)(?:minutes|commits?|command)</dt><dd>.*?(?=</dd>)",
        r'<td class="number">\d+\.\d</td><td><code>[^<]*</code>',
    ):
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return text
