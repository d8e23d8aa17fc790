"""The content of REPORT.md and report.html as data, computed once for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from pathlib import Path

from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.names import STUDY_FILE
from dae_cli.csvfile import read_rows
from dae_cli.data.datasets import is_drawn
from dae_cli.figures.series import Curves, ErrorSeries, LearningSeries
from dae_cli.study.report.datasets import (
    DatasetResults,
    dataset_results,
    is_autoencoder,
)
from dae_cli.study.report.saved_runs import SavedRuns
from dae_cli.study.rows import RunComparison, RunRow, TableRow, TrialRow
from dae_cli.study.tables import cells, provenance
from dae_cli.study.tables.claims import PaperClaim, paper_claims
from dae_cli.study.tables.comparisons import read_wrong_rows
from dae_cli.study.tables.paired import contenders_of
from dae_cli.study.tables.paper_table import PaperTable, has_other_models, paper_table
from dae_cli.study.tables.trials import EARLIER_CSV, SEARCH_CSV, best

TRIED_MD = "tried.md"


@dataclass(frozen=True, eq=False)
class Report:
    """Content of the reports of both kinds of study."""

    study: ResolvedStudy
    command: str
    """Command that made the runs."""
    machine: str
    """Machine on which the report was written."""
    rows: Sequence[RunRow]

    @property
    def title(self) -> str:
        """The study's title, or its name if it has none."""
        return self.study.title or self.study.name

    @property
    def effort(self) -> str:
        """Total time of the runs, each rounded as in the CSV."""
        minutes = fsum(round(row.minutes or 0.0, 1) for row in self.rows)
        if minutes < 1:
            return "less than a core minute"
        return f"{minutes:.0f} core minute{'s' * (minutes >= 1.5)}"

    @property
    def changes(self) -> str:
        """Sentence on what `--set` changed; empty if nothing."""
        return provenance.changes(self.study, {row.cell for row in self.rows})

    @property
    def settings(self) -> str:
        """The resolved settings of every cell."""
        each = [f"# {cell.name}\n{dump_yaml(cell.experiment)}" for cell in self.study.all_cells]
        return "\n".join(each).rstrip()

    @property
    def inputs(self) -> str:
        """What a row consists of: `pixels` if all data sets are of images, else `values`."""
        images = (is_drawn(self.study.dataset(row.dataset)) for row in self.rows)
        return "pixels" if all(images) else "values"

    @property
    def footer(self) -> list[tuple[str, str]]:
        """Names and values of the provenance at the end of the page; unknown values are empty."""

        def each(column: str) -> str:
            values = dict.fromkeys(str(getattr(row, column)) for row in self.rows)
            return ", ".join(filter(None, values))

        return [
            ("command", self.command),
            ("commits", ", ".join(provenance.commits_of(self.rows)) or "an installed package"),
            ("versions", each("versions")),
            ("engines", each("engine")),
            ("numerics", each("numerics")),
            ("devices", each("device")),
        ]


@dataclass(frozen=True, eq=False)
class TableReport(Report):
    """Content of the reports of a table study; `curves` are by run."""

    table: Sequence[TableRow]
    tests: Sequence[RunComparison]
    trials: Trials
    printed: PaperTable | None
    """Table 1 in the paper's form; None if the study has only SAA and SdA."""
    claims: Sequence[PaperClaim]
    tried: str
    curves: dict[str, Curves]
    datasets: Sequence[DatasetResults]

    @property
    def error_charts(self) -> list[ErrorSeries]:
        """Series of the error plot; none if the study compares models, each at one destruction."""
        every = [dataset.errors for dataset in self.datasets]
        return [] if self.study.reference == "model" else [one for one in every if one is not None]

    @property
    def learning_charts(self) -> list[LearningSeries]:
        """Series of the plot of learning curves."""
        every = [dataset.learning for dataset in self.datasets]
        return [one for one in every if any(run.curves.valid for run in one.runs)]

    @property
    def pairs(self) -> list[list[RunComparison]]:
        """McNemar's tests of pairs with an SdA; one list of seeds per pair."""
        pairs: dict[tuple[str, str], list[RunComparison]] = {}
        for test in self.tests:
            if test.model_a.startswith("SdA-") or test.model_b.startswith("SdA-"):
                pairs.setdefault((test.cell_a, test.cell_b), []).append(test)
        return list(pairs.values())

    @property
    def baselines(self) -> list[tuple[str, str]]:
        """Data sets whose cells are compared, each with its baseline."""
        return [(one.name, one.baseline) for one in self.datasets if one.baseline]

    @property
    def models(self) -> str:
        """Explanation of the models' names."""
        printed = self.printed.headings if self.printed else ()
        papers = (row.paper_model for row in self.table)
        return cells.spelt_out([*(row.model for row in self.table), *papers, *printed])

    @property
    def several_seeds(self) -> bool:
        """Whether a cell has several seeds with a result."""
        return any(row.sd_over_seeds is not None for row in self.table)

    @property
    def has_paper_numbers(self) -> bool:
        """Whether a row has a published number to compare with."""
        return any(row.paper_error_percent is not None for row in self.table)

    @property
    def seed_counts(self) -> list[int]:
        """Numbers of seeds that cells with a result have, each number once."""
        return sorted({len(row.seeds.split()) for row in self.table if row.seeds})

    @property
    def levels(self) -> list[float]:
        """Destructions of the study, in percent."""
        return sorted({0.0} | {r.destruction_percent for r in self.table if is_autoencoder(r)})

    @property
    def image_sizes(self) -> str:
        """Sizes of the filters' images: ``12 × 10``, or ``12 × 10 × 3`` for colours."""
        images = [
            shown.filters.image for dataset in self.datasets for shown in dataset.filters.shown
        ]
        return ", ".join(dict.fromkeys(" × ".join(map(str, image)) for image in images))

    @cached_property
    def places(self) -> dict[str, int]:
        """Position of each run in the list of runs."""
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
    """Return the content of the reports of a table study, with the trials in `source`.

    Raises RunFolderError if a run's folder, search.csv or search_earlier.csv is damaged.
    """
    searched = (read_rows(source / name, TrialRow) for name in (SEARCH_CSV, EARLIER_CSV))
    trials = Trials(*searched)
    whole = has_other_models(study) and not study.is_own_data_study
    printed = paper_table(study, rows, table, trials.selecting) if whole else None
    done = [row.run for row in rows if not row.error]
    curves = {run: own for run in done if (own := saved.curves_of(run)) is not None}
    contenders = contenders_of(rows, read_wrong_rows(source, rows))
    datasets = [
        dataset_results(
            study,
            [row for row in rows if row.dataset == name],
            [row for row in table if row.dataset == name],
            saved,
            curves,
            [one for one in contenders if one.test_rows[0] == name],
        )
        for name in dict.fromkeys(row.dataset for row in table)
    ]
    return TableReport(
        study=study,
        command=command,
        machine=machine,
        rows=rows,
        table=table,
        tests=tests,
        trials=trials,
        printed=printed,
        claims=paper_claims(printed, tests, contenders) if printed and study.claims else [],
        tried=_read_tried(study, source),
        curves=curves,
        datasets=datasets,
    )


