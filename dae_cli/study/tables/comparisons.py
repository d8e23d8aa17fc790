"""mcnemar.csv and wrong_rows.csv: all pairs of cells of a data set on the same test rows, by seed.

The wrong test rows of a run are in its folder, and in wrong_rows.csv for users without the folder.
If they are in neither, a row of mcnemar.csv is kept as long as it agrees with runs.csv.

McNemar's test asks whether two models tested on the same rows have the same error. Only rows that
one model gets wrong and the other right are informative: if the errors are equal, such a row falls
on either side with probability 1/2 (McNemar, Psychometrika 12, 1947). Dietterich (Neural
Computation 10, 1998) recommends the test for two classifiers and one test set.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, chdtrc

from dae_cli.csvfile import read_rows, write_rows
from dae_cli.errors import RunFolderError
from dae_cli.study.paper import is_svm
from dae_cli.study.rows import RunComparison, RunRow, SavedWrongRows
from dae_cli.study.run.job import RUNS, is_run_name
from dae_cli.study.run.wrong_rows import load_wrong_rows, unpack

Row = TypeVar("Row", RunComparison, SavedWrongRows)

MCNEMAR_CSV, WRONG_ROWS_CSV = "mcnemar.csv", "wrong_rows.csv"
LEVEL = 0.05
FEW = 25
"""With fewer rows that one model alone gets wrong, the test is exact binomial; otherwise χ²."""

WrongRows = Mapping[str, NDArray[np.bool_]]
"""Mask of the wrong test rows by run; runs without a known mask are missing."""


def p_value(only_a_wrong: int, only_b_wrong: int) -> float:
    """Return McNemar's two-sided p-value.

    With fewer than 25 rows, it is exact binomial: 2 · P(X ≤ min) for X ~ B(n, 1/2), at most 1.
    Otherwise it is that of χ² = (|a − b| − 1)² / (a + b) with one degree of freedom, with the
    continuity correction of Edwards (Psychometrika 13, 1948).

    Raises:
        ValueError: a count is negative.
    """
    if min(only_a_wrong, only_b_wrong) < 0:
        raise ValueError(f"counts of rows cannot be negative: {only_a_wrong} and {only_b_wrong}")
    n = only_a_wrong + only_b_wrong
    if n < FEW:
        return min(1.0, 2.0 * float(bdtr(min(only_a_wrong, only_b_wrong), n, 0.5)))
    difference = max(0, abs(only_a_wrong - only_b_wrong) - 1)
    return float(chdtrc(1, difference**2 / n))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number (Holm, Scand. J. Statist. 6, 1979).

    The k-th smallest of m is multiplied by m − k + 1, raised to the one before it if that is
    larger, and limited to 1. If those up to .05 are rejected, the chance of any false rejection is
    below .05.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(factors * np.asarray(p_values)[order]).clip(max=1.0)
    return [float(p) for p in adjusted]


def only_wrong(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the number of rows that only the first gets wrong, and that only the second does."""
    return int((a & ~b).sum()), int((b & ~a).sum())


def error_percent(row: RunRow) -> float:
    """Return the test error computed from the counts, without rounding."""
    return 100.0 * (row.n_wrong or 0) / (row.n_test or 1)


def compare_runs(
    rows: Sequence[RunRow], wrong_rows: WrongRows, earlier: Iterable[RunComparison] = ()
) -> list[RunComparison]:
    """Compare all pairs of cells of a data set at every seed that both have.

    If the wrong rows of a run are not known, an `earlier` comparison is kept if its counts agree.
    """
    known = {(c.run_a, c.run_b): c for c in earlier}
    by_dataset: dict[str, dict[str, list[RunRow]]] = {}
    for row in rows:
        if not row.error and row.n_test is not None and row.n_wrong is not None:
            by_dataset.setdefault(row.dataset, {}).setdefault(row.cell, []).append(row)
    adjusted = []
    for cells in by_dataset.values():
        own = []
        for a, b, seed in _pairs(cells.values()):
            wrong_a, wrong_b = wrong_rows.get(a.run), wrong_rows.get(b.run)
            before = known.get((a.run, b.run))
            if wrong_a is not None and wrong_b is not None:
                own.append(_comparison(a, b, seed, *only_wrong(wrong_a, wrong_b)))
            elif before is not None and _agrees(before, a.n_wrong or 0, b.n_wrong or 0):
                own.append(_comparison(a, b, seed, before.only_a_wrong, before.only_b_wrong))
        p_values = holm([c.p_value for c in own])
        adjusted += [replace(c, p_holm=p) for c, p in zip(own, p_values, strict=True)]
    return adjusted


