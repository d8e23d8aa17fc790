"""status.json of a run: its state and, once it is done, its row of runs.csv.

A run folder may have been edited, copied or truncated. Reading it returns valid values or raises a
RunFolderError that names the file and the value; the folder of another run is rejected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
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
from dae_cli.engines.names import LIBSVM
from dae_cli.errors import RUN_REMEDY, ConfigError, RunFolderError, plain
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
"""Largest size of a JSON file; those that dae writes have a few thousand bytes."""
MEASURED = (
    *("n_test", "n_wrong", "test_error_percent", "half_width_95", "valid_error_percent"),
    *("best_epoch", "epochs", "trials"),
)
"""Columns that are empty in the row of a failed run."""
_SELECTED = (
    r"^((nu [0-9.e+-]+, )?(degree [0-9]+, )?gamma [0-9.e+-]+, (offset [0-9.e+-]+, )?"
    r"C [0-9.e+-]+)?$"
)
"""The parameters of an SVM as `svm.selected_parameters` writes them; empty for a network."""
_MOST_CHARACTERS, _MOST_PROBLEMS = 60, 3

State = Literal["running", "done", "failed"]
T = TypeVar("T")
WithVerdict = TypeVar("WithVerdict", RunRow, TableRow)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="ignore"))
class Status(RunRow):
    """Content of status.json: the run's row, without results until the run is done."""

    state: State
    data_source: str = ""
    """Description of where the data came from."""
    written: str = ""
    """Date and time in UTC."""
    # Fields that are checked differently here, since files may be from other versions or edited.
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
        if not self.n_test or self.n_wrong is None or self.n_wrong > self.n_test:
            expected = "expected n_test above 0 and n_wrong from 0 to n_test"
            raise ValueError(f"n_wrong is {self.n_wrong}, n_test is {self.n_test}; {expected}")
        best, epochs = self.best_epoch, self.epochs
        if self.is_svm:
            fits = best is epochs is None and bool(self.trials and self.selected)
        else:
            fits = not self.selected and 1 <= (best or 0) <= (epochs or 0)
        if not fits or self.valid_error_percent is None:
            raise ValueError(
                f"valid_error_percent is {self.valid_error_percent}, best_epoch {best}, epochs "
                f"{epochs}, selected {self.selected!r}, trials {self.trials}; expected the first "
                "and best_epoch ≤ epochs (network) or selected and trials (SVM)"
            )
        return self

    @property
    def is_svm(self) -> bool:
        return self.trials is not None


_STATUS = TypeAdapter(Status)


# Reading and writing the files of a run


def read_status(folder: Path) -> Status:
    """Read status.json of a run folder; raises RunFolderError if it is missing or damaged."""

    def parse(content: bytes) -> Status:
        return _STATUS.validate_json(to_json(_migrated(from_json(content))), strict=True)

    return _read_json(folder / STATUS, parse)


def read_environment(folder: Path) -> Environment:
    """Read environment.json of a run folder; raises RunFolderError as `read_status` does."""
    return _read_json(folder / ENVIRONMENT, Environment.model_validate_json)


def _migrated(record: Any) -> Any:
    """Return a status.json of an earlier version, with sections `data` and `result`, flattened.

    Columns of the row that it does not contain are in config.yaml and environment.json.
    """
    if not isinstance(record, dict) or "data" not in record:
        return record
    data, result = record.pop("data"), record.pop("result", {})
    if not (isinstance(data, dict) and isinstance(result, dict)):
        raise ValueError(f"data is {data!r}, result {result!r}; expected mappings")
    described = {"dataset": "", "model": "", "destruction_percent": 0.0, "seed": 0}
    of_data = {name if name == "trust" else f"data_{name}": data[name] for name in data}
    return described | of_data | result | record


