"""status.json of a run: how far the run is and, when it is done, its row of runs.csv.

A run folder may have been edited, copied or cut short. Reading it gives sound values or a
RunFolderError that names the file and the value; a folder of another run is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import from_json, to_json

from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import load_resolved
from dae_cli.config.schema import AnyExperiment, FilterExperiment, SvmExperiment
from dae_cli.csvfile import Minutes
from dae_cli.data.dataset import Origin, Trust
from dae_cli.data.datasets import DATASETS
from dae_cli.data.trust import recorded_trust
from dae_cli.engines.names import LIBSVM
from dae_cli.errors import ConfigError, RunFolderError, plain
from dae_cli.files import write_json
from dae_cli.study.paper import CALIBRATED, compared_with, half_width_95, verdict
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.job import (
    CONFIG,
    ENVIRONMENT,
    STATUS,
    Job,
    config_sha256,
    destruction_percent,
    model_name,
)
from dae_cli.study.run.provenance import Environment, environment
from dae_cli.training.version import NUMERICS_VERSION

MAX_BYTES = 1_000_000
"""Of a JSON file; those that dae writes have a few thousand."""
REMEDY = "remove this folder to have the run made anew"
MEASURED = (
    *("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent"),
    *("best_epoch", "epochs", "trials"),
)
"""Columns that are empty in the row of a failed run."""
_SELECTED = (
    r"^((nu [0-9.e+-]+, )?(degree [0-9]+, )?gamma [0-9.e+-]+, (offset [0-9.e+-]+, )?"
    r"C [0-9.e+-]+)?$"
)
"""The parameters of an SVM as `svm.selected_parameters` writes them; empty of a network."""
_MOST_CHARACTERS, _MOST_NAMED = 60, 3

State = Literal["running", "done", "failed"]
T = TypeVar("T")
WithVerdict = TypeVar("WithVerdict", RunRow, TableRow)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="ignore"))
class Status(RunRow):
    """status.json: the run's row, whose results are empty until the run is done."""

    state: State
    data_source: str = ""
    """Where the data came from, in words."""
    written: str = ""
    """Date and time, UTC."""
    # Columns that a stranger's file may have otherwise than this version writes them.
    run: str = ""
    data_origin: Origin
    trust: Trust = ""
    data_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    selected: Annotated[str, Field(pattern=_SELECTED)] = ""
    minutes: Minutes = Field()

    @model_validator(mode="after")
    def _check_result(self) -> Self:
        if self.n_test is None:
            return self
        if self.n_wrong is None or self.valid_error_percent is None or not self.n_test:
            raise ValueError("expected n_test of 1 or more, n_wrong and valid_error_percent")
        if self.n_wrong > self.n_test:
            raise ValueError(f"n_wrong is {self.n_wrong}, more than n_test, {self.n_test}")
        if self.trials == 0 or self.best_epoch == 0:
            raise ValueError("trials or best_epoch is 0, expected 1 or more")
        of_network = (self.best_epoch is not None, self.epochs is not None)
        if of_network != (not self.is_svm,) * 2 or bool(self.selected) != self.is_svm:
            raise ValueError(
                "expected best_epoch and epochs of a network, or selected and trials of an SVM"
            )
        if self.best_epoch and self.epochs is not None and self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch is {self.best_epoch}, more than epochs, {self.epochs}")
        return self

    @property
    def is_svm(self) -> bool:
        """Whether the result is that of an SVM."""
        return self.trials is not None


_STATUS = TypeAdapter(Status)


# Reading and writing the files of a run


def read_status(folder: Path) -> Status:
    """Read status.json of a run folder.

    Raises:
        RunFolderError: it is missing or damaged.
    """

    def parse(content: bytes) -> Status:
        return _STATUS.validate_json(to_json(_migrated(from_json(content))), strict=True)

    return read_json(folder / STATUS, parse)


def read_environment(folder: Path) -> Environment:
    """Read environment.json of a run folder; raises RunFolderError as `read_status` does."""
    return read_json(folder / ENVIRONMENT, Environment.model_validate_json)


def _migrated(record: Any) -> Any:
    """Return a status.json in which the row's columns were not at the top as it is written now.

    What it lacks of the row is in config.yaml and environment.json.
    """
    if not isinstance(record, dict) or "data" not in record:
        return record
    data, result = record.pop("data"), record.pop("result", {})
    for name, value in (("data", data), ("result", result)):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {value!r}: expected a mapping")
    described = {"dataset": "", "model": "", "destruction_percent": 0.0, "seed": 0}
    of_data = {f"data_{key}": data[key] for key in ("origin", "sha256", "source") if key in data}
    return described | {"trust": data.get("trust") or ""} | of_data | result | record


