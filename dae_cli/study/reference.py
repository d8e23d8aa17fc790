"""The reference rows of a study: what its committed runs came to, and ours beside them.

They stand in reference.csv in the study's folder and so in the package, for each origin of the
data: whatever a user's runs write into results/, these stay.
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
    """Runs beside the reference rows of their study."""

    runs: int
    identical: int
    """Runs of the same settings and data, with as many wrong test rows and the same best epoch."""
    differing: dict[str, list[str]]
    """The likely reason why others are not, and which they are."""

    def lines(self) -> list[str]:
        """Return the count, and a line for each reason."""
        runs = "run" if self.runs == 1 else "runs"
        return [
            f"{self.identical} of {self.runs} {runs} identical to the reference",
            *(f"  {some(names)}: {plain(why)}" for why, names in self.differing.items()),
        ]


def reference_rows(folder: Path) -> list[ReferenceRow]:
    """Return the reference rows of the study in a folder; none where it has no such file.

    Raises RunFolderError: the file cannot be read, or is not as dae writes it.
    """
    return read_rows(folder / REFERENCE_CSV, ReferenceRow)


def is_reference(row: RunRow, rows: Sequence[ReferenceRow]) -> bool:
    """Tell whether a row's result is among the reference rows, on the same data."""
    names = ("cell", "seed", "data_sha256", "numerics", "n_wrong")
    return any(all(getattr(row, name) == getattr(r, name) for name in names) for r in rows)


def agreement(study: ResolvedStudy, rows: Sequence[RunRow]) -> Agreement | None:
    """Compare finished runs of a study with its reference rows; None where it has none of them.

    Raises RunFolderError: the file of reference rows is not as dae writes it.
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


def _deviation(
    row: RunRow, experiment: AnyExperiment, candidates: Sequence[ReferenceRow]
) -> tuple[str, str]:
    """Return the likely reason why a run is not as the reference, and both numbers; else nothing.

    Of several rows of its cell and seed it is compared with the one that was made most like it.
    """
    if not candidates:
        return "no reference row", ""

    def differs(near: ReferenceRow) -> tuple[bool, ...]:
        """What the run was made with that the reference was not, the likeliest reason first."""
        return (
            config_sha256(experiment, near.numerics) != near.config_sha256,
            row.data_sha256 != near.data_sha256,
            row.numerics != near.numerics,
            (row.engine, row.device) != (near.engine, near.device),
            row.versions != near.versions,
            True,
        )

    near = min(candidates, key=differs)
    numbers = ""
    if not any(differs(near)[:2]):
        if (row.n_wrong, row.best_epoch) == (near.n_wrong, near.best_epoch):
            return "", ""
        numbers = f" ({row.n_wrong:,} wrong rows, the reference {near.n_wrong:,})"
        if row.n_wrong == near.n_wrong:
            numbers = f" (best epoch {row.best_epoch}, the reference's {near.best_epoch})"
    ours, theirs = row.versions.split("; "), near.versions.split("; ")
    reasons = (
        "likely by other settings",
        f"likely by other data: {row.dataset} with SHA-256 {row.data_sha256[:12]}…",
        f"likely by numerics {row.numerics}, the reference's {near.numerics}",
        f"likely by engine {row.engine} on {row.device}, the reference's {near.engine} on "
        f"{near.device}",
        f"likely by library versions: {', '.join(v for v in ours if v not in theirs)}, the "
        f"reference's {', '.join(v for v in theirs if v not in ours)}",
        "with the same settings, data, numerics, engine and versions; perhaps the processor",
    )
    return reasons[differs(near).index(True)], numbers
