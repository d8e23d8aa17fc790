"""The rows of a study's CSV files: fixed, documented columns, provenance in every row."""

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
"""Those that runs.csv and table.csv may have; two settings have a column in any case."""

TrialState = Literal["complete", "pruned", "diverged", "failed"]


@dataclass(frozen=True)
class RunRow:
    """runs.csv: one run. Percentages are of the split's rows; an empty field is not known."""

    SPARSE: ClassVar = {"trust": "", "selected": "", "trials": "", "remark": ""}
    LATER: ClassVar = (NUMERICS,)
    KEYS: ClassVar = SETTING_COLUMNS

    cell: str
    """The cell's name inside the study, such as convex-25."""
    run: str
    """The run folder's name."""
    dataset: str
    data_origin: str
    """original, regenerated, or own: the user's."""
    trust: Trust
    """How far original data are proven: verified, plausible or unverified; else empty."""
    data_sha256: str
    model: str
    destruction_percent: Level
    settings: Mapping[str, str] = field(default_factory=dict, kw_only=True, hash=False)
    """The settings in which the cells of the study differ, filled in where files are written."""
    seed: Count
    n_test: Count | None = None
    n_wrong: Count | None = None
    test_error_percent: Percent | None = None
    half_width_95: Percent | None = None
    valid_error_percent: Percent | None = None
    best_epoch: Count | None = None
    """Fine-tuning epoch whose network was kept."""
    epochs: Count | None = None
    """Fine-tuning epochs that were run."""
    selected: str = ""
    """Of an SVM: the parameters that were best on the validation rows."""
    trials: Count | None = None
    """Of an SVM: the machines that were compared."""
    paper_error_percent: Percent | None = None
    paper_half_width_95: Percent | None = None
    paper_model: str = ""
    verdict: str = ""
    remark: str = ""
    """`one class for every test row`, of a model that has learned nothing; else empty."""
    minutes: Minutes | None = None
    device: str = ""
    engine: str = ""
    """What computed it: torch or compiled, blas in earlier versions, libsvm."""
    threads: Count | None = None
    versions: str = ""
    commit: str = ""
    numerics: Count = UNRECORDED
    """Version of the numerics that computed it."""
    config_sha256: str = ""
    """Of the resolved config and the version of the numerics."""
    error: str = ""
    """Why the run failed; empty when it is done."""


@dataclass(frozen=True)
class TableRow:
    """table.csv: one cell, the mean over its seeds."""

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
    """Separated by spaces."""
    n_test: Count | None
    n_wrong: str
    """One number a seed, separated by spaces."""
    test_error_percent: Percent | None
    half_width_95: Percent | None
    """Of a single run: 1.96 · sqrt(p (1 − p) / n_test), as in the paper."""
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
    """Of both runs, but of an SVM, which has one run for all seeds."""
    run_a: str
    run_b: str
    n_test: Count
    only_a_wrong: Count
    """Test rows that a gets wrong and b right."""
    only_b_wrong: Count
    error_a_percent: Percent
    error_b_percent: Percent
    p_value: PValue
    significant: bool
    """p_value is at most .05."""
    p_holm: PValue
    """Adjusted for all comparisons of the data set, seeds included."""


@dataclass(frozen=True)
class SavedWrongRows:
    """wrong_rows.csv: the wrong test rows of a run."""

    run: str
    n_test: Count
    n_wrong: Count
    bits: str
    """Base64 of the bits of wrong_rows.npy: the first bit is the first test row, 1 for wrong."""


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
    raise ValueError("points such as 1:24.5 4:18.35, an epoch and a value each")


Finite = Annotated[float, number("a finite number", isfinite)]
Points = Annotated[
    tuple[tuple[int, float], ...],
    BeforeValidator(_read_points),
    written(lambda line: " ".join(f"{epoch}:{value:g}" for epoch, value in line)),
]


@dataclass(frozen=True)
class EpochRow:
    """metrics.csv of a run: one epoch, as `training.state.EpochRecord` has it."""

    phase: Literal["pretrain", "finetune"]
    layer: Count | None
    """1 is the lowest; None while the whole network is fine-tuned."""
    epoch: Count
    cost: Finite
    valid_wrong: Count | None
    valid_error_percent: Finite | None


@dataclass(frozen=True)
class CurveRow:
    """curves.csv: one line of a run's learning curves, thinned out."""

    run: str
    curve: str
    """`cost 1` and so on, of a layer's pretraining, or `validation error` of fine-tuning."""
    points: Points
    """Epoch and value of each."""


@dataclass(frozen=True)
class ReferenceRow:
    """reference.csv: what one run of the reference came to; the columns are those of runs.csv."""

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
    """search.csv: one trial. No test row has been counted for any of it."""

    SPARSE: ClassVar = {"trust": ""}
    LATER: ClassVar = (NUMERICS,)

    cell: str
    search: str
    """Digest of what is searched: space, settings that are not searched, data, numerics."""
    trial: Count
    """From 1, in the order in which trials of the search were begun."""
    sampler: str
    sampler_seed: Count
    state: TrialState
    settings: Mapping[str, str] = field(default_factory=dict)
    """The searched keys and their values, as an experiment file has them; a column each."""
    valid_error_percent: Percent | None = None
    """Of the network that was kept; of a trial that was pruned, of the best until then."""
    valid_wrong: Count | None = None
    n_valid: Count | None = None
    best_epoch: Count | None = None
    epochs: Count | None = None
    weights: Count | None = None
    """Of the network, without biases."""
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
    """Of the trial's whole experiment."""
    error: str = ""
    """Why it diverged or failed."""

    @property
    def counts(self) -> bool:
        """Whether the trial is one of those that a budget is given in."""
        return self.state in ("complete", "pruned")


def lowest_seeds(rows: Iterable[RunRow]) -> dict[str, RunRow]:
    """Return by cell its row of the lowest seed."""
    return {row.cell: row for row in sorted(rows, key=lambda row: row.seed, reverse=True)}


Result = TypeVar("Result", RunRow, TableRow)


def read_results(path: Path, kind: type[Result]) -> list[Result]:
    """Read runs.csv or table.csv; no rows where there is no file.

    What a file of an earlier version does not say of its data's trust, their digest does. Columns
    of settings are checked and left out: the study has them. Raises RunFolderError where it is not
    as dae writes it.
    """
    rows = [replace(row, settings={}) for row in read_rows(path, kind)]
    if any(row.trust for row in rows):
        return rows
    return [
        replace(row, trust=recorded_trust(row.dataset, row.data_origin, row.data_sha256))
        for row in rows
    ]