def read_json(path: Path, parse: Callable[[bytes], T]) -> T:
    """Read a small JSON file, which `parse` makes a checked object of.

    Raises:
        RunFolderError: it is missing, too large, or not what `parse` takes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RunFolderError(f"{path.parent}: not a run folder (there is no {path.name})") from None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > MAX_BYTES:
        raise RunFolderError(f"{path}: cannot be read (larger than {MAX_BYTES} bytes)")
    try:
        return parse(content)
    except ValidationError as error:
        raise RunFolderError(f"{path}: cannot be read ({_problems(error)})") from None
    except ValueError as error:
        problem = plain(" ".join(str(error).split())[:100])
        raise RunFolderError(f"{path}: cannot be read ({problem})") from None


def _problems(error: ValidationError) -> str:
    """Return `n_wrong is 'many': input should be a valid integer`, and so on."""
    details = error.errors(include_url=False, include_context=False)
    problems = [_problem(detail) for detail in details[:_MOST_NAMED]]
    more = len(details) - len(problems)
    return plain("; ".join([*problems, *([f"and {more} more"] if more else [])]))


def _problem(detail: Any) -> str:
    place = ".".join(map(str, detail["loc"]))
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{place} is missing"
    if not place:
        return "expected a mapping" if detail["type"].endswith("_type") else message
    shown = repr(detail["input"])
    shown = shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}…"
    return f"{place} is {shown}: {message[:1].lower()}{message[1:]}"


class StatusFile:
    """Writes status.json of a run that this process is making."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._start = time.monotonic()
        # Read at once: whatever fails from here on must not lose the time the run took before.
        self._minutes_before = minutes_so_far(job)

    def minutes(self) -> float:
        """Return the time the run has taken, all its sessions together."""
        return round(self._minutes_before + (time.monotonic() - self._start) / 60.0, 4)

    def write(self, state: State, row: RunRow | None = None) -> None:
        """Write the file whole; a run without a row has no results yet."""
        row = row or replace(row_without_result(self._job), minutes=self.minutes())
        status = {
            "state": state,
            **{name: value for name, value in asdict(row).items() if value not in (None, "", {})},
            "data_source": self._job.data.source,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self._job.partial / STATUS, status, make_folder=False)


def minutes_so_far(job: Job) -> float:
    """Return the time a stopped run has taken; 0 where its folder does not tell."""
    try:
        return (read_status(job.partial).minutes or 0.0) if job.state() == "stopped" else 0.0
    except RunFolderError:
        return 0.0


# The row of a run


def row_of(job: Job) -> RunRow:
    """Return the row of a finished run.

    Raises:
        RunFolderError: the folder lacks a file, is damaged, or holds another run than the job's.
    """
    try:
        status, env = read_status(job.folder), read_environment(job.folder)
        is_same = has_settings(job.folder / CONFIG, job.experiment)
    except (RunFolderError, ConfigError) as error:
        raise RunFolderError(f"{job.folder}: damaged ({error}); {REMEDY}") from error
    why = ""
    if not is_same:
        why = f"{CONFIG} holds other settings than {job.cell} has"
    elif status.state != "done":
        why = f"{STATUS} says that the run is {status.state}, not done"
    elif status.run not in ("", job.name):
        why = f"{STATUS} is that of the run {status.run!r}"
    elif status.data_sha256 != job.data.sha256:
        recorded, here = status.data_sha256[:12], job.data.sha256[:12]
        why = f"{STATUS} tells of data with SHA-256 {recorded}…, not {here}…"
    if why:
        raise RunFolderError(f"{job.folder}: {why}; {REMEDY}")
    # A recipe may give the very content of the original: the row says which one the run had.
    had = replace(job.data, origin=status.data_origin, trust=trust_of(status, job.data.name))
    return done_row(replace(job, data=had), status, env)


def has_settings(config: Path, experiment: AnyExperiment) -> bool:
    """Tell whether a config.yaml is that of an experiment; parsed only if the text is another."""
    try:
        if config.read_bytes() == dump_yaml(experiment).encode():
            return True
    except OSError as error:
        raise RunFolderError(f"{config}: cannot be read ({error.strerror or error})") from error
    return load_resolved(config) == experiment


