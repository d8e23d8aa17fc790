"""mcnemar.csv: every two cells of a data set on the same test rows, seed by seed.

Everything in a row follows from four counts, so that a row whose run folders are elsewhere is made
again from itself and from runs.csv: the rows that one model alone gets wrong differ by as much as
the counts of all its wrong rows do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations
from pathlib import Path

from dae_cli.csv_rows import csv_text, rows_in, yes_or_no
from dae_cli.errors import RunFolderError
from dae_cli.files import write_text
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import RUNS
from dae_cli.study.tables.kept_wrong_rows import (
    WrongRows,
    read_kept_rows,
    write_kept_rows,
    wrong_rows_in,
)
from dae_cli.study.tables.mcnemar import LEVEL, holm, p_value

MCNEMAR_CSV = "mcnemar.csv"
ONE_RUN = "SVM"
"""Models that have no seed: their one run is compared with every seed of the others."""


@dataclass(frozen=True)
class Comparison:
    """McNemar's test of two runs on the same test rows."""

    dataset: str
    data_sha256: str
    cell_a: str
    cell_b: str
    model_a: str
    model_b: str
    seed: int
    """Of both runs, but of an SVM, which has one run for all seeds."""
    run_a: str
    run_b: str
    n_test: int
    only_a_wrong: int
    """Test rows that a gets wrong and b right."""
    only_b_wrong: int
    error_a_percent: float
    error_b_percent: float
    p_value: float
    significant: bool
    """p_value is at most .05."""
    p_holm: float
    """Adjusted for all comparisons of the data set, seeds included."""

    @property
    def key(self) -> tuple[str, str, int]:
        """The two cells and the seed."""
        return self.cell_a, self.cell_b, self.seed


def comparisons(
    rows: Sequence[RunRow], wrong_rows_of: WrongRows, earlier: Sequence[Comparison] = ()
) -> list[Comparison]:
    """Compare every two cells of a data set at every seed that both have.

    Args:
        rows: of runs.csv, in the order of the study's cells.
        wrong_rows_of: gives the wrong test rows of a run; None where they are not here.
        earlier: what is known already; it stays where the wrong rows of a run are not here, if
            the runs are the same and its counts agree with theirs.
    """
    known = {(c.run_a, c.run_b): c for c in earlier}
    found = []
    for a, b, seed in _pairs(rows):
        assert a.n_wrong is not None
        assert b.n_wrong is not None
        wrong_a, wrong_b = wrong_rows_of(a), wrong_rows_of(b)
        if wrong_a is not None and wrong_b is not None:
            only_a, only_b = int((wrong_a & ~wrong_b).sum()), int((wrong_b & ~wrong_a).sum())
        elif (before := known.get((a.run, b.run))) and _possible(before, a.n_wrong, b.n_wrong):
            only_a, only_b = before.only_a_wrong, before.only_b_wrong
        else:
            continue
        found.append(_comparison(a, b, seed, only_a, only_b))
    return _adjusted(found)


def _possible(known: Comparison, wrong_a: int, wrong_b: int) -> bool:
    """Tell whether the counts of a comparison go with those of its runs."""
    only_a, only_b = known.only_a_wrong, known.only_b_wrong
    as_many = only_a - only_b == wrong_a - wrong_b
    return as_many and 0 <= only_a <= wrong_a and 0 <= only_b <= wrong_b


def _pairs(rows: Sequence[RunRow]) -> Iterator[tuple[RunRow, RunRow, int]]:
    """Every two done runs of two cells with the same test rows and, but for an SVM, one seed."""
    cells: dict[str, list[RunRow]] = {}
    for row in rows:
        if not row.error and row.n_test is not None and row.n_wrong is not None:
            cells.setdefault(row.cell, []).append(row)
    for ours, theirs in combinations(cells.values(), 2):
        for a in ours:
            for b in theirs:
                same = (a.dataset, a.data_sha256, a.n_test) == (b.dataset, b.data_sha256, b.n_test)
                free_a, free_b = a.model.startswith(ONE_RUN), b.model.startswith(ONE_RUN)
                if same and (free_a or free_b or a.seed == b.seed):
                    yield a, b, b.seed if free_a else a.seed