def _read_json(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        return parse(content)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: no such file; expected a run folder") from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        problem = "; ".join(map(_problem, details[:_MOST_PROBLEMS]))
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or " ".join(str(error).split())[:100]
    raise RunFolderError(f"{path}: cannot be read ({plain(problem)})")


def _problem(detail: Any) -> str:
    """Describe one problem: `n_wrong is 'many': Input should be a valid integer`."""
    place, message = ".".join(map(str, detail["loc"])), detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{place} is missing"
    return f"{place} is {repr(detail['input'])[:_MOST_CHARACTERS]}: {message}" if place else message


class StatusFile:
    """Writes status.json of a run that this process computes."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._start = time.monotonic()
        self._minutes_before = 0.0
        if job.state() == "stopped":
            # Read now, so that the earlier time is not lost if something fails later.
            with suppress(RunFolderError):
                self._minutes_before = read_status(job.partial).minutes

    def minutes(self) -> float:
        """Return the minutes that the run has taken, earlier sessions included."""
        return round(self._minutes_before + (time.monotonic() - self._start) / 60.0, 4)

    def write(self, state: State, row: RunRow | None = None) -> None:
        """Write the file atomically; without a `row`, the run has no results yet."""
        row = row or row_without_result(self._job, minutes=self.minutes())
        status = {
            "state": state,
            **{name: value for name, value in asdict(row).items() if value not in (None, "", {})},
            "data_source": self._job.data.source,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_json(self._job.partial / STATUS, status, make_folder=False)


# The row of a run


def row_of(job: Job) -> RunRow:
    """Return the row of a finished run.

    Raises:
        RunFolderError: the folder lacks a file, is damaged or contains another run.
    """
    try:
        status, env = read_status(job.folder), read_environment(job.folder)
        is_same = has_settings(job.folder / CONFIG, job.experiment)
    except (RunFolderError, ConfigError) as error:
        raise RunFolderError(f"{job.folder}: damaged ({error}); {RUN_REMEDY}") from error
    why = ""
    if not is_same:
        why = f"{CONFIG} contains other settings than those of {job.cell}"
    elif status.state != "done":
        why = f"{STATUS} says that the run is {status.state}, not done"
    elif status.run not in ("", job.name):
        why = f"{STATUS} is from the run {status.run!r}"
    elif status.data_sha256 != job.data.sha256:
        recorded, here = status.data_sha256[:12], job.data.sha256[:12]
        why = f"{STATUS} records data with SHA-256 {recorded}…, not {here}…"
    if why:
        raise RunFolderError(f"{job.folder}: {why}; {RUN_REMEDY}")
    # Regenerated data may equal the original bit for bit: keep the origin that the run recorded.
    used = replace(job.data, origin=status.data_origin, trust=status.trust)
    return done_row(replace(job, data=used), status, env)


def has_settings(config: Path, experiment: AnyExperiment) -> bool:
    """Return whether a config.yaml is that of an experiment; it is parsed only if texts differ."""
    try:
        if config.read_bytes() == dump_yaml(experiment).encode():
            return True
    except OSError as error:
        raise RunFolderError(f"{config}: cannot be read ({error.strerror or error})") from error
    return load_resolved(config) == experiment


def done_row(job: Job, status: Status, env: Environment) -> RunRow:
    """Return the row of a finished run; raises RunFolderError if its status has no result."""
    row = row_without_result(job, env, status.minutes)
    if isinstance(job.experiment, FilterExperiment):
        return row
    if status.n_test is None or status.n_wrong is None or status.is_svm != job.is_svm:
        kind = "an SVM" if job.is_svm else "a network"
        raise RunFolderError(f"{job.folder}: {STATUS} lacks the results of {kind}; {RUN_REMEDY}")
    result = ("valid_error_percent", "best_epoch", "epochs", "selected", "trials", "remark")
    return with_result(
        row, status.n_test, status.n_wrong, **{name: getattr(status, name) for name in result}
    )


def with_result(row: RunRow, n_test: int, n_wrong: int, **others: Any) -> RunRow:
    """Return a row with its measured values and verdict."""
    percent, half_width = 100.0 * n_wrong / n_test, half_width_95(n_wrong, n_test)
    counted = replace(row, n_test=n_test, n_wrong=n_wrong, **others)
    return with_verdict(replace(counted, test_error_percent=percent, half_width_95=half_width))


def with_verdict(row: WithVerdict) -> WithVerdict:
    """Add the verdict to the row of a run or cell; unchanged without a result or with own data."""
    if row.test_error_percent is None or row.half_width_95 is None or row.data_origin == "own":
        return row
    if row.paper_error_percent is not None and row.data_origin == "regenerated":
        spec = DATASETS.get(row.dataset)
        if spec and spec.recipe and spec.recipe.calibrated_by == row.model:
            return replace(row, verdict=CALIBRATED)
    paper = row.paper_error_percent, row.paper_half_width_95
    return replace(row, verdict=verdict(row.test_error_percent, row.half_width_95, *paper))


def failed(row: RunRow, error: str) -> RunRow:
    """Return the row of a failed run: no results, and the error on one line."""
    empty: dict[str, Any] = dict.fromkeys(MEASURED)
    text = " ".join(error.split())
    return replace(row, **empty, selected="", verdict="", remark="", error=text)


def lost_row(job: Job, error: str, command: str) -> RunRow:
    """Return the row of a run whose process died, or that cannot be computed."""
    device, engine = ("cpu", LIBSVM) if job.is_svm else (job.device, job.engine)
    env = environment(device, engine, 1, command)
    return failed(row_without_result(job, env, StatusFile(job).minutes()), error)


def row_without_result(
    job: Job, env: Environment | None = None, minutes: float | None = None
) -> RunRow:
    """Return the row of a run that is not done, with everything but its results."""
    experiment = job.experiment
    model, level = model_name(experiment), destruction_percent(experiment)
    reference = job.reference if _is_comparable(experiment) else None
    paper = compared_with(reference, experiment.dataset, model, level) if reference else None
    numerics = env.numerics if env else NUMERICS_VERSION
    return RunRow(
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
        minutes=minutes,
        device=env.devices if env else "",
        engine=env.engine if env else "",
        threads=env.threads if env else None,
        versions=env.versions if env else "",
        commit=env.commits if env else "",
        numerics=numerics,
        config_sha256=config_sha256(experiment, numerics),
    )


def _is_comparable(experiment: AnyExperiment) -> bool:
    """Return whether the paper has the same experiment: all test rows, and masking noise if any."""
    if isinstance(experiment, FilterExperiment):
        return False  # there is no test error to compare
    is_masking = isinstance(experiment, SvmExperiment) or experiment.corruption.kind == "masking"
    return experiment.subset is None and is_masking