def trust_of(status: Status, dataset: str) -> Trust:
    """Return how far the data of a run are to be trusted; earlier versions did not record it."""
    return status.trust or recorded_trust(dataset, status.data_origin, status.data_sha256)


def done_row(job: Job, status: Status, env: Environment) -> RunRow:
    """Return the row of a finished run; its provenance is that of environment.json.

    Raises:
        RunFolderError: the status has no result, or that of another kind of model.
    """
    row = replace(row_without_result(job, env), minutes=status.minutes)
    if isinstance(job.experiment, FilterExperiment):
        return row
    if status.n_test is None or status.n_wrong is None or status.is_svm != job.is_svm:
        kind = "an SVM" if job.is_svm else "a network"
        raise RunFolderError(f"{job.folder}: {STATUS} has no result of {kind}; {REMEDY}")
    result = ("valid_error_percent", "best_epoch", "epochs", "selected", "trials", "remark")
    return with_result(
        row, status.n_test, status.n_wrong, **{name: getattr(status, name) for name in result}
    )


def with_result(row: RunRow, n_test: int, n_wrong: int, **others: Any) -> RunRow:
    """Return a row with what was measured, and the verdict."""
    counted = replace(
        row,
        n_test=n_test,
        n_wrong=n_wrong,
        test_error_percent=100.0 * n_wrong / n_test,
        half_width_95=half_width_95(n_wrong, n_test),
        **others,
    )
    return with_verdict(counted)


def with_verdict(row: WithVerdict) -> WithVerdict:
    """Return the row of a run or cell with its verdict; as it is without a result, or paper."""
    if row.test_error_percent is None or row.half_width_95 is None or row.data_origin == "own":
        return row
    if row.paper_error_percent is not None and row.data_origin == "regenerated":
        spec = DATASETS.get(row.dataset)
        if spec and spec.recipe and spec.recipe.calibrated_by == row.model:
            return replace(row, verdict=CALIBRATED)
    paper = row.paper_error_percent, row.paper_half_width_95
    return replace(row, verdict=verdict(row.test_error_percent, row.half_width_95, *paper))


def failed(row: RunRow, error: str) -> RunRow:
    """Return the row of a failed run: no result, but the reason, on one line."""
    nothing: dict[str, Any] = dict.fromkeys(MEASURED)
    return replace(
        row, **nothing, selected="", verdict="", remark="", error=" ".join(error.split())
    )


def failed_row(job: Job, env: Environment, minutes: float, error: str) -> RunRow:
    """Return the row of a job that failed."""
    return failed(replace(row_without_result(job, env), minutes=minutes), error)


def lost_row(job: Job, error: str, command: str) -> RunRow:
    """Return the row of a run whose process is gone, or that cannot be made."""
    device, engine = ("cpu", LIBSVM) if job.is_svm else (job.device, job.engine)
    env = environment(device, engine, 1, command)
    return failed_row(job, env, minutes_so_far(job), error)


def row_without_result(job: Job, env: Environment | None = None) -> RunRow:
    """Return what is known of a run before it is done."""
    experiment = job.experiment
    model, level = model_name(experiment), destruction_percent(experiment)
    reference = job.reference if _is_comparable(experiment) else None
    paper = compared_with(reference, experiment.dataset, model, level) if reference else None
    numerics = env.numerics if env else NUMERICS_VERSION
    row = RunRow(
        cell=job.cell,
        run=job.name,
        dataset=experiment.dataset,
        data_origin=job.data.origin,
        trust=job.data.trust,
        data_sha256=job.data.sha256,
        model=model,
        destruction_percent=level,
        seed=experiment.seed,
        paper_error_percent=paper.error_percent if paper else None,
        paper_half_width_95=paper.half_width_95 if paper else None,
        paper_model=paper.model if paper else "",
        numerics=numerics,
        config_sha256=config_sha256(experiment, numerics),
    )
    if env is None:
        return row
    return replace(
        row,
        device=env.devices,
        engine=env.engine,
        threads=env.threads,
        versions=env.versions,
        commit=env.commits,
    )


def _is_comparable(experiment: AnyExperiment) -> bool:
    """A subset of the test rows is no replication, other noise than masking not the paper's."""
    if isinstance(experiment, FilterExperiment):
        return False  # there is no error to compare
    if isinstance(experiment, SvmExperiment):
        return experiment.subset is None
    return experiment.subset is None and experiment.corruption.kind == "masking"
