"""A study planned and run, and what it left, for the tests of running it again."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.engines.names import EngineChoice
from dae_cli.study.plan import Plan, plan_study
from dae_cli.study.progress import Silent
from dae_cli.study.replicate import Outcome, run_plan
from dae_cli.study.run.folder import Job


def plan_of(
    study: ResolvedStudy, out: Path, seeds: int | None = None, engine: EngineChoice = "torch"
) -> Plan:
    """Plan a study into a folder."""
    return plan_study(study, seeds=seeds, out=out, data_dir=None, engine=engine, watcher=Silent())


def run_again(plan: Plan, force: bool = False, watcher: Any = None) -> Outcome:
    """Run a plan in this process."""
    return run_plan(
        plan, jobs=1, force=force, watcher=watcher or Silent(), command="dae replicate tiny"
    )


def jobs_of(plan: Plan) -> list[Job]:
    """Its jobs, in the order of the table."""
    return [planned.job for planned in plan.runs]


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def only(study: ResolvedStudy, cell: str) -> ResolvedStudy:
    """The study with one cell asked for."""
    return replace(study, cells=tuple(c for c in study.all_cells if c.cell == cell))
