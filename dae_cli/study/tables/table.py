"""From runs to the study's table: one row a cell, the mean over its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean, stdev

from dae_cli.errors import RunFolderError
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.row import judged
from dae_cli.study.verdict import half_width_95


def table_of(rows: Sequence[RunRow]) -> list[TableRow]:
    """Return the table of rows that are in the order of their cells.

    Raises:
        RunFolderError: the counts of a row, perhaps of an edited runs.csv, cannot be.
    """
    for row in rows:
        if not row.error and not _possible(row.n_wrong, row.n_test):
            raise RunFolderError(
                f"runs.csv: {row.run}: n_wrong is {row.n_wrong} and n_test {row.n_test}, expected "
                f"counts of which the second is not less; remove the row, or make it anew with "
                f"dae replicate --only {row.cell}"
            )
    return [_cell(list(group)) for _, group in groupby(rows, key=lambda row: row.cell)]


def _possible(wrong: int | None, rows: int | None) -> bool:
    return wrong is not None and rows is not None and 0 <= wrong <= rows and rows > 0


def _cell(rows: list[RunRow]) -> TableRow:
    done = [row for row in rows if not row.error]
    first = done[0] if done else rows[0]
    # From the counts, and rounded like the CSV: rows that were read back give the same table.
    errors = [
        100.0 * row.n_wrong / row.n_test for row in done if row.n_wrong is not None and row.n_test
    ]
    error = fmean(errors) if errors else None
    half_width = None
    if error is not None and first.n_test:
        half_width = half_width_95(error / 100.0 * first.n_test, first.n_test)
    row = TableRow(
        cell=first.cell,
        dataset=first.dataset,
        data_origin=first.data_origin,
        trust=first.trust,
        data_sha256=first.data_sha256,
        model=first.model,
        destruction_percent=first.destruction_percent,
        seeds=" ".join(str(row.seed) for row in done),
        n_test=first.n_test,
        n_wrong=" ".join(str(row.n_wrong) for row in done),
        test_error_percent=_rounded(error),
        half_width_95=_rounded(half_width),
        sd_over_seeds=_rounded(stdev(errors)) if len(errors) > 1 else None,
        valid_error_percent=_rounded(_mean(row.valid_error_percent for row in done)),
        paper_error_percent=first.paper_error_percent,
        paper_half_width_95=first.paper_half_width_95,
        paper_model=first.paper_model,
        verdict="",
        minutes=sum(round(row.minutes or 0.0, 1) for row in rows),
        device=_only(row.device for row in rows),
        engine=_only(row.engine for row in rows),
        threads=first.threads,
        versions=_only(row.versions for row in rows),
        commit=_only(row.commit for row in rows),
        numerics=_only(str(row.numerics) for row in rows),
        error="; ".join(f"seed {row.seed}: {row.error}" for row in rows if row.error),
    )
    return judged(row)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [round(value, 2) for value in values if value is not None]
    return fmean(known) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _only(values: Iterable[str]) -> str:
    """Return the different values there are, each once, in order."""
    return " / ".join(dict.fromkeys(values))
