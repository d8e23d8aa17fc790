"""`dae verify`: recompute a study's runs and results, and compare them with the recorded ones.

Everything is written to a temporary folder: first the results of each run that is here, recomputed
from its checkpoint, then the files that follow from the rows, by the usual code. If the folder of
a run is missing, its row, curves, filters and wrong test rows come from the results files, and the
run is listed as unchecked. The command and machine that a report names are copied from it. Pictures
are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.config.dump import flat_settings
from dae_cli.config.experiments import ResolvedStudy, load_resolved
from dae_cli.config.saved_settings import SETTINGS
from dae_cli.config.schema import AnyExperiment, FilterExperiment, SvmExperiment
from dae_cli.config.study_schema import Reference
from dae_cli.csvfile import column_texts, parse_rows, read_rows, rows_to_csv
from dae_cli.data.dataset import Dataset, Prepared
from dae_cli.errors import RunFolderError
from dae_cli.files import write_text
from dae_cli.filters.measures import UnitMeasures
from dae_cli.machine import cpu_name
from dae_cli.study.counting import RecordedData, load_network
from dae_cli.study.filter_study import FIGURES_CSV, UnitRow
from dae_cli.study.findings import Findings
from dae_cli.study.reference import agreement
from dae_cli.study.report.context import TRIED_MD
from dae_cli.study.report.render import PAGE, REPORT, recorded_command, recorded_machine
from dae_cli.study.report.saved_runs import CURVES_CSV
from dae_cli.study.results import write_results
from dae_cli.study.results_folder import runs_csv_of
from dae_cli.study.rows import (
    RUNS_CSV,
    SETTING_COLUMNS,
    TABLE_CSV,
    CurveRow,
    RunComparison,
    RunRow,
    SavedWrongRows,
    TableRow,
    read_results,
)
from dae_cli.study.run.engine_choice import engine_for_counting
from dae_cli.study.run.filters import measures_of
from dae_cli.study.run.job import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    FILTERS_CSV,
    METRICS,
    RUNS,
    STATUS,
    TRIALS,
    WRONG_ROWS,
    Job,
    config_sha256,
    is_run_name,
    run_name,
    with_seed,
)
from dae_cli.study.run.provenance import Environment
from dae_cli.study.run.record import (
    MEASURED,
    Status,
    done_row,
    read_environment,
    read_status,
)
from dae_cli.study.run.run import use_one_thread
from dae_cli.study.run.svm import replayed, selected_parameters
from dae_cli.study.run.wrong_rows import load_wrong_rows, remark_on, save_wrong_rows
from dae_cli.study.tables.comparisons import MCNEMAR_CSV, WRONG_ROWS_CSV
from dae_cli.study.tables.provenance import other_numerics, provenance_differences
from dae_cli.svm.files import load_svm, read_trials
from dae_cli.svm.selection import SvmTrials, Trial, best_of
from dae_cli.training.evaluation import count_wrong, wrong_rows
from dae_cli.training.state import TrainingState, metrics_csv
from dae_cli.training.version import NUMERICS_VERSION

KEYS: Mapping[str, Sequence[str]] = {
    RUNS_CSV: ("run",),
    TABLE_CSV: ("cell",),
    WRONG_ROWS_CSV: ("run",),
    MCNEMAR_CSV: ("cell_a", "cell_b", "seed"),
    CURVES_CSV: ("run", "curve"),
    FILTERS_CSV: ("cell", "seed", "unit"),
    FIGURES_CSV: ("figure", "run"),
}
"""Columns that identify the rows of a file."""
FILES = (*KEYS, SETTINGS, TRIED_MD, REPORT, PAGE)
"""Files that follow from the rows; some exist only for a table study or a filter study."""
READ: Mapping[str, Any] = {
    WRONG_ROWS_CSV: SavedWrongRows,
    MCNEMAR_CSV: RunComparison,
    CURVES_CSV: CurveRow,
    FILTERS_CSV: UnitRow,
}
"""Files that are read for runs whose folders are missing."""
ADDED_LATER = (SETTINGS, TRIED_MD)
"""Files that earlier versions did not write."""

_NEVER_MIXED = ("engines", "devices", "contents")


def verify_study(
    study: ResolvedStudy, out: Path, data_dir: Path | None, note: Callable[[str], None]
) -> Findings:
    """Recompute a study's results from its runs, and list all mismatches.

    The results are not changed. Damaged and missing files are listed; everything else is checked.
    `note` is called with the outcome of each run, and when something takes time.

    Raises RunFolderError: there are no results, or runs.csv cannot be read.
    """
    use_one_thread()
    path = runs_csv_of(study, out)
    # Cells may share a run.
    rows = list({(row.cell, row.run): row for row in read_results(path, RunRow)}.values())
    if not rows:
        raise RunFolderError(f"{path}: contains no runs; run dae replicate {study.argument} first")
    if others := other_numerics(rows):
        note(f"{RUNS_CSV}: {others}")
    with TemporaryDirectory(prefix="dae-verify-") as temporary:
        verifier = _Verifier(study, out, Path(temporary), note)
        rows_again = verifier.recount(rows, RecordedData(data_dir, note))
        verifier.check_files(rows_again)
    return verifier.findings


class _Verifier:
    """Compares a results folder with the files recomputed in a temporary one."""

    def __init__(
        self, study: ResolvedStudy, out: Path, temporary: Path, note: Callable[[str], None]
    ) -> None:
        self._study, self._out, self._note = study, out, note
        self._source, self._written = temporary / "source", temporary / "written"
        self._cells = {cell.cell: cell.experiment for cell in study.all_cells}
        self.findings = Findings()
        self._shares_runs = False
        """Whether cells of runs.csv share a run."""

    def recount(self, rows: Sequence[RunRow], data: RecordedData) -> list[RunRow]:
        """Return the recomputed rows; the recorded row if its run is missing or damaged."""
        findings, rows_again = self.findings, []
        recomputed: list[RunRow] = []
        seen: dict[str, RunRow | None] = {}
        """By run: the recomputed row; None if it cannot be recomputed."""
        for cell in [c for c in self._cells if all(row.cell != c for row in rows)]:
            self._note(f"{cell}: {RUNS_CSV} has no run of this cell")
        for row in rows:
            experiment = self._check_settings(row)
            again, place = row, f"{RUNS}/{row.run}"
            if row.run in seen:
                self._shares_runs = True
                if counted := seen[row.run]:
                    again = replace(counted, cell=row.cell)
                    recomputed.append(again)
                rows_again.append(again)
                continue
            seen[row.run] = None
            if why := self._why_not_here(row):
                findings.cannot_check(place, why)
            else:
                run = _Recount(row, self._out / place, self._source / place)
                again = run.row_again(experiment, self._study.reference, data)
                findings.add(run.findings, place)
                outcome = "does not agree" if run.is_counted else "cannot be checked"
                if run.findings.agrees and column_texts(again) == column_texts(row):
                    outcome = "agrees"
                self._note(f"{row.run}: {outcome}")
                if run.is_counted:
                    seen[row.run] = again
                    recomputed.append(again)
            rows_again.append(again)
        for what, names in provenance_differences(rows).items():
            if what.startswith(_NEVER_MIXED):
                findings.compare(RUNS_CSV, what, ", ".join(names), "only one for the whole table")
        findings.runs, findings.recomputed = (len({r.run for r in x}) for x in (rows, recomputed))
        findings.reference = agreement(self._study, recomputed)
        return rows_again

    def _check_settings(self, row: RunRow) -> AnyExperiment | None:
        """Return the study's experiment for a row's cell and seed; None if it has no such cell.

        The row must have the experiment's digest and run name.
        """
        experiment = self._cells.get(row.cell)
        if experiment is None:
            no_cell = "no such cell in the study"
            self.findings.compare(RUNS_CSV, f"{row.run}: cell", row.cell, no_cell)
            return None
        experiment = with_seed(experiment, row.seed)
        digest = config_sha256(experiment, row.numerics)
        name = run_name(experiment, row.data_sha256, row.numerics)
        self.findings.compare(RUNS_CSV, f"{row.run}: config_sha256", row.config_sha256, digest)
        self.findings.compare(RUNS_CSV, f"{row.run}: run", row.run, name)
        return experiment

    def _why_not_here(self, row: RunRow) -> str:
        """Return why a run cannot be recomputed from its folder; empty if it can."""
        folder, command = self._out / RUNS / row.run, f"dae replicate {self._study.argument}"
        if row.error:
            if is_run_name(row.run) and (folder / STATUS).exists():
                what = f"{row.run}: error"
                self.findings.compare(RUNS_CSV, what, row.error, "the run is done")
            return f"failed ({row.error}); retry with {command}"
        if not is_run_name(row.run):
            return "not the name of a run folder"
        if folder.is_dir():
            return ""
        replaced = ""
        if row.numerics != NUMERICS_VERSION:
            replaced = f" with numerics {NUMERICS_VERSION} instead of {row.numerics}"
        return (
            "is not here, because run folders are not committed with the results; to run it "
            f"again{replaced}, use {command}"
        )

    def check_files(self, rows: Sequence[RunRow]) -> None:
        """Write all results files again from the rows, and compare them with the recorded ones."""
        out, source, written, findings = self._out, self._source, self._written, self.findings
        source.mkdir(exist_ok=True)
        for path in out.absolute().iterdir():
            kind = READ.get(path.name)
            if kind and findings.attempt(path.name, read_rows, path, kind) is None:
                continue
            if path.name != RUNS:
                (source / path.name).symlink_to(path)
        results = findings.attempt(
            "tables and reports",
            write_results,
            self._study,
            written,
            rows,
            command=recorded_command(out),
            machine=recorded_machine(out) or None,
            source=source,
            draw=False,
        )
        for name in FILES:
            is_written, is_there = (written / name).exists(), (out / name).exists()
            if is_written and (source / name).exists():
                findings.attempt(name, self._compare_file, name)
            elif is_written and not is_there and not self._was_added_later(name):
                command = f"dae replicate {self._study.argument}"
                why = f"does not exist yet; {command} writes it and runs only what is not done"
                findings.cannot_check(name, why)
            elif is_there and not is_written and results:
                findings.compare(name, "file", "is there", "")

    def _was_added_later(self, name: str) -> bool:
        """Return whether earlier versions did not write a file."""
        return name in ADDED_LATER or (name == PAGE and self._study.is_filter_study)

    def _compare_file(self, name: str) -> None:
        if name == PAGE and not (self._out / REPORT).exists():
            raise RunFolderError(f"names the command of {REPORT}, which is missing")
        recorded, again = _text(self._out / name), _text(self._written / name)
        kind: Any = {RUNS_CSV: RunRow, TABLE_CSV: TableRow}.get(name)
        header = recorded.partition("\n")[0].split(",")
        if kind and not set(header).intersection(SETTING_COLUMNS):  # of an earlier version
            again = rows_to_csv(parse_rows(again, name, kind), kind, ["settings"])
        if name in KEYS:
            is_shared = name == RUNS_CSV and self._shares_runs
            key = ("cell", "run") if is_shared else KEYS[name]
            self.findings.compare_csv(name, recorded, again, key)
        else:
            self.findings.compare_lines(name, recorded, again)


class _Recount:
    """Recomputes one run whose folder is here, and writes its files to another folder."""

    def __init__(self, row: RunRow, folder: Path, again: Path) -> None:
        self._row, self._folder, self._again = row, folder, again
        self.findings = Findings()
        """The places are files of the run folder."""
        self.is_counted = False
        """Whether the errors were recounted, or the filters measured again."""
        self._columns: dict[str, Any] = {}
        """Recomputed columns of runs.csv, which status.json has as well."""

    def row_again(
        self, wanted: AnyExperiment | None, reference: Reference, data: RecordedData
    ) -> RunRow:
        """Return the recomputed row; the recorded one if it cannot be recomputed.

        `wanted` is the study's experiment for the cell and seed; None if there is no such cell.
        """
        attempt, compare, folder = self.findings.attempt, self.findings.compare, self._folder
        status = attempt(STATUS, read_status, folder)
        env = attempt(ENVIRONMENT, read_environment, folder)
        config = attempt(CONFIG, load_resolved, folder / CONFIG)
        if status is None or env is None or config is None:
            return self._row
        self._again.mkdir(parents=True)
        compare(STATUS, "state", status.state, "done")
        settings, now = flat_settings(config), flat_settings(wanted or config)
        for name in dict.fromkeys([*settings, *now]):
            compare(CONFIG, name, settings.get(name), now.get(name))
        self._link(WRONG_ROWS)  # until `_count` writes a new one
        attempt("", self._count, config, status, env, data)
        # The cell may have been renamed since the run was done.
        cell = self._row.cell if wanted and settings == now else status.cell
        recorded = status.data_origin, status.data_sha256, status.data_source
        source = Prepared(config.dataset, folder, *recorded, status.trust)
        job = Job(cell, config, source, folder, reference=reference)
        columns = self._columns if status.n_test is not None else {}
        again = attempt("", lambda: done_row(job, replace(status, **columns), env))
        if again is None:
            return self._row
        old, new = column_texts(status), column_texts(again)
        for name in (*MEASURED, "selected"):
            if old[name]:  # earlier versions did not write all of them
                compare(STATUS, name, old[name], new[name])
        return again

    def _count(
        self, config: AnyExperiment, status: Status, env: Environment, data: RecordedData
    ) -> None:
        """Recount the errors, or measure the filters."""
        sha256 = status.data_sha256
        if isinstance(config, SvmExperiment):
            dataset = data.dataset_for(self._folder, config, status)
            wrong = self._count_svm(config, sha256, env, dataset)
        else:
            args = self._folder, config, sha256
            state = self.findings.attempt(CHECKPOINT, load_network, *args)
            if state is None:
                return
            self._link(CHECKPOINT)
            self._compare_file(METRICS, metrics_csv(state.history))
            if isinstance(config, FilterExperiment):
                units = measures_of(state.layers[0].weight.numpy(), config.dataset)
                self._compare_file(FILTERS_CSV, rows_to_csv(units, UnitMeasures))
                self.is_counted = (self._folder / FILTERS_CSV).exists()
                return
            dataset = data.dataset_for(self._folder, config, status)
            wrong = self._count_network(state, dataset)
        if wrong is None:
            return
        self._columns |= {"n_test": len(wrong), "n_wrong": int(wrong.sum())}
        if self._row.remark:  # earlier versions wrote no remark
            self._columns["remark"] = remark_on(wrong, dataset.test.labels)
        save_wrong_rows(self._again, wrong)
        recorded = self.findings.attempt(
            WRONG_ROWS, load_wrong_rows, self._folder, len(wrong), None
        )
        if recorded is not None and (differ := np.flatnonzero(recorded != wrong)).size:
            more = f" and {differ.size - 1} more" if differ.size > 1 else ""
            old, new = ("wrong" if rows[differ[0]] else "right" for rows in (recorded, wrong))
            self.findings.compare(WRONG_ROWS, f"test row {differ[0]}{more}", old, new)
        self.is_counted = True

    def _count_network(self, state: TrainingState, dataset: Dataset) -> NDArray[np.bool_]:
        """Return which test rows the best network gets wrong, and check its validation errors."""
        assert state.best is not None
        engine = engine_for_counting(self._folder)
        here = (engine.name, engine.device.type, NUMERICS_VERSION)
        if (self._row.engine, self._row.device, self._row.numerics) != here:
            self.findings.how = " (counted with {} on {}, numerics {})".format(*here)
        invalid = count_wrong(state.best, dataset.valid, engine)
        self.findings.compare(CHECKPOINT, "best_wrong", state.best_wrong, invalid)
        self._columns = {
            "valid_error_percent": 100.0 * invalid / len(dataset.valid),
            "best_epoch": state.best_epoch,
            "epochs": state.epoch,
        }
        return wrong_rows(state.best, dataset.test, engine)

    def _count_svm(
        self, experiment: SvmExperiment, sha256: str, env: Environment, dataset: Dataset
    ) -> NDArray[np.bool_] | None:
        """Check the trials of an SVM; return which test rows the selected SVM gets wrong.

        The trials must be those of the search, in its order, and the best of them must be the SVM
        in the checkpoint. On the processor that computed the run, the best trial is also trained
        again on the training rows.
        """
        attempt, compare = self.findings.attempt, self.findings.compare
        path = self._folder / CHECKPOINT
        best = attempt(TRIALS, self._best_trial, experiment, dataset)
        svm = attempt(CHECKPOINT, load_svm, path, experiment, sha256, dataset)
        if svm is None:
            return None
        self._columns["selected"] = selected_parameters(svm, experiment)
        if best is not None and best.point != (svm.kernel, svm.C):
            best_machine = f"the best trial: {best}"
            compare(CHECKPOINT, "machine", self._columns["selected"], best_machine)
        elif best is not None and env.cpu == cpu_name():
            again = SvmTrials(dataset, experiment.seed).try_point(*best.point)
            for name in ("n_wrong", "n_support", "converged"):
                what = f"{svm.kernel} C {svm.C:g}, trained again: {name}"
                compare(TRIALS, what, getattr(best, name), getattr(again, name))
        return svm.wrong_rows(dataset.test)

    def _best_trial(self, experiment: SvmExperiment, dataset: Dataset) -> Trial:
        sizes = len(dataset.train), len(dataset.valid)
        trials = read_trials(self._folder / TRIALS, experiment.svm.kernel, *sizes)
        again = replayed(experiment, trials)
        if again != trials:
            odd = next((f"trial {t}" for t in trials if t not in again), "the order of the trials")
            self.findings.compare(TRIALS, odd, "is there", "not part of this search")
        best = best_of(again)
        self._columns["trials"] = len(trials)
        self._columns["valid_error_percent"] = best.valid_error_percent
        return best

    def _compare_file(self, name: str, text: str) -> None:
        """Write a recomputed file of the run, and compare it with the recorded one."""
        write_text(self._again / name, text)
        recorded = self.findings.attempt(name, _text, self._folder / name)
        if recorded is not None:
            self.findings.compare_lines(name, recorded, text)

    def _link(self, name: str) -> None:
        if (self._folder / name).is_file():
            (self._again / name).symlink_to((self._folder / name).absolute())


def _text(path: Path) -> str:
    """Return the text of a file with its original line ends."""
    return path.read_bytes().decode("utf-8", "replace")
