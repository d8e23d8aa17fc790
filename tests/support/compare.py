"""Compare two results folders of the same study, and find files that must not remain."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image
from safetensors.numpy import load_file

from tests.support.tiny import read_csv, snapshot

SAME_BYTES = (
    "checkpoint.safetensors",
    "metrics.csv",
    "config.yaml",
    "filters.png",
    "wrong_rows.npy",
)
TABLES = ("runs.csv", "table.csv", "mcnemar.csv", "wrong_rows.csv")


def assert_same_results(folder: Path, reference: Path) -> None:
    """Check that a folder has the same results as another; only times may differ."""
    assert sorted(snapshot(folder)) == sorted(snapshot(reference))
    assert_whole(folder)
    assert differences(folder, reference) == []


def assert_whole(folder: Path) -> None:
    """Check that all files are readable and that only unfinished runs left temporary files."""
    assert [name for name in temporary_files(folder) if not name.endswith(".partial")] == []
    for path in folder.rglob("*.csv"):
        assert all(None not in row and None not in row.values() for row in read_csv(path)), path
    for path in folder.rglob("*.safetensors"):
        assert load_file(path)
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            image.load()


def assert_unchanged(before: dict[str, bytes], folder: Path) -> None:
    """Check that a folder still has all earlier files, byte for byte."""
    now = snapshot(folder)
    assert [name for name, content in before.items() if now.get(name) != content] == []


def differences(folder: Path, reference: Path) -> list[str]:
    """Compare parameters, metrics, rows and pictures bit for bit; times and commands may differ."""
    found = []
    runs = {path.name for path in (reference / "runs").iterdir()}
    here = {path.name for path in (folder / "runs").iterdir()}
    found += [f"runs/{name}: one has it, one has not" for name in sorted(runs ^ here)]
    for name in sorted(runs & here):
        for file in SAME_BYTES:
            one, other = folder / "runs" / name / file, reference / "runs" / name / file
            if not _same(one, other):
                found.append(f"runs/{name}/{file}")
    found += [name for name in TABLES if _rows(folder / name) != _rows(reference / name)]
    pictures = [path.relative_to(reference) for path in reference.rglob("*.png")]
    found += [str(p) for p in pictures if not _same(folder / p, reference / p)]
    found += [name for name in _TIMES if _text(folder / name) != _text(reference / name)]
    return found


def temporary_files(folder: Path) -> list[str]:
    """Return files and folders that a command may use while it runs but must not leave."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.startswith(".") or path.suffix in (".partial", ".part", ".tmp", ".lock")
    ]


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _rows(path: Path) -> list[dict[str, str]]:
    rows = read_csv(path) if path.is_file() else []
    return [{name: value for name, value in row.items() if name != "minutes"} for row in rows]


_TIMES = {
    "REPORT.md": (
        r"(?m)^(?:Made|Put together) by (?:.|\n)*? in all\.$",
        r"(?m)(?<=\|) \d+\.\d \| (?:[0-9a-f]{12}(?:-dirty)?)? ?\|$",
    ),
    "report.html": (
        r'(?<=name="dae-command" content=")[^"]*',
        r'(?s)(?<=<p class="made">).*?(?=</p>)',
        r"(?s)(?<=<dt>)(?:minutes|commits?|command)</dt><dd>.*?(?=</dd>)",
        r'<td class="number">\d+\.\d</td><td><code>[^<]*</code>',
    ),
}
"""Parts of a report that depend on the command, its commit and its duration."""


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for pattern in _TIMES[path.name]:
        text = re.sub(pattern, "", text)
    return text
