"""runs.csv, table.csv, REPORT.md and report.html against what their rows come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.saved_settings import SETTINGS, settings_text
from dae_cli.config.schema import AnyExperiment
from dae_cli.csvfile import column_texts, read_rows, rows_to_csv
from dae_cli.errors import RunFolderError
from dae_cli.study.report.markdown import REPORT, facts
from dae_cli.study.report.page import page_again
from dae_cli.study.report.saved_runs import PAGE
from dae_cli.study.report.table_markdown import CLAIMS
from dae_cli.study.results_folder import RUNS_CSV, TABLE_CSV
from dae_cli.study.rows import NUMERICS, RunComparison, RunRow, TableRow
from dae_cli.study.run.job import config_sha256, run_name
from dae_cli.study.tables.comparisons import (
    MCNEMAR_CSV,
    compare_runs,
    wrong_rows_in,
)
from dae_cli.study.tables.provenance import (
    DIFFERENT,
    differences_sentence,
    provenance,
    provenance_differences,
    provenance_verb,
)
from dae_cli.study.tables.table import table_of
from dae_cli.study.verify.differences import Findings, text_of, written_text
from dae_cli.study.verify.wrong_rows import check_kept_rows

_NEVER_MIXED = ("engines", "devices", "contents")


def check_rows(
    rows: Sequence[RunRow], wanted: Sequence[AnyExperiment | None], out: Path, found: Findings
) -> None:
    """The rows against the study's settings and among themselves, whether or not folders are here.

    Args:
        rows: of runs.csv.
        wanted: for each, its experiment as the study has it now; None: there is no such cell.
        out: the folder of the results.
        found: receives what differs.
    """
    with found.going_on(RUNS_CSV):
        kept = text_of(out / RUNS_CSV)
        found.compare_csv(RUNS_CSV, kept, rows_to_csv(rows, RunRow, _columns_lacking(kept)))
    for name, count in Counter(row.run for row in rows).items():
        found.compare(RUNS_CSV, f"{name}: rows", count, 1)
    for row, experiment in zip(rows, wanted, strict=True):
        if experiment is None:
            found.compare(RUNS_CSV, f"{row.run}: cell", row.cell, "no such cell in the study")
            continue
        digest = config_sha256(experiment, row.numerics)
        name = run_name(experiment, row.data_sha256, row.numerics)
        found.compare(RUNS_CSV, f"{row.run}: config_sha256", row.config_sha256, digest)
        found.compare(RUNS_CSV, f"{row.run}: run", row.run, name)
    for what, names in provenance_differences(rows).items():
        if what.startswith(_NEVER_MIXED):
            found.compare(RUNS_CSV, what, ", ".join(names), "one for the whole table")


def check_settings(study: ResolvedStudy, out: Path, found: Findings) -> None:
    """settings.yaml against the study; results of earlier versions have none."""
    with found.going_on(SETTINGS):
        if (out / SETTINGS).exists():
            found.compare_lines(SETTINGS, "", text_of(out / SETTINGS), settings_text(study))


def check_tables(study: ResolvedStudy, out: Path, rows: Sequence[RunRow], found: Findings) -> None:
    """table.csv, mcnemar.csv, REPORT.md and report.html (but for its pictures).

    They follow from the rows and the wrong test rows.
    """
    tests = _check_comparisons(out, rows, found)
    table: list[TableRow] | None = None
    with found.going_on(TABLE_CSV):
        table, kept = table_of(rows), text_of(out / TABLE_CSV)
        found.compare_csv(TABLE_CSV, kept, rows_to_csv(table, TableRow, _columns_lacking(kept)))
    if table is not None:
        _check_page(study, out, rows, table, tests, found)
    report: str | None = None
    with found.going_on(REPORT):
        report = written_text(out / REPORT)
    if report is None:
        return
    with found.going_on(REPORT):
        verb = provenance_verb(rows)
        first = next((line for line in report.split("\n") if line.startswith(f"{verb} ")), "")
        if not first.endswith(f"` {provenance(rows)}."):
            found.compare(REPORT, "commits and minutes", first, f"{verb} … {provenance(rows)}.")
        told = next((line for line in report.split("\n") if line.startswith(DIFFERENT)), "")
        found.compare(REPORT, "rows of several makes", told, differences_sentence(rows))
    if table is not None:
        with found.going_on(REPORT):
            for heading, lines in facts(study, out, rows, table, tests).items():
                kept = _facts_below(report, heading, "- " if heading == CLAIMS else "|")
                found.compare_lines(REPORT, f"{heading}, ", kept, lines)


def _check_page(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    tests: Sequence[RunComparison],
    found: Findings,
) -> None:
    with found.going_on(PAGE):
        if not (out / PAGE).exists():
            raise RunFolderError(
                f"is not written yet; dae replicate {study.name} writes it, and runs only what is "
                "not done"
            )
        again = page_again(study, out, rows, table, tests)
        found.compare_lines(PAGE, "", text_of(out / PAGE), again)


def _check_comparisons(out: Path, rows: Sequence[RunRow], found: Findings) -> list[RunComparison]:
    """Make mcnemar.csv again and return it; rows of runs that are elsewhere from themselves."""
    check_kept_rows(out, rows, found)
    kept: list[RunComparison] = []
    made: list[RunComparison] = []
    with found.going_on(MCNEMAR_CSV):
        kept = read_rows(out / MCNEMAR_CSV, RunComparison)
    with found.going_on(MCNEMAR_CSV):
        made = compare_runs(rows, wrong_rows_in(out), kept)
        if [test.key for test in kept] != [test.key for test in made] or not kept:
            found.compare_lines(MCNEMAR_CSV, "", *_csv_of(out, made))
        for old, new in zip(kept, made, strict=False):
            _compare_tests(old, new, found)
    return made


def _csv_of(out: Path, made: Sequence[RunComparison]) -> tuple[str, str]:
    """The file's text and what it should be; results made before there was any have no file."""
    again = rows_to_csv(made, RunComparison)
    path = out / MCNEMAR_CSV
    if path.exists():
        return text_of(path), again
    return ("", again) if made else ("", "")


def _compare_tests(old: RunComparison, new: RunComparison, found: Findings) -> None:
    """Keep every column of a comparison that differs."""
    if old.key == new.key:
        place = f"{new.cell_a}, {new.cell_b}, seed {new.seed}"
        for name, value in column_texts(new).items():
            found.compare(MCNEMAR_CSV, f"{place}: {name}", column_texts(old)[name], value)


def _facts_below(report: str, heading: str, mark: str) -> str:
    """The lines below a heading that begin with a mark, or those of a code block."""
    section = report.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    section = section.partition("\n### ")[0]
    if "```yaml\n" in section:
        return section.partition("```yaml\n")[2].partition("\n```")[0]
    return "\n".join(line for line in section.split("\n") if line.startswith(mark))


def _columns_lacking(kept: str) -> list[str]:
    """The columns that files of earlier versions do not have."""
    return [] if NUMERICS in kept.partition("\n")[0].split(",") else [NUMERICS]
