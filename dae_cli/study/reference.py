"""The reference rows of a study: the results of its committed runs, to compare new runs with.

They are in reference.csv in the study's folder, which is part of the package, with rows for each
origin of the data. The results of a user's runs do not change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import AnyExperiment
from dae_cli.csvfile import read_rows
from dae_cli.errors import plain, some
from dae_cli.study.rows import ReferenceRow, RunRow
from dae_cli.study.run.job import config_sha256, with_seed

REFERENCE_CSV = "reference.csv"


@dataclass(frozen=True)
class Agreement:
    """How runs compare with the reference rows of their study."""

    runs: int
    identical: int
    """Number of runs with the same settings, data, count of wrong test rows and best epoch."""
    differing: dict[str, list[str]]
    """The other runs, by the likely reason for the difference."""

    def lines(self) -> list[str]:
        """Return a line with the count, and one for each reason."""
        runs = "run" if self.runs == 1 else "runs"
        return [
            f"{self.identical} of {self.runs} {runs} identical to the reference",
            *(f"  {some(names)}: {plain(why)}" for why, names in self.differing.items()),
        ]


def reference_rows(folder: Path) -> list[ReferenceRow]:
    """Return the reference rows of the study in a folder; empty if it has no such file.

    Raises RunFolderError: the file is unreadable or malformed.
    """
    return read_rows(folder / REFERENCE_CSV, ReferenceRow)


def is_reference(row: RunRow, rows: Sequence[ReferenceRow]) -> bool:
    """Return whether a reference row has the same result on the same data."""
    names = ("cell", "seed", "data_sha256", "numerics", "n_wrong")
    return any(all(getattr(row, name) == getattr(r, name) for name in names) for r in rows)


def agreement(study: ResolvedStudy, rows: Sequence[RunRow]) -> Agreement | None:
    """Compare finished runs of a study with its reference rows; None if it has none for them.

    Raises RunFolderError: the file of reference rows is unreadable or malformed.
    """
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    done = [row for row in rows if not row.error and row.cell in experiments]
    reference = reference_rows(study.source)
    if not {row.cell for row in done} & {row.cell for row in reference}:
        return None
    differing: dict[str, list[str]] = {}
    for row in done:
        candidates = [r for r in reference if (r.cell, r.seed) == (row.cell, row.seed)]
        why, numbers = _deviation(row, with_seed(experiments[row.cell], row.seed), candidates)
        if why:
            differing.setdefault(why, []).append(f"{row.cell} seed {row.seed}{numbers}")
    count = sum(map(len, differing.values()))
    return Agreement(len(done), len(done) - count, differing)


def _libraries(row: RunRow | ReferenceRow) -> list[str]:
    """Versions of Python and the libraries; `numerics` stands for the version of dae itself."""
    return [version for version in row.versions.split("; ") if not version.startswith("dae ")]


def _deviation(
    row: RunRow, experiment: AnyExperiment, candidates: Sequence[ReferenceRow]
) -> tuple[str, str]:
    """Return the likely reason why a run differs from the reference, and both numbers.

    If several candidates have its cell and seed, it is compared with the one made under the most
    similar conditions. Both texts are empty if the run is identical.
    """
    if not candidates:
        return "no reference row", ""

    def differs(near: ReferenceRow) -> tuple[bool, ...]:
        """Return which conditions of the run and the reference differ, likeliest reason first."""
        return (
            config_sha256(experiment, near.numerics) != near.config_sha256,
            row.data_sha256 != near.data_sha256,
            row.numerics != near.numerics,
            (row.engine, row.device) != (near.engine, near.device),
            _libraries(row) != _libraries(near),
            True,
        )

    near = min(candidates, key=differs)
    numbers = ""
    if not any(differs(near)[:2]):
        if (row.n_wrong, row.best_epoch) == (near.n_wrong, near.best_epoch):
            return "", ""
        numbers = f" ({row.n_wrong:,} wrong rows; reference: {near.n_wrong:,})"
        if row.n_wrong == near.n_wrong:
            numbers = f" (best epoch {row.best_epoch}; reference: {near.best_epoch})"
    here, there = _libraries(row), _libraries(near)
    reasons = (
        "probably due to other settings",
        f"probably due to other data: {row.dataset} with SHA-256 {row.data_sha256[:12]}…",
        f"probably due to numerics {row.numerics} (reference: {near.numerics})",
        f"probably due to engine {row.engine} on {row.device} (reference: {near.engine} on "
        f"{near.device})",
        f"probably due to library versions {', '.join(v for v in here if v not in there)} "
        f"(reference: {', '.join(v for v in there if v not in here)})",
        "same settings, data, numerics, engine and versions; perhaps due to the processor",
    )
    return reasons[differs(near).index(True)], numbers
