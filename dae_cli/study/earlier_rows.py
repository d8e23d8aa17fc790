"""Rows of runs.csv that earlier commands wrote: which stay, which go, and why that may be refused.

No row that has a result leaves the table without the user's word, unless it is one of the
reference that the package ships, which every copy of it has.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import ResolvedStudy, load_resolved
from dae_cli.config.kept_settings import SETTINGS, misfits_told, read_settings, some, value_told
from dae_cli.config.schema import AnyExperiment
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.plan import Plan, with_seed
from dae_cli.study.rows import RunRow, read_rows
from dae_cli.study.run.folder import CONFIG, RUNS, config_sha256, is_run_name, run_name

RUNS_CSV = "runs.csv"


def earlier_rows(plan: Plan, made: Collection[str] = ()) -> tuple[list[RunRow], list[RunRow]]:
    """Return the rows of runs.csv that stay beside those of the runs `made`, and those that go.

    They were written by earlier commands, or by one that shares the folder. They stay if their
    settings are still what the study says and their data are the same: results of other settings,
    data or numerics are never mixed in. A row goes when its run is made anew, not before.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """
    path = plan.out / RUNS_CSV
    if not path.exists():
        return [], []
    rows = [row for row in read_rows(path, RunRow) if row.run not in made]
    stay = [row for row in rows if _is_of(plan, row)]
    return stay, [row for row in rows if row not in stay]


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
            f"dae replicate {name} makes them anew, and --out keeps both apart"
        )


def require_rows_kept(plan: Plan, made: Collection[str] = ()) -> None:
    """Make sure that no row is lost which the user has not given up.

    What failed has no result to lose, and a run that is here under another cell keeps its row.

    Raises:
        RunFolderError: one would be, or runs.csv is not one that dae wrote.
    """
    if plan.replaces:
        return
    here = {planned.job.name for planned in plan.runs if planned.state == "done"}
    _, gone = earlier_rows(plan, made)
    lost = [
        row
        for row in gone
        if not row.error and row.run not in here and _key(plan.study.name, row) not in _reference()
    ]
    if lost:
        raise RunFolderError(
            f"{plan.out / RUNS_CSV}: rows of other settings, data or numerics would be lost "
            f"({names_of(lost)}):\n{_reasons(plan, lost)}\n"
            "choose another folder with --out, or give these rows up with --replace"
        )


def names_of(rows: Sequence[RunRow]) -> str:
    """Return cell and seed of rows, the first few of many."""
    return some([f"{row.cell} seed {row.seed}" for row in rows])


def made_with(
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
        sure = [e for e in seeded if config_sha256(e) == row.config_sha256]
        if found := sure or seeded[: len(told)]:
            known[row.cell] = found[0]
    return known


def _by_cell(study: ResolvedStudy) -> dict[str, AnyExperiment]:
    return {cell.cell: cell.experiment for cell in study.all_cells}


def _is_of(plan: Plan, row: RunRow) -> bool:
    """Tell whether a row's settings, data and numerics are those of the study."""
    cells = _by_cell(plan.study)
    if row.cell not in cells:
        return False
    experiment = with_seed(cells[row.cell], row.seed)
    return (
        row.config_sha256 == config_sha256(experiment)
        and row.run == run_name(experiment, row.data_sha256)
        and _data(plan).get(row.dataset, row.data_sha256) == row.data_sha256
    )


def _data(plan: Plan) -> dict[str, str]:
    return {p.job.data.name: p.job.data.sha256 for p in plan.runs}


def _reasons(plan: Plan, rows: Sequence[RunRow]) -> str:
    """Return what of rows is not as the plan has it, each thing with both values and its cells."""
    known = made_with(plan.study, plan.out, rows)
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for reason in _reasons_of(plan, row, known.get(row.cell)):
            found.setdefault(reason, {})[row.cell] = None
    return misfits_told({reason: list(cells) for reason, cells in found.items()})


def _reasons_of(plan: Plan, row: RunRow, there: AnyExperiment | None) -> list[str]:
    now = _by_cell(plan.study).get(row.cell)
    if now is None:
        return [f"the study has no cell {row.cell}"]
    reasons = []
    if there is not None:
        own, asked = (flat_settings(with_seed(e, row.seed)) for e in (there, now))
        reasons = [
            f"{key}: {value_told(own.get(key))} in the folder, {value_told(asked.get(key))} now"
            for key in dict.fromkeys([*own, *asked])
            if own.get(key) != asked.get(key)
        ]
    data = _data(plan).get(row.dataset, row.data_sha256)
    if data != row.data_sha256:
        reasons.append(
            f"data of {row.dataset}: SHA-256 {row.data_sha256[:12]}… in the folder, "
            f"{data[:12]}… now"
        )
    unknown = "numerics" if there is not None else "settings or numerics that nothing here tells"
    return reasons or [f"other {unknown}"]


def _key(study: str, row: RunRow) -> tuple[str, ...]:
    return (study, row.cell, str(row.seed), row.data_sha256, str(row.n_wrong))


@cache
def _reference() -> frozenset[tuple[str, ...]]:
    """The rows of the committed results, which the package ships."""
    text = files("dae_cli.study").joinpath("reference_rows.csv").read_text(encoding="utf-8")
    columns = ("study", "cell", "seed", "data_sha256", "n_wrong")
    rows = csv.DictReader(text.splitlines(), strict=True)
    return frozenset(tuple(row[column] for column in columns) for row in rows)
