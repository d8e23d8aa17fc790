"""Rows of runs.csv that earlier commands wrote: which stay, which go, and why that may be refused.

No row that has a result leaves the table without the user's word, unless it is one of the
study's reference rows, which every copy of the package has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import ResolvedStudy, load_resolved
from dae_cli.config.names import label
from dae_cli.config.saved_settings import (
    SETTINGS,
    format_misfits,
    format_value,
    read_settings,
)
from dae_cli.config.schema import AnyExperiment
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS, OwnDataset
from dae_cli.errors import ConfigError, RunFolderError, some
from dae_cli.study.plan import Plan
from dae_cli.study.reference import is_reference, reference_rows
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.job import (
    CONFIG,
    RUNS,
    config_sha256,
    default_out,
    is_run_name,
    run_name,
    with_seed,
)
from dae_cli.study.run.record import read_status
from dae_cli.training.version import NUMERICS_VERSION


class EarlierRows:
    """The rows of runs.csv beside a plan.

    They were written by earlier commands, or by one that shares the folder. They stay if their
    settings are still what the study says and their data are the same: results of other settings
    or data are never mixed in. A row that another version of the numerics computed stays until the
    run of its cell and seed has one of this version.

    Args:
        plan: what a command asks for.
        newer: cells and names of runs that have a newer row; cells may share a run.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """

    def __init__(self, plan: Plan, newer: Collection[tuple[str, str]] = ()) -> None:
        self.plan = plan
        self.path = plan.out / RUNS_CSV
        self.data = {planned.job.data.name: planned.job.data for planned in plan.runs}
        self.cells = _by_cell(plan.study)
        self.rows = read_results(self.path, RunRow)
        self.current: dict[str, str] = {}
        """By run: the name that the run of its cell, seed and data has with these numerics."""
        self.stay: list[RunRow] = []
        self.gone: list[RunRow] = []
        for row in self.rows:
            if (row.cell, row.run) not in newer:
                stays = self._is_of_study(row) and (row.cell, self.current[row.run]) not in newer
                (self.stay if stays else self.gone).append(row)

    def _is_of_study(self, row: RunRow) -> bool:
        """Tell whether a row's settings and data are those of the study, by its own numerics."""
        if row.cell not in self.cells:
            return False
        experiment = with_seed(self.cells[row.cell], row.seed)
        self.current[row.run] = run_name(experiment, row.data_sha256)
        return (
            row.config_sha256 == config_sha256(experiment, row.numerics)
            and row.run == run_name(experiment, row.data_sha256, row.numerics)
            and (row.dataset not in self.data or self.data[row.dataset].sha256 == row.data_sha256)
        )

    @cached_property
    def outdated(self) -> list[RunRow]:
        """Those that stay in whose place the plan makes runs of these numerics."""
        asked = {planned.job.name for planned in self.plan.runs}
        return [r for r in self.stay if r.run not in asked and self.current[r.run] in asked]

    @cached_property
    def renamed(self) -> dict[str, str]:
        """By run: the name that its cell has now, where a finished run has another name."""
        here = {p.job.name: p.job.cell for p in self.plan.runs if p.state == "done"}
        return {row.run: here[row.run] for row in self.gone if row.run in here}

    @property
    def lost(self) -> list[RunRow]:
        """The rows that are lost unless the user keeps them.

        What failed has no result to lose, and a finished run under another cell keeps its row.
        """
        leaving = [*self.gone, *self.outdated]
        reference = reference_rows(self.plan.study.source) if leaving else []
        return [
            row
            for row in leaving
            if not row.error and row.run not in self.renamed and not is_reference(row, reference)
        ]

    def require_kept(self) -> None:
        """Make sure that no row is lost which the user has not given up.

        Raises:
            RunFolderError: one would be.
        """
        lost = [] if self.plan.replaces else self.lost
        if lost:
            raise RunFolderError(
                f"{self.path}: rows of other settings, data or numerics would be lost "
                f"({names_of(lost)}):\n{self._reasons(lost)}\n"
                f"{self._same_data(lost)}choose another folder with --out, or give these rows up "
                "with --replace"
            )

    def require_current(self) -> None:
        """Make sure that no row would leave the tables of a command that makes no run.

        Raises:
            RunFolderError: runs.csv has rows of other settings or numerics.
        """
        if self.gone:
            name = self.plan.study.name
            raise RunFolderError(
                f"{self.path}: has rows of other settings or numerics than those of {name} "
                f"({names_of(self.gone)}), which would be lost:\n{self._reasons(self.gone)}\n"
                f"{self._report_as_it_is()}{self._rerun_advice()}"
            )

    def notes(self) -> list[str]:
        """Return which rows leave the tables, and why."""
        out, leaving = self.plan.out, [*self.gone, *self.outdated]
        new_names = [(r.cell, self.renamed[r.run]) for r in leaving if r.run in self.renamed]
        found = [
            f"{out}: the cell {old} is named {new} now, and so are its rows"
            for old, new in dict.fromkeys(new_names)
        ]
        leaving = [row for row in leaving if row.run not in self.renamed]
        if failed := [row for row in leaving if row.error]:
            found.append(f"{out}: rows of runs that failed leave: {names_of(failed)}")
        if names := names_of([row for row in leaving if not row.error]):
            why = (
                f"given up by --replace: {names}"
                if self.plan.replaces
                else f"your runs take the place of the reference's ({names}) in these tables; the "
                "reference itself stays, and yours are compared with it at the end"
            )
            found.append(f"{out}: {why}")
        return found

    # Advice and reasons in messages

    def _report_as_it_is(self) -> str:
        """The advice to report a folder with the settings that it keeps, if all rows have them.

        Raises:
            ConfigError: settings.yaml is not as dae writes it.
        """
        out = self.plan.out
        if not (out / SETTINGS).is_file():
            return ""
        saved = replace(self.plan, study=read_settings(out / SETTINGS, out))
        if EarlierRows(saved).gone:
            return ""
        return f"dae report {label(out)} reports them with their own settings; "

    def _rerun_advice(self) -> str:
        """The advice to run what the study has now."""
        name, out = self.plan.study.name, self.plan.out
        command = f"dae replicate {name}"
        if out.absolute() != default_out(name, ()).absolute():
            command += f" --out {label(out)} (with its --set, if any)"
        if all(self._name_now(row) for row in self.gone):
            return f"{command} gives rows their new names where their runs are here"
        return (
            f"{command} --replace makes the study's own in their place; --out DIR keeps both apart"
        )

    def _same_data(self, rows: Sequence[RunRow]) -> str:
        """The advice to use the data of the rows, where others are here now."""
        ways = dict[str, None]()
        for row in rows:
            now = self.data.get(row.dataset)
            if now is not None and now.sha256 != row.data_sha256:
                ways[_option_for_data(row, now)] = None
        return f"use the data of these rows again ({', '.join(ways)}), " if ways else ""

    def _name_now(self, row: RunRow) -> str:
        """The cell that has the settings of a row now; empty where there is none."""
        for name, experiment in self.cells.items():
            if config_sha256(with_seed(experiment, row.seed), row.numerics) == row.config_sha256:
                return name
        return ""

    def _reasons(self, rows: Sequence[RunRow]) -> str:
        """Return what of rows is not as planned, each thing with both values and its cells."""
        known = recorded_settings(self.plan.study, self.plan.out, rows)
        found: dict[str, dict[str, None]] = {}
        for row in rows:
            for reason in self._reasons_of(row, known.get(row.cell)):
                found.setdefault(reason, {})[row.cell] = None
        return format_misfits({reason: list(cells) for reason, cells in found.items()})

    def _reasons_of(self, row: RunRow, there: AnyExperiment | None) -> list[str]:
        now = self.cells.get(row.cell)
        if now is None:
            name = self._name_now(row)
            return [f"the study has no cell {row.cell}{f'; {name} has its settings' * bool(name)}"]
        reasons = []
        if there is not None:
            own, asked = (flat_settings(with_seed(e, row.seed)) for e in (there, now))
            reasons = [
                f"{key}: {format_value(own.get(key))} in the folder, "
                f"{format_value(asked.get(key))} now"
                for key in dict.fromkeys([*own, *asked])
                if own.get(key) != asked.get(key)
            ]
        data = self.data.get(row.dataset)
        if data is not None and data.sha256 != row.data_sha256:
            reasons.append(
                f"data of {row.dataset}: SHA-256 {row.data_sha256[:12]}… in the folder "
                f"({_source_of(self.plan.out, row)}), {data.sha256[:12]}… now "
                f"({data.source or data.standing})"
            )
        if row.numerics != NUMERICS_VERSION:
            reasons.append(f"numerics: {row.numerics} in the folder, {NUMERICS_VERSION} now")
        unknown = (
            "numerics" if there is not None else "settings or numerics that nothing here tells"
        )
        return reasons or [f"other {unknown}"]


