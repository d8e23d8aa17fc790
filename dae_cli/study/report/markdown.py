"""REPORT.md and its pictures, written by the command that ran the study."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.names import STUDY_FILE
from dae_cli.files import write_text
from dae_cli.machine import cores, cpu_name
from dae_cli.study.paper import sources
from dae_cli.study.report.figures import StudyPictures, save_pictures
from dae_cli.study.report.mismatches import (
    MISMATCHES,
    TRIED,
    mismatches_markdown,
    mismatches_told,
    tried_before,
    tried_markdown,
)
from dae_cli.study.report.saved_runs import page_command, read_saved_runs, write_curves
from dae_cli.study.report.selection import (
    SELECTED,
    SELECTION,
    TRIED_VALUES,
    TRYING,
    selection_markdown,
    trials_of,
    tried_values_markdown,
)
from dae_cli.study.report.table_markdown import (
    CLAIMING,
    CLAIMS,
    COMPARING,
    COMPARISONS,
    PAIRING,
    PAIRS,
    READING,
    TABLE,
    claims_markdown,
    comparisons_markdown,
    not_shown,
    pairs_markdown,
    table_markdown,
)
from dae_cli.study.rows import RunComparison, RunRow, TableRow, TrialRow
from dae_cli.study.tables import cells
from dae_cli.study.tables.cells import REGENERATED, UNVERIFIED, data_mark
from dae_cli.study.tables.claims import paper_claims
from dae_cli.study.tables.paper_table import has_other_models, paper_table
from dae_cli.study.tables.provenance import (
    changes,
    command_in,
    computed_with,
    differences_sentence,
    failures,
    provenance_sentence,
)

REPORT = "REPORT.md"

VERDICTS = """\
Intervals are p ± 1.96 · sqrt(p (1 − p) / n) over the n test rows, as in the paper; they say
nothing of the spread over seeds: where a cell has several, its error is their mean, and their
standard deviation stands behind it (sd). *better*: our interval lies below the paper's;
*matches*: they overlap; *worse*: ours lies above; *no reference*: the paper has no number for this
cell; *calibrated*: no verdict, and not counted, since the recipe of the data was calibrated to the
paper's number."""

BARS = """\
Bars are 95 % intervals over the test rows"""
AND_SEEDS = """, and of ours over the seeds too where a cell has several:
± 1.96 · sqrt(p (1 − p) / n + sd²), which says about where one more seed would lie; of few seeds
the standard deviation is itself uncertain. Verdicts take the intervals of the table"""
LINES = "A line joins cells of one model."

DESTRUCTION = """\
The paper's 0 % is its SAA-3 column; its SdA-3 column has one destruction for each data set."""

MODEL = """\
Each cell is compared with the paper's number of its model, whatever destruction was selected for
either; NNet is that of ICML 2007."""

REGENERATED_NOTE = """\
Rows marked *regenerated* were trained and tested on data made anew from the published recipe,
not on the authors' files: there the comparison with the paper is one of kind, not of digits."""

UNVERIFIED_NOTE = """\
Rows marked *unverified* were trained and tested on files that nothing shows to be the authors':
they were taken since the command said `--accept-unverified`. Their comparison with the paper means
nothing until the files are replaced."""


def write_report(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    command: str,
    tests: Sequence[RunComparison] = (),
) -> Path:
    """Write curves.csv, draw the pictures, write REPORT.md and return its path.

    Args:
        study: what was to be run.
        out: the folder of the results.
        rows: of runs.csv.
        table: of table.csv.
        command: that made them.
        tests: of mcnemar.csv.
    """
    done = [row.run for row in rows if not row.error]
    write_curves(out, done, fresh=done)
    pictures = save_pictures(study, out, rows, table, read_saved_runs(out))
    pairs, marks = pairs_markdown(tests), {data_mark(row) for row in table}
    trials = trials_of(out)
    selection, values = selection_markdown(trials), tried_values_markdown(trials.selecting)
    parts = [
        f"# {study.title or study.name}",
        study.paper,
        provenance_sentence(command, rows),
        changes(study, {row.cell for row in rows}),
        *_table_1(study, rows, table, tests, trials.selecting),
        "## Ours and the paper's",
        markdown_table(table, study.changed),
        "" if has_other_models(study) else sources(map(cells.paper_number, table)),
        f"{VERDICTS} {MODEL if study.reference == 'model' else DESTRUCTION}",
        REGENERATED_NOTE if REGENERATED in marks else "",
        UNVERIFIED_NOTE if UNVERIFIED in marks else "",
        differences_sentence(rows),
        failures(rows),
        *([f"## {PAIRS}", pairs, PAIRING] if pairs else []),
        *_mismatches(study, out, table),
        *([f"## {SELECTION}", selection, SELECTED] if selection else []),
        *([f"## {TRIED_VALUES}", values, TRYING] if values else []),
        *_picture_parts(pictures, several=any(row.sd_over_seeds is not None for row in table)),
        "## Every run",
        _runs_table(rows, has_other_models(study)),
        *closing(study, rows),
    ]
    path = out / REPORT
    write_text(path, "\n\n".join(part.strip() for part in parts if part) + "\n")
    return path


