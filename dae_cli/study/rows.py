"""The rows of a study's CSV files: fixed, documented columns with provenance in every row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from math import isfinite
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict
from pydantic.dataclasses import dataclass

from dae_cli.config.schema import SETTING_KEYS
from dae_cli.csvfile import Count, Level, Minutes, Percent, PValue, number, read_rows, written
from dae_cli.data.dataset import Trust
from dae_cli.data.trust import recorded_trust
from dae_cli.training.version import UNRECORDED

RUNS_CSV, TABLE_CSV = "runs.csv", "table.csv"
NUMERICS = "numerics"
"""A column that files of earlier versions lack."""
SETTING_COLUMNS = tuple(key for key in SETTING_KEYS if key not in ("dataset", "seed"))
"""Settings that may have a column in runs.csv and table.csv; two others always have one."""

TrialState = Literal["complete", "pruned", "diverged", "failed"]


@dataclass(frozen=True)
class RunRow:
    """runs.csv: one run. Percentages refer to the split's rows; an empty field is unknown."""

    SPARSE: ClassVar = {"trust": "", "selected": "", "trials": "", "remark": ""}
    LATER: ClassVar = (NUMERICS,)
    KEYS: ClassVar = SETTING_COLUMNS

    cell: str
    """Name of the cell within the study, such as convex-25."""
    run: str
    """Name of the run folder."""
    dataset: str
    data_origin: str
    """original, regenerated, or own (the user's data)."""
    trust: Trust
    """Whether original data are verified, plausible or unverified; otherwise empty."""
    data_sha256: str
    model: str
    destruction_percent: Level
    settings: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)
    """Settings in which the cells of the study differ; filled in when files are written."""
    seed: Count
    n_test: Count | None = None
    n_wrong: Count | None = None
    test_error_percent: Percent | None = None
    half_width_95: Percent | None = None
    valid_error_percent: Percent | None = None
    best_epoch: Count | None = None
    """Fine-tuning epoch with the lowest validation error, whose network is tested."""
    epochs: Count | None = None
    """Number of fine-tuning epochs."""
    selected: str = ""
    """For an SVM, the parameters with the lowest validation error."""
    trials: Count | None = None
    """For an SVM, the number of trials."""
    paper_error_percent: Percent | None = None
    paper_half_width_95: Percent | None = None
    paper_model: str = ""
    verdict: str = ""
    remark: str = ""
    """`one class for every test row` if the model has learned nothing; otherwise empty."""
    minutes: Minutes | None = None
    device: str = ""
    engine: str = ""
    """Engine that computed the run: torch, compiled or libsvm; blas in earlier versions."""
    threads: Count | None = None
    versions: str = ""
    commit: str = ""
    numerics: Count = UNRECORDED
    """Numerics version that computed the run."""
    config_sha256: str = ""
    """SHA-256 of the resolved settings and the numerics version."""
    error: str = ""
    """Reason why the run failed; empty if it is done."""


@dataclass(frozen=True)
class TableRow:
    """table.csv: one cell, with means over its seeds."""

    SPARSE: ClassVar = {"trust": ""}
    LATER: ClassVar = (NUMERICS,)
    KEYS: ClassVar = SETTING_COLUMNS

    cell: str
    dataset: str
    data_origin: str
    trust: Trust
    data_sha256: str
    model: str
    destruction_percent: Level
    settings: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)
    """As in runs.csv."""
    seeds: str
    """Seeds, separated by spaces."""
    n_test: Count | None
    n_wrong: str
    """One number per seed, separated by spaces."""
    test_error_percent: Percent | None
    half_width_95: Percent | None
    """1.96 · sqrt(p (1 − p) / n_test) of a single run, as in the paper."""
    sd_over_seeds: Percent | None
    valid_error_percent: Percent | None
    paper_error_percent: Percent | None
    paper_half_width_95: Percent | None
    paper_model: str
    verdict: str
    minutes: Minutes | None
    device: str
    engine: str
    threads: Count | None
    versions: str
    commit: str
    numerics: str = str(UNRECORDED)
    error: str = ""


@dataclass(frozen=True)
class RunComparison:
    """mcnemar.csv: McNemar's test of two runs on the same test rows."""

    dataset: str
    data_sha256: str
    cell_a: str
    cell_b: str
    model_a: str
    model_b: str
    seed: Count
    """Seed of both runs, except of an SVM, which has one run for all seeds."""
    run_a: str
    run_b: str
    n_test: Count
    only_a_wrong: Count
    """Number of test rows that a gets wrong and b gets right."""
    only_b_wrong: Count
    error_a_percent: Percent
    error_b_percent: Percent
    p_value: PValue
    significant: bool
    """Whether p_value is at most .05."""
    p_holm: PValue
    """p_value after Holm's correction for all comparisons of the data set, over all seeds."""


