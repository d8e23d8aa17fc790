"""Rows of runs.csv that earlier commands wrote: which stay, which go, and why that may be refused.

No row that has a result leaves the table without the user's word, unless it is one of the
study's reference rows, which every copy of the package has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import ResolvedStudy, load_resolved
from dae_cli.config.names import label
from dae_cli.config.saved_settings import (
    SETTINGS,
    format_misfits,
    format_value,
    read_settings,
    some,
)
from dae_cli.config.schema import AnyExperiment
from dae_cli.data.dataset import Prepared
from dae_cli.data.datasets import PHOTOGRAPHS, OwnDataset
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.plan import Plan, default_out, with_seed
from dae_cli.study.reference import is_reference, reference_rows
from dae_cli.study.rows import RunRow, read_results
from dae_cli.study.run.job import CONFIG, RUNS, config_sha256, is_run_name, run_name
from dae_cli.study.run.record import read_status
from dae_cli.training.version import NUMERICS_VERSION

RUNS_CSV = "runs.csv"


def earlier_rows(plan: Plan, made: Collection[str] = ()) -> tuple[list[RunRow], list[RunRow]]:
    """Return the rows of runs.csv that stay beside those of the runs `made`, and those that go.

    They were written by earlier commands, or by one that shares the folder. They stay if their
    settings are still what the study says and their data are the same: results of other settings
    or data are never mixed in. A row that another version of the numerics computed stays until the
    run of its cell and seed is made with this one.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """
    every = read_results(plan.out / RUNS_CSV, RunRow)
    rows = [row for row in every if row.run not in made]
    stay = [row for row in rows if _is_of(plan, row) and _current_run(plan, row) not in made]
    return stay, [row for row in rows if row not in stay]


def outdated(plan: Plan, rows: Sequence[RunRow]) -> list[RunRow]:
    """Return those of the rows that stay in whose place the plan makes runs of these numerics."""
    asked = {planned.job.name for planned in plan.runs}
    return [row for row in rows if row.run not in asked and _current_run(plan, row) in asked]


def require_current(plan: Plan) -> None:
    """Make sure that no row would leave the tables of a command that makes no run.

    Raises:
        RunFolderError: runs.csv has rows of other settings or numerics, or is none that dae wrote.
    """
    _, gone = earlier_rows(plan)
    if gone:
        name = plan.study.name
        raise RunFolderError(
            f"{plan.out / RUNS_CSV}: has rows of other settings or numerics than those of {name} "
            f"({names_of(gone)}), which would be lost:\n{_reasons(plan, gone)}\n"
            f"{_report_as_it_is(plan)}{_rerun_advice(plan, gone)}"
        )


def _report_as_it_is(plan: Plan) -> str:
    """The advice to report a folder with the settings that it keeps, where all its rows have them.

    Raises:
        ConfigError: settings.yaml is not as dae writes it.
    """
    if not (plan.out / SETTINGS).is_file():
        return ""
    kept = read_settings(plan.out / SETTINGS, plan.out)
    _, gone = earlier_rows(replace(plan, study=kept))
    return "" if gone else f"dae report {label(plan.out)} reports them with their own settings; "


def _rerun_advice(plan: Plan, gone: Sequence[RunRow]) -> str:
    """The advice to run what the study has now."""
    command = f"dae replicate {plan.study.name}"
    if plan.out.absolute() != default_out(plan.study.name, ()).absolute():
        command += f" --out {label(plan.out)} (with its --set, if any)"
    if all(_named_now(plan, row) for row in gone):
        return f"{command} gives rows their new names where their runs are here"
    return f"{command} --replace makes the study's own in their place; --out DIR keeps both apart"


def require_rows_kept(plan: Plan, made: Collection[str] = ()) -> None:
    """Make sure that no row is lost which the user has not given up.

    Raises:
        RunFolderError: one would be, or runs.csv is not one that dae wrote.
    """
    lost = [] if plan.replaces else rows_lost(plan, made)
    if lost:
        raise RunFolderError(
            f"{plan.out / RUNS_CSV}: rows of other settings, data or numerics would be lost "
            f"({names_of(lost)}):\n{_reasons(plan, lost)}\n"
            f"{_same_data(plan, lost)}choose another folder with --out, or give these rows up "
            "with --replace"
        )


def rows_lost(plan: Plan, made: Collection[str] = ()) -> list[RunRow]:
    """Return the rows that are lost unless the user keeps them.

    What failed has no result to lose, and a run that is here under another cell keeps its row.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """
    stay, gone = earlier_rows(plan, made)
    leaving = [*gone, *outdated(plan, stay)]
    renamed = renamed_cells(plan, gone)
    reference = reference_rows(plan.study.source) if leaving else []
    return [
        row
        for row in leaving
        if not row.error and row.run not in renamed and not is_reference(row, reference)
    ]


def renamed_cells(plan: Plan, rows: Sequence[RunRow]) -> dict[str, str]:
    """Return, by run, the cell that has it now, where it is here and the row has another name."""
    here = {p.job.name: p.job.cell for p in plan.runs if p.state == "done"}
    return {row.run: here[row.run] for row in rows if row.run in here}


def _same_data(plan: Plan, rows: Sequence[RunRow]) -> str:
    """The advice to use the data of the rows, where others are here now."""
    here, ways = _prepared(plan), dict[str, None]()
    for row in rows:
        data = here.get(row.dataset)
        if data is not None and data.sha256 != row.data_sha256:
            ways[_way_to_data(row, data)] = None
    return f"use the data of these rows again ({', '.join(ways)}), " if ways else ""


def _way_to_data(row: RunRow, now: Prepared) -> str:
    """The option by which a command that has other data now would have those of a row."""
    if row.dataset == PHOTOGRAPHS:
        return (
            "without --photos"
            if (row.data_origin, now.origin) == ("original", "own")
            else "--photos DIR"
        )
    if isinstance(now.name, OwnDataset):
        return f"put back the files that {now.name.path} declared then"
    return "--origin regenerated" if row.data_origin == "regenerated" else "--data-dir DIR"


def names_of(rows: Sequence[RunRow]) -> str:
    """Return cell and seed of rows, the first few of many."""
    return some([f"{row.cell} seed {row.seed}" for row in rows])


def recorded_settings(
    study: ResolvedStudy, out: Path, rows: Sequence[RunRow]
) -> Mapping[str, AnyExperiment]:
    """Return, by cell, what is known of the settings that rows were made with; the lowest seed.

    settings.yaml tells them, and the run's own folder. Without either it is the study, if the row
    has its digest.

    Raises:
        ConfigError: settings.yaml is not as dae writes it.
    """
    kept: dict[str, AnyExperiment] = {}
    if (out / SETTINGS).is_file():
        kept = _by_cell(read_settings(out / SETTINGS, out))
    of_study, known = _by_cell(study), dict[str, AnyExperiment]()
    for row in sorted(rows, key=lambda row: row.seed):
        if row.cell in known:
            continue
        told = [kept[row.cell]] if row.cell in kept else []
        if is_run_name(row.run):
            with suppress(ConfigError):
                told.append(load_resolved(out / RUNS / row.run / CONFIG))
        asked = [of_study[row.cell]] if row.cell in of_study else []
        seeded = [with_seed(experiment, row.seed) for experiment in (*told, *asked)]
        sure = [e for e in seeded if config_sha256(e, row.numerics) == row.config_sha256]
        if found := sure or seeded[: len(told)]:
            known[row.cell] = found[0]
    return known


def _by_cell(study: ResolvedStudy) -> dict[str, AnyExperiment]:
    return {cell.cell: cell.experiment for cell in study.all_cells}


def _is_of(plan: Plan, row: RunRow) -> bool:
    """Tell whether a row's settings and data are those of the study, by its own numerics."""
    cells = _by_cell(plan.study)
    if row.cell not in cells:
        return False
    experiment = with_seed(cells[row.cell], row.seed)
    return (
        row.config_sha256 == config_sha256(experiment, row.numerics)
        and row.run == run_name(experiment, row.data_sha256, row.numerics)
        and _data(plan).get(row.dataset, row.data_sha256) == row.data_sha256
    )