def recorded_command(out: Path) -> str:
    """Return the command that made the results in a folder, as their page or report tells it.

    A study on filters has no page. Empty where neither is there.
    """
    if command := page_command(out):
        return command
    try:
        return command_in((out / REPORT).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def closing(study: ResolvedStudy, rows: Sequence[RunRow]) -> list[str]:
    """Return how every report ends: data, settings, and the machine it was written on."""
    return [
        "## Data",
        _data_table(rows),
        "## Settings",
        "The resolved config of each cell, as `dae show` prints it.",
        f"```yaml\n{_settings(study)}\n```",
        # The runs may have been made elsewhere: their environment.json tells where.
        f"Written on {cpu_name()}, {cores()} cores; one thread a run, {computed_with(rows)}.",
    ]


def markdown_table(table: Sequence[TableRow], changed: Collection[str] = ()) -> str:
    """Return the study's table: ours | paper | gap | verdict, in percent of the test rows.

    Args:
        table: its rows.
        changed: cells that are not what their files say.
    """
    lines = [
        f"| {cells.heading(table)} | destruction | model | ours | paper | gap | verdict |",
        "|---|---:|---|---:|---:|---:|---|",
    ]
    for name, row in zip(cells.names(table, changed), table, strict=True):
        lines.append(
            f"| {name} | {row.destruction_percent:g} % | {row.model} | {cells.ours(row)} "
            f"| {cells.paper_marked(row)} | {cells.gap(row)} | {cells.verdict(row)} |"
        )
    return "\n".join(lines)


def facts(
    study: ResolvedStudy,
    out: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    tests: Sequence[RunComparison] = (),
) -> dict[str, str]:
    """Return, by heading, what in REPORT.md follows from the study and the results' CSV files.

    Tables, lists and settings; empty where REPORT.md has none below the heading.
    """
    whole = has_other_models(study)
    trials = trials_of(out)
    printed = paper_table(study, rows, table, trials.selecting)
    judged = paper_claims(printed, tests) if study.claims else []
    return {
        TABLE: table_markdown(printed) if whole else "",
        CLAIMS: claims_markdown(judged) if whole else "",
        COMPARISONS: comparisons_markdown(judged) if whole else "",
        "Ours and the paper's": markdown_table(table, study.changed),
        PAIRS: pairs_markdown(tests),
        MISMATCHES: mismatches_markdown(table, study.changed).replace("\n\n", "\n"),
        SELECTION: selection_markdown(trials),
        TRIED_VALUES: tried_values_markdown(trials.selecting),
        "Every run": _runs_table(rows, whole),
        "Data": _data_table(rows),
        "Settings": _settings(study),
    }


def _table_1(
    study: ResolvedStudy,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    tests: Sequence[RunComparison],
    trials: Sequence[TrialRow],
) -> list[str]:
    """The table as the paper prints it, and the claims; nothing for a study of SAA and SdA."""
    if not has_other_models(study):
        return []
    printed = paper_table(study, rows, table, trials)
    judged = paper_claims(printed, tests) if study.claims else []
    compared = comparisons_markdown(judged)
    return [
        f"## {TABLE}",
        table_markdown(printed),
        READING,
        not_shown(printed),
        sources(cell.paper for cell in printed.cells),
        *([f"## {CLAIMS}", claims_markdown(judged), CLAIMING] if judged else []),
        *([f"## {COMPARISONS}", compared, COMPARING] if compared else []),
    ]


def _mismatches(study: ResolvedStudy, out: Path, table: Sequence[TableRow]) -> list[str]:
    """The cells that do not match, and what the study's people have to say of them."""
    is_here = (study.source / STUDY_FILE).exists()
    tried = tried_markdown(study.source) if is_here else tried_before(out / REPORT)
    return [
        f"## {MISMATCHES}",
        mismatches_told(table),
        mismatches_markdown(table, study.changed),
        *([TRIED, tried] if tried else []),
    ]


def _picture_parts(pictures: StudyPictures, *, several: bool) -> list[str]:
    """The pictures there are; `several`: some cell has several seeds."""
    parts = []
    if pictures.errors:
        parts += [
            "## Error against destruction",
            f"![error against destruction]({pictures.errors})",
            f"{BARS}{AND_SEEDS if several else ''}. {LINES}",
        ]
    if pictures.curves:
        parts += [
            "## Learning curves",
            f"![validation error while fine-tuning]({pictures.curves})",
        ]
    if pictures.filters:
        parts += [
            "## First-layer filters",
            "Rows of W after pretraining, before fine-tuning; unit i starts from the same weights "
            "wherever first layers have as many units and the seed is the same, and all sheets of "
            "a data set share one grey scale.",
        ]
    for dataset, sheets in pictures.filters.items():
        parts += [f"### {dataset}", *(f"![{title}]({name})" for title, name in sheets)]
    return parts


def _runs_table(rows: Sequence[RunRow], linked: bool) -> str:
    """Every run; with a name to link to where the table as the paper prints it does so."""
    selected = cells.selected_heading(rows)
    lines = [
        f"| run | test error | wrong | validation error | {selected} | minutes | commit |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        run = f'{row.run} <a id="{row.run}"></a>' if linked else row.run
        if row.error:
            lines.append(f"| {run} | failed | | | | {row.minutes:.1f} | {row.commit} |")
        else:
            lines.append(
                f"| {run} | {row.test_error_percent:.2f} ± {row.half_width_95:.2f} "
                f"| {row.n_wrong} of {row.n_test} | {row.valid_error_percent:.2f} "
                f"| {cells.selected(row)} | {row.minutes:.1f} | {row.commit} |"
            )
    return "\n".join(lines)


def _data_table(rows: Sequence[RunRow]) -> str:
    """Return each set that was trained on, with its origin and digest."""
    lines = ["| dataset | origin | SHA-256 of the content |", "|---|---|---|"]
    lines += [
        f"| {name} | {source} | `{sha256}` |" for name, source, sha256 in cells.contents(rows)
    ]
    return "\n".join(lines)


def _settings(study: ResolvedStudy) -> str:
    """Return the resolved config of every cell."""
    resolved = [f"# {cell.name}\n{dump_yaml(cell.experiment)}" for cell in study.all_cells]
    return "\n".join(resolved).rstrip()
