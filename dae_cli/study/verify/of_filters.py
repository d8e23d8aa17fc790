"""The numbers of a study on filters against the filters in the checkpoints, measured again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.csvfile import rows_to_csv
from dae_cli.filters.measures import UnitMeasures
from dae_cli.study.of_filters.report import FIGURES_CSV, figure_rows, runs_table
from dae_cli.study.of_filters.rows import FigureRow, MeasuredRun, UnitRow, measured_runs, unit_rows
from dae_cli.study.of_filters.summary import judge
from dae_cli.study.report.markdown import REPORT
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import FILTERS_CSV
from dae_cli.study.tables.provenance import provenance
from dae_cli.study.verify.differences import Findings, text_of, written_text
from dae_cli.training.state import TrainingState


def check_filters(place: str, folder: Path, state: TrainingState, found: Findings) -> bool:
    """Measure the filters of a run again, and return whether that could be done.

    Args:
        place: the folder's name in messages.
        folder: of a done run.
        state: what its checkpoint holds.
        found: receives what differs.
    """
    weights = state.layers[0].weight.numpy()
    measured = False
    with found.going_on(f"{place}/{FILTERS_CSV}"):
        again = rows_to_csv(measures_of(weights, dataset), UnitMeasures)
        kept = text_of(folder / FILTERS_CSV)
        found.compare_lines(f"{place}/{FILTERS_CSV}", "", kept, again)
        measured = True
    return measured


def check_results(study: ResolvedStudy, out: Path, rows: Sequence[RunRow], found: Findings) -> None:
    """filters.csv, figures.csv and what REPORT.md tells, against what the runs' folders hold."""
    measured: list[MeasuredRun] | None = None
    with found.going_on(FILTERS_CSV):
        measured = measured_runs(out, rows)
        found.compare_lines(
            FILTERS_CSV,
            "",
            written_text(out / FILTERS_CSV),
            rows_to_csv(unit_rows(measured), UnitRow),
        )
    if measured is None:
        return
    with found.going_on(FIGURES_CSV):
        again = rows_to_csv(figure_rows(study, measured), FigureRow)
        found.compare_lines(FIGURES_CSV, "", written_text(out / FIGURES_CSV), again)
    with found.going_on(REPORT):
        _check_report(study, written_text(out / REPORT), rows, measured, found)


def _check_report(
    study: ResolvedStudy,
    report: str,
    rows: Sequence[RunRow],
    measured: Sequence[MeasuredRun],
    found: Findings,
) -> None:
    """Every sentence with a number in it, and the table of the runs."""
    judged = [(figure, judge(figure, measured)) for figure in study.figures]
    sentences = {figure.name: judgement.sentence for figure, judgement in judged if judgement}
    for what, told in (sentences | {"commits and minutes": f"` {provenance(rows)}."}).items():
        if told not in report:
            found.compare(REPORT, what, "", told)
    lines = report.split("\n")
    for line in runs_table(measured).split("\n"):
        if line not in lines:
            found.compare(REPORT, "every run", "", line)
