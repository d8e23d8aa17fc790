"""Provenance of a table's rows: commits, engines, devices, versions, data; and mixtures of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.errors import some
from dae_cli.study.paper import is_svm
from dae_cli.study.rows import RunRow
from dae_cli.study.run.provenance import INSTALLED
from dae_cli.training.version import NUMERICS_VERSION

MOST_NAMED = 4
"""Maximum number of commits that a sentence names; if there are more, it gives their number."""
CHANGED = "Settings changed by --set"
MIXED = "These runs were made under different conditions"
"""Beginnings of the sentences of `changes` and `mixture`, which REPORT.md prints in bold."""


def commits_of(rows: Sequence[RunRow]) -> list[str]:
    """Return every commit, including both of a run resumed with another one (`abc+def`)."""
    return sorted({part for row in rows for part in row.commit.split("+") if part})


def commit_phrase(commits: Sequence[str]) -> str:
    """Say at which commits the runs of a table were made, to follow the command."""
    if len(commits) > MOST_NAMED:
        return f"from runs at {len(commits)} commits (listed in runs.csv)"
    if len(commits) > 1:
        return f"from runs at commits {', '.join(commits)}"
    return f"at commit {commits[0]}" if commits else "from an installed package"


def changes(study: ResolvedStudy, there: Collection[str]) -> str:
    """Return a sentence on what `--set` changed in the cells `there`; empty if nothing."""
    cells: dict[str, list[str]] = {}
    for cell, what in study.changed.items():
        if cell in there:
            cells.setdefault(what, []).append(cell)
    each = [
        f"{'every cell' if len(names) == len(study.all_cells) else ', '.join(names)}: {what}"
        for what, names in cells.items()
    ]
    return f"{CHANGED} (names and titles are unchanged): {'; '.join(each)}." if each else ""


def mixture(rows: Sequence[RunRow]) -> str:
    """Return a sentence on the differences that rows of one table should not have; else empty."""
    several = [
        f"{len(names)} commits"
        if what == "commits" and len(names) > MOST_NAMED
        else f"{what} {', '.join(names)}"
        for what, names in provenance_differences(rows).items()
    ]
    return f"{MIXED}: {'; '.join(several)}." if several else ""


def provenance_differences(rows: Sequence[RunRow]) -> dict[str, list[str]]:
    """Return the properties in which rows of one table should agree but differ, with the values."""
    networks = [row for row in rows if not is_svm(row.model)]
    svms = [row for row in rows if is_svm(row.model)]  # always libsvm on the CPU
    parts = {
        "numerics": _by_numerics(rows),
        "commits": [part or INSTALLED for row in rows for part in row.commit.split("+")],
        "engines": [part for row in networks for part in row.engine.split(" / ")],
        "devices": [part for row in networks for part in row.device.split(" / ")],
        "versions": [f"({part})" for row in networks for part in row.versions.split(" / ")],
        "versions of the SVMs": [f"({part})" for row in svms for part in row.versions.split(" / ")],
    }
    for name in dict.fromkeys(row.dataset for row in rows):
        parts[f"contents of {name}"] = [row.data_sha256 for row in rows if row.dataset == name]
    different = {what: list(dict.fromkeys(names)) for what, names in parts.items()}
    return {what: names for what, names in different.items() if len(names) > 1}


def _by_numerics(rows: Sequence[RunRow]) -> list[str]:
    """Return each version of the numerics with its cells: `2 (convex-0, convex-10)`."""
    cells: dict[int, dict[str, None]] = {}
    for row in rows:
        cells.setdefault(row.numerics, {})[row.cell] = None
    return [f"{version} ({some(list(names))})" for version, names in sorted(cells.items())]


def other_numerics(rows: Sequence[RunRow]) -> str:
    """Say which rows have another version of the numerics than this dae; empty if none."""
    others = [row for row in rows if row.numerics != NUMERICS_VERSION]
    if not others:
        return ""
    versions = ", ".join(_by_numerics(others))
    return f"computed with numerics {versions}; this version computes with {NUMERICS_VERSION}"


def computed_with(rows: Sequence[RunRow]) -> str:
    """Return `engine compiled, numerics 2`; several engines are in the order of the table."""
    names = list(dict.fromkeys(row.engine for row in rows))
    versions = " and ".join(str(version) for version in sorted({row.numerics for row in rows}))
    return f"engine{'s' if len(names) > 1 else ''} {', '.join(names)}, numerics {versions}"