def _current_run(plan: Plan, row: RunRow) -> str:
    """The name that a run of a row's cell, seed and data has with the numerics that are here."""
    return run_name(with_seed(_by_cell(plan.study)[row.cell], row.seed), row.data_sha256)


def _named_now(plan: Plan, row: RunRow) -> str:
    """The cell that has the settings of a row now; empty where there is none."""
    for name, experiment in _by_cell(plan.study).items():
        if config_sha256(with_seed(experiment, row.seed), row.numerics) == row.config_sha256:
            return name
    return ""


def _prepared(plan: Plan) -> dict[str, Prepared]:
    return {p.job.data.name: p.job.data for p in plan.runs}


def _data(plan: Plan) -> dict[str, str]:
    return {name: data.sha256 for name, data in _prepared(plan).items()}


def _source_of(plan: Plan, row: RunRow) -> str:
    """Where the data of a row came from, in words as far as its run or the row tells."""
    if is_run_name(row.run):
        with suppress(RunFolderError):
            status = read_status(plan.out / RUNS / row.run)
            if status.data_sha256 == row.data_sha256 and status.data_source:
                return status.data_source
    of_own = "own photographs" if row.dataset == PHOTOGRAPHS else "own data"
    return of_own if row.data_origin == "own" else f"{row.data_origin} data"


def _reasons(plan: Plan, rows: Sequence[RunRow]) -> str:
    """Return what of rows is not as the plan has it, each thing with both values and its cells."""
    known = recorded_settings(plan.study, plan.out, rows)
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for reason in _reasons_of(plan, row, known.get(row.cell)):
            found.setdefault(reason, {})[row.cell] = None
    return format_misfits({reason: list(cells) for reason, cells in found.items()})


def _reasons_of(plan: Plan, row: RunRow, there: AnyExperiment | None) -> list[str]:
    now = _by_cell(plan.study).get(row.cell)
    if now is None:
        named = _named_now(plan, row)
        return [f"the study has no cell {row.cell}{f'; {named} has its settings' * bool(named)}"]
    reasons = []
    if there is not None:
        own, asked = (flat_settings(with_seed(e, row.seed)) for e in (there, now))
        reasons = [
            f"{key}: {format_value(own.get(key))} in the folder, {format_value(asked.get(key))} now"
            for key in dict.fromkeys([*own, *asked])
            if own.get(key) != asked.get(key)
        ]
    data = _prepared(plan).get(row.dataset)
    if data is not None and data.sha256 != row.data_sha256:
        reasons.append(
            f"data of {row.dataset}: SHA-256 {row.data_sha256[:12]}… in the folder "
            f"({_source_of(plan, row)}), {data.sha256[:12]}… now ({data.source or data.standing})"
        )
    if row.numerics != NUMERICS_VERSION:
        reasons.append(f"numerics: {row.numerics} in the folder, {NUMERICS_VERSION} now")
    unknown = "numerics" if there is not None else "settings or numerics that nothing here tells"
    return reasons or [f"other {unknown}"]
