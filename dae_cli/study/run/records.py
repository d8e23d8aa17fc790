"""status.json and environment.json of a run, read as strictly as they were written.

A run folder may have been edited, copied or cut short: whatever lies in it, reading ends in a
record of sound values or in a RunFolderError that names the file and the value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dae_cli.data.dataset import Origin, Trust
from dae_cli.errors import RunFolderError, plain

MAX_BYTES = 1_000_000
"""Of one record; those that dae writes have a few thousand."""

_SHOWN = 60
_TOLD = 3

Count = Annotated[int, Field(ge=0, le=10**9)]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


SELECTED = (
    r"^((nu [0-9.e+-]+, )?(degree [0-9]+, )?gamma [0-9.e+-]+, (offset [0-9.e+-]+, )?"
    r"C [0-9.e+-]+)?$"
)
"""What an SVM was found to be best with, as `study/run/svm.py` tells it; empty of a network."""


class Record(BaseModel):
    """Base of what is read: no silent conversion of types; unknown keys are a later version's."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Result(Record):
    """What a finished run measured."""

    n_test: Annotated[Count, Field(ge=1)]
    n_wrong: Count
    valid_error_percent: Percent
    best_epoch: Annotated[Count, Field(ge=1)] | None = None
    """Of a network, as `epochs` is."""
    epochs: Count | None = None
    selected: Annotated[str, Field(pattern=SELECTED)] = ""
    """Of an SVM, as `trials` is."""
    trials: Annotated[Count, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.n_wrong > self.n_test:
            raise ValueError(f"n_wrong is {self.n_wrong}, more than n_test, {self.n_test}")
        of_network = (self.best_epoch is not None, self.epochs is not None)
        if of_network != (not self.is_of_svm,) * 2 or bool(self.selected) != self.is_of_svm:
            raise ValueError(
                "expected best_epoch and epochs of a network, or selected and trials of an SVM"
            )
        if self.best_epoch and self.epochs is not None and self.best_epoch > self.epochs:
            raise ValueError(f"best_epoch is {self.best_epoch}, more than epochs, {self.epochs}")
        return self

    @property
    def is_of_svm(self) -> bool:
        """Tell whether an SVM was selected, or a network trained."""
        return self.trials is not None


class FilterResult(Record):
    """What came of a run whose filters alone are of interest."""

    units: Annotated[Count, Field(ge=1)]


class TrainedOn(Record):
    """The data of a run."""

    origin: Origin
    trust: Trust | None = None
    """None where an earlier version wrote the record, which did not tell."""
    sha256: Sha256
    source: str = ""


class Kept(Record):
    """The checkpoints of a run, all its sessions together."""

    kept: Count = 0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class Status(Record):
    """What status.json holds: how far a run is, and what came of it."""

    state: Literal["running", "done", "failed"]
    run: str = ""
    """The name of the run's folder, whatever it is called by now; once it was not kept."""
    cell: str
    data: TrainedOn
    minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    written: str = ""
    checkpoints: Kept = Kept()
    result: Result | None = None
    filters: FilterResult | None = None
    """In place of a result, where there are no labels."""
    error: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.state == "done" and self.result is None and self.filters is None:
            raise ValueError("state is done, but there is no result")
        return self


AnyRecord = TypeVar("AnyRecord", bound=BaseModel)


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    """Read a record of a run folder.

    Raises:
        RunFolderError: it is missing, too large, not JSON, or a value is not what was expected.
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
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise RunFolderError(f"{path}: cannot be read ({_told(error)})") from None


def _told(error: ValidationError) -> str:
    """`result.n_wrong is 'many': input should be a valid integer`, and so on."""
    details = error.errors(include_url=False, include_context=False)
    problems = [_problem(detail) for detail in details[:_TOLD]]
    more = len(details) - len(problems)
    return plain("; ".join([*problems, *([f"and {more} more"] if more else [])]))


def _problem(detail: Any) -> str:
    kind, message = detail["type"], str(detail["msg"])
    place = ".".join(str(part) for part in detail["loc"])
    if kind == "json_invalid":
        return message
    if kind == "missing":
        return f"{place} is missing"
    if kind in ("model_type", "dataclass_type", "dict_type") and not place:
        return "expected a mapping"
    if kind == "value_error":
        return f"{f'{place}: ' if place else ''}{message.removeprefix('Value error, ')}"
    shown = repr(detail["input"])
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{place} is {shown}: {message[:1].lower()}{message[1:]}"
