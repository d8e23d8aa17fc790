"""What REPORT.md and report.html show of a study, as data: computed once, printed by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.names import STUDY_FILE
from dae_cli.errors import plain
from dae_cli.figures.saving import png_text
from dae_cli.figures.series import Curves, ErrorSeries, Interval, LearningSeries
from dae_cli.study.paper import CALIBRATED
from dae_cli.study.report.saved_runs import SavedRuns, ShownFilters, first_seeds
from dae_cli.study.report.selection import Trials, read_search_trials
from dae_cli.study.report.series import (
    differ_in_destruction,
    error_series,
    is_autoencoder,
    labels_of,
    learning_series,
    our_error,
    paper_error,
    same_start,
)
from dae_cli.study.rows import RunComparison, RunRow, TableRow
from dae_cli.study.run.job import SHEETS
from dae_cli.study.tables import cells
from dae_cli.study.tables.claims import PaperClaim, paper_claims
from dae_cli.study.tables.paper_table import (
    NO_NUMBER,
    PaperTable,
    best_and_overlapping,
    has_other_models,
    paper_table,
)
from dae_cli.study.tables.provenance import (
    Provenance,
    Remark,
    changes,
    commits_of,
    mixture,
    provenance,
)

TRIED_MD = "tried.md"
FENCE = "```"
MOST_BYTES = 200_000
"""Of tried.md; what is longer is cut."""
Facts = Sequence[tuple[str, str]]
"""What is given, and its value."""


@dataclass(frozen=True, eq=False)
class Report:
    """What reports of both kinds of study show.

    Attributes:
        command: that made the runs.
        machine: that the report was written on.
        rows: of runs.csv.
    """

    study: ResolvedStudy
    command: str
    machine: str
    rows: Sequence[RunRow]

    @property
    def title(self) -> str:
        """The study's title, or its name."""
        return self.study.title or self.study.name

    @property
    def provenance(self) -> Provenance:
        """Commits, runs and their time."""
        return provenance(self.rows)

    @property
    def changes(self) -> Remark | None:
        """What `--set` changed."""
        return changes(self.study, {row.cell for row in self.rows})

    @property
    def mixture(self) -> Remark | None:
        """What the rows differ in and should not."""
        return mixture(self.rows)

    @property
    def settings(self) -> str:
        """The resolved config of every cell."""
        each = [f"# {cell.name}\n{dump_yaml(cell.experiment)}" for cell in self.study.all_cells]
        return "\n".join(each).rstrip()


@dataclass(frozen=True, eq=False)
class DatasetResults:
    """One data set of a table's study.

    Attributes:
        runs, table: its rows of runs.csv and of table.csv.
        labels: of its cells, such as `SdA-3, 25 %`.
        bold: cells that the paper would print bold.
        errors: None where two cells share a place.
        shown: the first filters of its cells, on one grey scale up to `limit`.
        sheets: title and file name of each picture of them, that of all cells first, if any.
        drawn: whether these pictures are as they should be already.
    """

    study: ResolvedStudy
    name: str
    runs: Sequence[RunRow]
    table: Sequence[TableRow]
    labels: dict[str, str]
    bold: frozenset[str]
    errors: ErrorSeries | None
    learning: LearningSeries
    shown: Sequence[ShownFilters]
    limit: float
    sheets: Sequence[tuple[str, str]]
    drawn: bool

    @property
    def origin(self) -> str:
        """Where its data are from."""
        return cells.origin(self.runs[0])

    @property
    def has_levels(self) -> bool:
        """Whether there are errors of ours at several destructions."""
        return self.errors is not None and len(self.errors.ours) > 1

    @property
    def intervals(self) -> list[Interval | None]:
        """Every interval of its cells, which share a scale in the page's table."""
        return [error for row in self.table for error in (our_error(row), paper_error(row))]

    @property
    def filters_by(self) -> str:
        """What the page's slider goes through: destruction, or model."""
        return "destruction" if differ_in_destruction([s.row for s in self.shown]) else "model"

    @property
    def same_start(self) -> bool:
        """Whether the units shown begin with the same weights in every sheet."""
        return same_start(self.study, [shown.row for shown in self.shown])

    def row_of(self, cell: str) -> TableRow:
        """The row of table.csv of a cell."""
        return next(row for row in self.table if row.cell == cell)

    def details(self, row: TableRow) -> Facts:
        """What the page shows of a cell on request: seeds, counts, time, data and code."""
        valid, wrong = row.valid_error_percent, row.n_wrong.replace(" ", ", ")
        odd = [run for run in self.runs if run.cell == row.cell and run.remark and not run.error]
        return _known(
            ("cell", row.cell),
            ("changed by --set", self.study.changed.get(row.cell, "")),
            ("seeds", row.seeds.replace(" ", ", ")),
            ("wrong", f"{wrong} of {row.n_test} test rows" if row.n_test else ""),
            ("validation error", "" if valid is None else f"{valid:.2f} %"),
            ("minutes", "" if row.minutes is None else f"{row.minutes:.1f} of one core, all seeds"),
            ("data", cells.origin(row)),
            ("engine", ", ".join(part for part in (row.engine, row.device) if part)),
            ("numerics", row.numerics),
            ("commit", row.commit or "from an installed package"),
            ("at chance", ", ".join(f"seed {r.seed}: {r.remark}" for r in odd)),
            ("failed", row.error),
        )