# How the settings were selected


@dataclass(frozen=True)
class Trials:
    """Trials of a study's searches."""

    selecting: Sequence[TrialRow]
    """Rows of search.csv, from which the settings were selected."""
    earlier: Sequence[TrialRow]
    """Rows of search_earlier.csv."""

    @property
    def counts(self) -> list[tuple[str, ...]]:
        """Counts of trials per cell and in total; empty without a search.

        Cell, sampler, trials, complete, pruned, failed, minutes, earlier trials and their minutes.
        """
        if not self.selecting:
            return []
        lines = []
        for name in dict.fromkeys(trial.cell for trial in [*self.selecting, *self.earlier]):
            own = [trial for trial in self.selecting if trial.cell == name]
            before = [trial for trial in self.earlier if trial.cell == name]
            unverified = any(trial.trust == "unverified" for trial in own)
            mark = f" ({cells.UNVERIFIED})" if unverified else ""
            lines.append(_counts(f"{name}{mark}", own, before))
        if len(lines) > 1:
            lines.append(_counts("all", self.selecting, self.earlier))
        return lines

    @property
    def values(self) -> list[tuple[TrialRow, list[tuple[str, list[str], str]]]]:
        """Each cell's selected trial, and by setting all values tried and the selected one.

        Cells without a completed trial are left out.
        """
        values = []
        for name in dict.fromkeys(trial.cell for trial in self.selecting):
            own = [trial for trial in self.selecting if trial.cell == name]
            if (selected := best(own)) is not None:
                settings = [(k, _values_of(k, own), v) for k, v in selected.settings.items()]
                values.append((selected, settings))
        return values


def _counts(name: str, own: Sequence[TrialRow], earlier: Sequence[TrialRow]) -> tuple[str, ...]:
    states = [trial.state for trial in own]
    complete, pruned = states.count("complete"), states.count("pruned")
    counts = [len(own), complete, pruned, len(own) - complete - pruned]
    minutes = [fsum(t.minutes or 0.0 for t in trials) for trials in (own, earlier)]
    samplers = " ".join(dict.fromkeys(trial.sampler for trial in own))
    numbers = [*map(str, counts), f"{minutes[0]:.0f}", str(len(earlier)), f"{minutes[1]:.0f}"]
    return name, samplers, *numbers


def _values_of(key: str, trials: Sequence[TrialRow]) -> list[str]:
    """Return all values of a setting: numbers by size, then words."""

    def by_size(value: str) -> tuple[float, str]:
        try:
            return float(value), value
        except ValueError:
            return float("inf"), value

    return sorted({trial.settings[key] for trial in trials if key in trial.settings}, key=by_size)


# tried.md


def _read_tried(study: ResolvedStudy, source: Path) -> str:
    """Return the study's tried.md, or its copy in the results if the study's folder is not here.

    Empty if there is none.
    """
    folder = study.source if (study.source / STUDY_FILE).exists() else source
    try:
        text = (folder / TRIED_MD).read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return ""
    return text if text.strip() else ""