def _pairs(cells: Iterable[Sequence[RunRow]]) -> Iterator[tuple[RunRow, RunRow, int]]:
    """Yield the pairs of runs of two cells with the same test rows and seed, and that seed.

    The one run of an SVM is paired with every seed of the others.
    """
    for ours, theirs in combinations(cells, 2):
        for a, b in product(ours, theirs):
            same = (a.data_sha256, a.n_test) == (b.data_sha256, b.n_test)
            free_a, free_b = is_svm(a.model), is_svm(b.model)
            if same and (free_a or free_b or a.seed == b.seed):
                yield a, b, b.seed if free_a else a.seed


def _agrees(known: RunComparison, wrong_a: int, wrong_b: int) -> bool:
    """Return whether the counts of a comparison are consistent with those of its runs."""
    only_a, only_b = known.only_a_wrong, known.only_b_wrong
    return only_a - only_b == wrong_a - wrong_b and only_a <= wrong_a and only_b <= wrong_b


def _comparison(a: RunRow, b: RunRow, seed: int, only_a: int, only_b: int) -> RunComparison:
    p = p_value(only_a, only_b)
    return RunComparison(
        dataset=a.dataset,
        data_sha256=a.data_sha256,
        cell_a=a.cell,
        cell_b=b.cell,
        model_a=a.model,
        model_b=b.model,
        seed=seed,
        run_a=a.run,
        run_b=b.run,
        n_test=a.n_test or 0,
        only_a_wrong=only_a,
        only_b_wrong=only_b,
        error_a_percent=error_percent(a),
        error_b_percent=error_percent(b),
        p_value=p,
        significant=p <= LEVEL,
        p_holm=p,
    )


def write_comparisons(
    out: Path, rows: Sequence[RunRow], source: Path | None = None
) -> list[RunComparison]:
    """Write mcnemar.csv and wrong_rows.csv for the rows of runs.csv; return the comparisons.

    The caller has locked the tables. A damaged file is rewritten if every run's folder is here;
    otherwise see `require_readable`. `source`: folder to read from; default `out`.
    """
    source = source or out
    require_readable(source, rows)
    wrong_rows = read_wrong_rows(source, rows)
    comparisons = compare_runs(rows, wrong_rows, _rows_in(source / MCNEMAR_CSV, RunComparison))
    saved = []
    for run, wrong in wrong_rows.items():
        bits = b64encode(np.packbits(wrong).tobytes()).decode()
        saved.append(SavedWrongRows(run, len(wrong), int(wrong.sum()), bits))
    write_rows(out / WRONG_ROWS_CSV, saved, SavedWrongRows)
    write_rows(out / MCNEMAR_CSV, comparisons, RunComparison)
    return comparisons


def require_readable(out: Path, rows: Sequence[RunRow], *, discarding_runs: bool = False) -> None:
    """Raise RunFolderError if data that only mcnemar.csv and wrong_rows.csv have cannot be read.

    This concerns runs whose folders are elsewhere, or will be removed (`discarding_runs`).
    """
    done = [row for row in rows if not row.error]
    if any(discarding_runs or not (out / RUNS / row.run).is_dir() for row in done):
        read_rows(out / MCNEMAR_CSV, RunComparison)
        read_rows(out / WRONG_ROWS_CSV, SavedWrongRows)


def read_wrong_rows(out: Path, rows: Sequence[RunRow]) -> dict[str, NDArray[np.bool_]]:
    """Return the wrong test rows of finished runs, from their folders or from wrong_rows.csv.

    Runs that are in neither, or whose counts differ from their rows, are left out.
    """
    saved = {row.run: row for row in _rows_in(out / WRONG_ROWS_CSV, SavedWrongRows)}
    wrong_rows: dict[str, NDArray[np.bool_]] = {}
    for row in rows:
        if row.error or not is_run_name(row.run):
            continue
        counts = row.n_test or 0, row.n_wrong or 0
        with suppress(ValueError, KeyError):
            try:
                wrong_rows[row.run] = load_wrong_rows(out / RUNS / row.run, *counts)
            except RunFolderError:
                if (saved[row.run].n_test, saved[row.run].n_wrong) == counts:
                    bits = b64decode(saved[row.run].bits, validate=True)
                    wrong_rows[row.run] = unpack(bits, *counts)
    return wrong_rows


def _rows_in(path: Path, kind: type[Row]) -> list[Row]:
    """Return the rows of a file; none if it is damaged."""
    try:
        return read_rows(path, kind)
    except RunFolderError:
        return []