@dataclass(frozen=True, eq=False)
class TableReport(Report):
    """What the reports of a study of a table show.

    Attributes:
        table: rows of table.csv.
        tests: of mcnemar.csv.
        printed: the table as the paper has it; None of a study of SAA and SdA.
        claims: the paper's, and what becomes of them.
        tried: what people wrote of what they tried, in Markdown.
        curves: by run.
    """

    table: Sequence[TableRow]
    tests: Sequence[RunComparison]
    trials: Trials
    printed: PaperTable | None
    claims: Sequence[PaperClaim]
    tried: str
    curves: dict[str, Curves]
    datasets: Sequence[DatasetResults]

    @property
    def error_charts(self) -> list[ErrorSeries]:
        """Those of the plot; none of a study that compares models, each at one destruction."""
        every = [dataset.errors for dataset in self.datasets]
        return [] if self.study.reference == "model" else [one for one in every if one is not None]

    @property
    def learning_charts(self) -> list[LearningSeries]:
        """Those of the plot."""
        every = [dataset.learning for dataset in self.datasets]
        return [one for one in every if any(run.curves.valid for run in one.runs)]

    @property
    def pairs(self) -> list[list[RunComparison]]:
        """The comparisons of every two cells of which one is an SdA, seed by seed."""
        pairs: dict[tuple[str, str], list[RunComparison]] = {}
        for test in self.tests:
            if test.model_a.startswith("SdA-") or test.model_b.startswith("SdA-"):
                pairs.setdefault((test.cell_a, test.cell_b), []).append(test)
        return list(pairs.values())

    @property
    def data_marks(self) -> set[str]:
        """What verdicts are marked with."""
        return {cells.data_mark(row) for row in self.table}

    @property
    def several_seeds(self) -> bool:
        """Whether some cell has several seeds with a result."""
        return any(row.sd_over_seeds is not None for row in self.table)

    @property
    def levels(self) -> list[float]:
        """Destructions that occur, in percent."""
        return sorted({0.0} | {r.destruction_percent for r in self.table if is_autoencoder(r)})

    @property
    def image_sizes(self) -> str:
        """Sizes of the images that filters are of: ``12 × 10``, of colours ``12 × 10 × 3``."""
        images = [shown.filters.image for dataset in self.datasets for shown in dataset.shown]
        return ", ".join(dict.fromkeys(" × ".join(map(str, image)) for image in images))

    @property
    def footer(self) -> Facts:
        """Command, commits, versions and so on, which the page ends with."""

        def each(values: Sequence[str]) -> str:
            return ", ".join(dict.fromkeys(value for value in values if value))

        return _known(
            ("command", self.command),
            ("commits", ", ".join(commits_of(self.rows)) or "an installed package"),
            ("versions", each([row.versions for row in self.rows])),
            ("engines", each([row.engine for row in self.rows])),
            ("numerics", each([str(row.numerics) for row in self.rows])),
            ("devices", each([row.device for row in self.rows])),
        )

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each run in the list of runs."""
        return {row.run: place for place, row in enumerate(self.rows)}


def table_report(
    study: ResolvedStudy,
    source: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    tests: Sequence[RunComparison],
    saved: SavedRuns,
    command: str,
    machine: str,
) -> TableReport:
    """Return what the reports of a study of a table show.

    Args:
        source: the results folder whose trials and pictures are looked at.
        saved: curves and filters of its runs.

    Raises:
        RunFolderError: what a run's folder holds is damaged.
    """
    trials = read_search_trials(source)
    whole = has_other_models(study) and not study.is_own_data_study
    printed = paper_table(study, rows, table, trials.selecting) if whole else None
    done = [row.run for row in rows if not row.error]
    curves = {run: own for run in done if (own := saved.curves_of(run)) is not None}
    return TableReport(
        study=study,
        command=command,
        machine=machine,
        rows=rows,
        table=table,
        tests=tests,
        trials=trials,
        printed=printed,
        claims=paper_claims(printed, tests) if printed and study.claims else [],
        tried=tried_markdown(tried_text(study, source)),
        curves=curves,
        datasets=[
            _dataset(
                study,
                source,
                [row for row in rows if row.dataset == name],
                [row for row in table if row.dataset == name],
                saved,
                curves,
            )
            for name in dict.fromkeys(row.dataset for row in table)
        ],
    )


def _dataset(
    study: ResolvedStudy,
    source: Path,
    rows: Sequence[RunRow],
    table: Sequence[TableRow],
    saved: SavedRuns,
    curves: dict[str, Curves],
) -> DatasetResults:
    labels = labels_of(table, study.changed)
    done = [row for row in rows if not row.error]
    shown, limit = saved.shown_filters(done, study.dataset(rows[0].dataset))
    drawn = False
    sheets = sheet_names(study, [one.row for one in shown])
    if all(one.sheet_limit == limit for one in shown):
        # Nothing is known but what the sheets say; some may be of runs of which no tile is.
        first = first_seeds(done)
        if drawn := bool(first) and _are_of(source, sheet_names(study, first), first):
            sheets = sheet_names(study, first)
    bold = best_and_overlapping(
        [
            NO_NUMBER if row.verdict == CALIBRATED else (row.test_error_percent, row.half_width_95)
            for row in table
        ]
    )
    return DatasetResults(
        study=study,
        name=rows[0].dataset,
        runs=rows,
        table=table,
        labels=labels,
        bold=frozenset(row.cell for row, is_bold in zip(table, bold, strict=True) if is_bold),
        errors=error_series(study, table),
        learning=learning_series(rows, table, labels, curves),
        shown=shown,
        limit=limit,
        sheets=sheets,
        drawn=drawn,
    )


def sheet_names(study: ResolvedStudy, rows: Sequence[RunRow]) -> list[tuple[str, str]]:
    """Return title and file name of each sheet of a data set; that of all rows first, if any.

    There is one for cells that differ in destruction: units can be followed from one panel to the
    next.
    """
    if not rows:
        return []
    dataset, labels = rows[0].dataset, labels_of(rows, study.changed)
    single = [(f"{dataset}, {labels[row.cell]}", f"{SHEETS}/{row.cell}.png") for row in rows]
    if not differ_in_destruction(rows):
        return single
    return [(f"{dataset}, every destruction", f"{SHEETS}/{dataset}.png"), *single]


def _are_of(folder: Path, sheets: Sequence[tuple[str, str]], rows: Sequence[RunRow]) -> bool:
    """Return whether sheets, that of all rows first, say that they are of these runs."""
    whole, single = sheets[: -len(rows)], sheets[-len(rows) :]
    return all(runs_on(folder / name) == [row.run for row in rows] for _, name in whole) and all(
        row.run in runs_on(folder / name) for row, (_, name) in zip(rows, single, strict=True)
    )


def runs_on(sheet: Path) -> list[str]:
    """Return the runs that a sheet says it is of; of none where there is no sheet that does."""
    return png_text(sheet, "Runs").split(", ")


def tried_text(study: ResolvedStudy, source: Path) -> str:
    """Return what people wrote of what they tried where a cell does not match.

    From the study's tried.md, or its copy in the results where the study's folder is not here.
    Empty if there is none.
    """
    folder = study.source if (study.source / STUDY_FILE).exists() else source
    try:
        with (folder / TRIED_MD).open("rb") as file:
            return file.read(MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""


def tried_markdown(text: str) -> str:
    """Return the text of tried.md with its headings below those of the report."""
    lines, fenced = [], False
    for line in plain(text.replace("\r\n", "\n").replace("\t", "    ")).split("\n"):
        fenced ^= line.lstrip().startswith(FENCE)
        is_heading = line.startswith("#") and not fenced
        level = len(line) - len(line.lstrip("#"))
        lines.append("#" * min(6, level + 3) + line.lstrip("#") if is_heading else line)
    return "\n".join([*lines, *([FENCE] if fenced else [])]).strip()


def _known(*facts: tuple[str, str]) -> Facts:
    """Those that have a value."""
    return [(what, value) for what, value in facts if value]