def _comparison(a: RunRow, b: RunRow, seed: int, only_a: int, only_b: int) -> Comparison:
    assert a.n_test is not None
    p = p_value(only_a, only_b)
    return Comparison(
        dataset=a.dataset,
        data_sha256=a.data_sha256,
        cell_a=a.cell,
        cell_b=b.cell,
        model_a=a.model,
        model_b=b.model,
        seed=seed,
        run_a=a.run,
        run_b=b.run,
        n_test=a.n_test,
        only_a_wrong=only_a,
        only_b_wrong=only_b,
        error_a_percent=100.0 * (a.n_wrong or 0) / a.n_test,
        error_b_percent=100.0 * (b.n_wrong or 0) / a.n_test,
        p_value=p,
        significant=p <= LEVEL,
        p_holm=p,
    )


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """Put Holm's adjusted p-values in: for all comparisons of a data set together."""
    order = {c.dataset: k for k, c in reversed(list(enumerate(found)))}
    every = sorted(found, key=lambda c: order[c.dataset])
    adjusted = []
    for name in dict.fromkeys(c.dataset for c in every):
        own = [c for c in every if c.dataset == name]
        p_values = holm([c.p_value for c in own])
        adjusted += [replace(c, p_holm=p) for c, p in zip(own, p_values, strict=True)]
    return adjusted


def write_comparisons(out: Path, rows: Sequence[RunRow]) -> list[Comparison]:
    """Write mcnemar.csv of the rows of runs.csv and return it, and wrong_rows.csv.

    Whoever holds the tables calls it. Where every run's folder is here, files that dae did not
    write are made anew.

    Raises:
        OutputError: it cannot be written. RunFolderError: see `require_kept`.
    """
    require_kept(out, rows)
    try:
        earlier = read_comparisons(out)
    except RunFolderError:
        earlier = []
    wrong_rows_of = wrong_rows_in(out)
    found = comparisons(rows, wrong_rows_of, earlier)
    write_kept_rows(out, rows, wrong_rows_of)
    write_text(out / MCNEMAR_CSV, comparisons_to_csv(found))
    return found


def require_kept(out: Path, rows: Sequence[RunRow], *, anew: bool = False) -> None:
    """Make sure that what is known of runs whose folders are elsewhere can be read.

    Nothing else tells it: to write the files anew would lose it.

    Args:
        out: the folder of the results.
        rows: of runs.csv.
        anew: the folders that are here will be removed, to be made anew one after the other.

    Raises:
        RunFolderError: mcnemar.csv or wrong_rows.csv is not one that dae wrote.
    """
    if any(not row.error and (anew or not (out / RUNS / row.run).is_dir()) for row in rows):
        read_comparisons(out)
        read_kept_rows(out)


def comparisons_to_csv(found: Sequence[Comparison]) -> str:
    """Return CSV text with a header; p-values have three digits, percentages two decimals."""
    lines = (as_columns(comparison).values() for comparison in found)
    return csv_text([[f.name for f in fields(Comparison)], *lines])


def as_columns(comparison: Comparison) -> dict[str, str]:
    """Return the columns of a comparison as they stand in the CSV."""
    return {f.name: _shown(f.name, getattr(comparison, f.name)) for f in fields(comparison)}


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return yes_or_no(value)
    if isinstance(value, float):
        return f"{value:.3g}" if name.startswith("p_") else f"{value:.2f}"
    return str(value)


def read_comparisons(out: Path) -> list[Comparison]:
    """Read mcnemar.csv of a results folder; nothing where there is none.

    Raises:
        RunFolderError: the columns or a value are not as dae writes them.
    """
    return rows_in(out / MCNEMAR_CSV, Comparison)