@dataclass(frozen=True)
class SavedWrongRows:
    """wrong_rows.csv: the wrong test rows of a run."""

    run: str
    n_test: Count
    n_wrong: Count
    bits: str
    """wrong_rows.npy as Base64: one bit per test row, from the first; 1 means wrong."""


def _read_points(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        points = [point.split(":") for point in text.split()]
        line = tuple((int(epoch), float(value)) for epoch, value in points)
        if all(0 <= epoch <= 10**6 and isfinite(value) for epoch, value in line):
            return line
    except ValueError:
        pass
    raise ValueError("points such as 1:24.5 4:18.35, each an epoch and a value")


Finite = Annotated[float, number("a finite number", isfinite)]
Points = Annotated[
    tuple[tuple[int, float], ...],
    BeforeValidator(_read_points),
    written(lambda line: " ".join(f"{epoch}:{value:g}" for epoch, value in line)),
]


@dataclass(frozen=True)
class EpochRow:
    """metrics.csv of a run: one epoch, with the fields of `training.state.EpochRecord`."""

    phase: Literal["pretrain", "finetune"]
    layer: Count | None
    """Pretrained layer, 1 being the lowest; None during fine-tuning."""
    epoch: Count
    cost: Finite
    valid_wrong: Count | None
    valid_error_percent: Finite | None


@dataclass(frozen=True)
class CurveRow:
    """curves.csv: one learning curve of a run, thinned out."""

    run: str
    curve: str
    """`cost 1` and so on for the pretraining of a layer; `validation error` for fine-tuning."""
    points: Points
    """Epoch and value of each point."""


@dataclass(frozen=True)
class ReferenceRow:
    """reference.csv: the result of one reference run, in columns of runs.csv."""

    cell: str
    seed: Count
    data_origin: str
    data_sha256: str
    numerics: Count
    config_sha256: str
    n_wrong: Count
    best_epoch: Count | None
    device: str
    engine: str
    versions: str


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TrialRow:
    """search.csv: one trial. No column is computed from test rows."""

    SPARSE: ClassVar = {"trust": ""}
    LATER: ClassVar = (NUMERICS,)

    cell: str
    search: str
    """Digest that identifies the search: space, fixed settings, data, numerics."""
    trial: Count
    """Number of the trial from 1, in the order in which trials were started."""
    sampler: str
    sampler_seed: Count
    state: TrialState
    settings: Mapping[str, str] = field(default_factory=dict)
    """Searched keys and their values as in an experiment file; one column each."""
    valid_error_percent: Percent | None = None
    """Lowest validation error; for a pruned trial, the lowest until then."""
    valid_wrong: Count | None = None
    n_valid: Count | None = None
    best_epoch: Count | None = None
    epochs: Count | None = None
    weights: Count | None = None
    """Number of weights of the network, without biases."""
    minutes: Minutes | None = None
    dataset: str = ""
    data_origin: str = ""
    trust: Trust = ""
    data_sha256: str = ""
    seed: Count | None = None
    device: str = ""
    engine: str = ""
    versions: str = ""
    commit: str = ""
    numerics: Count = UNRECORDED
    config_sha256: str = ""
    """SHA-256 of the trial's whole experiment."""
    error: str = ""
    """Reason why the trial diverged or failed."""

    @property
    def counts(self) -> bool:
        """Whether the trial counts towards the number of trials asked for."""
        return self.state in ("complete", "pruned")


def lowest_seeds(rows: Iterable[RunRow]) -> dict[str, RunRow]:
    """Return, by cell, its row with the lowest seed."""
    return {row.cell: row for row in sorted(rows, key=lambda row: row.seed, reverse=True)}


Result = TypeVar("Result", RunRow, TableRow)


def read_results(path: Path, kind: type[Result]) -> list[Result]:
    """Read runs.csv or table.csv; no rows if there is no file.

    If an earlier version wrote the file, the trust of the data is derived from their digest.
    Columns of settings are checked but not returned, because the study has them. Raises
    RunFolderError if the file is malformed.
    """
    rows = [replace(row, settings={}) for row in read_rows(path, kind)]
    if any(row.trust for row in rows):
        return rows
    return [
        replace(row, trust=recorded_trust(row.dataset, row.data_origin, row.data_sha256))
        for row in rows
    ]