def names_of(rows: Sequence[RunRow]) -> str:
    """Return cell and seed of rows, the first few of many."""
    return some([f"{row.cell} seed {row.seed}" for row in rows])


def recorded_settings(
    study: ResolvedStudy, out: Path, rows: Sequence[RunRow]
) -> Mapping[str, AnyExperiment]:
    """Return, by cell, what is known of the settings that rows were made with; the lowest seed.

    From settings.yaml and the run's own folder; without either, those of the study where the row
    has their digest.

    Raises:
        ConfigError: settings.yaml is not as dae writes it.
    """
    saved: dict[str, AnyExperiment] = {}
    if (out / SETTINGS).is_file():
        saved = _by_cell(read_settings(out / SETTINGS, out))
    of_study, known = _by_cell(study), dict[str, AnyExperiment]()
    for row in sorted(rows, key=lambda row: row.seed):
        if row.cell in known:
            continue
        recorded = [saved[row.cell]] if row.cell in saved else []
        if is_run_name(row.run):
            with suppress(ConfigError):
                recorded.append(load_resolved(out / RUNS / row.run / CONFIG))
        asked = [of_study[row.cell]] if row.cell in of_study else []
        seeded = [with_seed(experiment, row.seed) for experiment in (*recorded, *asked)]
        sure = [e for e in seeded if config_sha256(e, row.numerics) == row.config_sha256]
        if candidates := sure or seeded[: len(recorded)]:
            known[row.cell] = candidates[0]
    return known


def _by_cell(study: ResolvedStudy) -> dict[str, AnyExperiment]:
    return {cell.cell: cell.experiment for cell in study.all_cells}


def _option_for_data(row: RunRow, now: Prepared) -> str:
    """The option with which a command that has other data now would have those of a row."""
    if row.dataset == PHOTOGRAPHS:
        own = (row.data_origin, now.origin) == ("original", "own")
        return "without --photos" if own else "--photos DIR"
    if isinstance(now.name, OwnDataset):
        return f"put back the files that {now.name.path} declared then"
    return "--origin regenerated" if row.data_origin == "regenerated" else "--data-dir DIR"


def _source_of(out: Path, row: RunRow) -> str:
    """Where the data of a row came from, in words, as far as its run or the row says."""
    if is_run_name(row.run):
        with suppress(RunFolderError):
            status = read_status(out / RUNS / row.run)
            if status.data_sha256 == row.data_sha256 and status.data_source:
                return status.data_source
    of_own = "own photographs" if row.dataset == PHOTOGRAPHS else "own data"
    return of_own if row.data_origin == "own" else f"{row.data_origin} data"
