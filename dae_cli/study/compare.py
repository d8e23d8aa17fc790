"""What `dae compare` compares, runs of two settings on the same test rows, and which is better.

Runs are paired by their seeds. Over several seeds the mean difference of the errors and its
interval by Student's t decide: they hold for other seeds as well. Of one seed McNemar's test
decides, for these very networks alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dae_cli.config.dump import differing_settings
from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy, load_resolved
from dae_cli.config.saved_settings import SETTINGS, read_settings
from dae_cli.config.schema import AnyExperiment
from dae_cli.errors import ConfigError, RunFolderError
from dae_cli.study.paper import is_svm
from dae_cli.study.results_folder import is_current
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.job import CONFIG, with_seed
from dae_cli.study.run.record import read_status
from dae_cli.study.run.wrong_rows import load_wrong_rows
from dae_cli.study.tables.comparisons import (
    LEVEL,
    error_percent,
    holm,
    only_wrong,
    p_value,
    read_wrong_rows,
)

TestRows = tuple[str, str, int]
"""What must be the same to be compared: data set, digest, number of test rows."""
Outcome = Literal["better", "worse", "not decided"]


@dataclass(frozen=True, eq=False)
class Contender:
    """Runs that differ in their seeds alone, such as those of a cell."""

    name: str
    cell: str
    source: str
    """The results or the run, as the user named them."""
    rows: dict[int, RunRow]
    """By seed; an SVM, which has none, has one run."""
    wrong_rows: dict[str, NDArray[np.bool_]]
    """By run, which test rows are wrong, as far as that is known."""
    experiment: AnyExperiment | None = None
    """Its settings, whatever the seed; None where that is not known."""
    is_changed: bool = False
    """Whether its cell has other settings than its file, which named it."""

    @property
    def is_svm(self) -> bool:
        """Whether its one run is compared with every seed of another one."""
        return all(is_svm(row.model) for row in self.rows.values())

    @property
    def test_rows(self) -> TestRows:
        """Those of its runs."""
        row = next(iter(self.rows.values()))
        return row.dataset, row.data_sha256, row.n_test or 0

    def run(self, seed: int) -> RunRow | None:
        """Return the run that is compared at a seed, if there is one."""
        return next(iter(self.rows.values())) if self.is_svm else self.rows.get(seed)


def cells_of_results(
    folder: Path, cell: str, study: ResolvedStudy | None, source: str
) -> list[Contender]:
    """Return the cells of a folder of results, or the one that is named.

    Args:
        study: whose cells are meant with the settings that they have now; None: whatever there is.

    Raises:
        RunFolderError: there is none with a finished run, or a file is damaged.
    """
    now = {one.cell: one for one in study.cells} if study else {}
    known = {one.cell: one for one in _recorded(folder)} | now
    rows = [
        row
        for row in read_results(folder / RUNS_CSV, RunRow)
        if _is_tested(row)
        and cell in ("", row.cell)
        and (study is None or (row.cell in now and is_current(row, now[row.cell])))
    ]
    if cell and study is not None and not rows:
        return []
    if not rows:
        raise RunFolderError(
            f"{source}: {folder / RUNS_CSV} has no finished run{f' of {cell}' if cell else ''} "
            "with a test error; dae replicate makes them"
        )
    wrong_rows = read_wrong_rows(folder, rows)
    return [
        Contender(
            name,
            name,
            source,
            {row.seed: row for row in rows if row.cell == name},
            wrong_rows,
            known[name].experiment if name in known else None,
            name in known and bool(known[name].changed),
        )
        for name in dict.fromkeys(row.cell for row in rows)
    ]


def _recorded(folder: Path) -> Sequence[ResolvedExperiment]:
    """The cells with the settings that a folder of results records, as far as it does."""
    with suppress(ConfigError):  # of an earlier version: it has none
        return read_settings(folder / SETTINGS, folder).cells
    return ()


def grouped_runs(runs: Iterable[tuple[Path, str]]) -> list[Contender]:
    """Return the runs of some folders, each with what the user named; by settings, seeds left out.

    Raises:
        RunFolderError: one is not finished, has no test error, or is damaged.
    """
    by_settings: dict[str, Contender] = {}
    for folder, source in runs:
        row = read_status(folder)
        if row.state != "done" or not _is_tested(row):
            raise RunFolderError(f"{source}: is no finished run with a test error")
        experiment = with_seed(load_resolved(folder / CONFIG), 0)
        key = f"{experiment!r} {row.data_sha256}"
        if key in by_settings and row.seed in by_settings[key].rows:  # by another engine, say
            key = str(folder)
        new = Contender(row.cell, row.cell, source, {}, {}, experiment, "=" in row.cell)
        one = by_settings.setdefault(key, new)
        one.rows[row.seed] = row
        with suppress(RunFolderError):  # of an earlier version: its errors are compared alone
            one.wrong_rows[row.run] = load_wrong_rows(folder, row.n_test or 0, row.n_wrong)
    return list(by_settings.values())


def with_distinct_names(contenders: Sequence[Contender]) -> list[Contender]:
    """Return contenders whose names differ and say what they are.

    Those of one cell, or that are no longer what their cell is called, by the settings in which
    they differ from the others; where these are the same, by what the user named.
    """
    named = [replace(one, name=_settings_of(one, contenders) or one.cell) for one in contenders]
    for form in ("{0.cell} with {0.name}", "{0.cell} of {0.source}"):
        names = [one.name for one in named]
        named = [
            replace(one, name=form.format(one))
            if names.count(one.name) > 1 and (one.name != one.cell or "source" in form)
            else one
            for one in named
        ]
    return named


def _settings_of(one: Contender, contenders: Sequence[Contender]) -> str:
    """`corruption.destruction=0.15, model.hidden=[1000, 1000]`; empty if the cell's name tells."""
    among = [other for other in contenders if other.test_rows == one.test_rows]
    alike = [other for other in among if other.cell == one.cell]
    if len(alike) == 1 and one.is_changed:
        alike = among
    if len(alike) == 1 or any(other.experiment is None for other in alike):
        return ""
    settings = differing_settings([c.experiment for c in alike if c.experiment])
    own = settings[alike.index(one)]
    return ", ".join(f"{key}={value}" for key, value in own.items() if value)


def _is_tested(row: RunRow) -> bool:
    return not row.error and bool(row.n_test) and row.n_wrong is not None


@dataclass
class SeedComparison:
    """Two runs of one seed; the test's fields are empty where wrong rows are not known."""

    seed: int
    baseline_error_percent: float
    error_percent: float
    only_baseline_wrong: int | None = None
    """Test rows that the baseline alone gets wrong."""
    only_this_wrong: int | None = None
    p_value: float | None = None
    """McNemar's."""
    p_holm: float | None = None
    """Adjusted for all tests on the data set that the command makes."""

    @property
    def difference(self) -> float:
        """Of the errors, in points of percent; negative where the baseline is worse."""
        return self.error_percent - self.baseline_error_percent


@dataclass(frozen=True)
class Comparison:
    """A contender beside its baseline."""

    dataset: str
    baseline: str
    name: str
    seeds: list[SeedComparison]

    @property
    def difference(self) -> float:
        """Mean over the seeds, in points of percent."""
        return statistics.fmean(one.difference for one in self.seeds)

    @property
    def half_width_95(self) -> float | None:
        """Of the difference, by Student's t over the seeds; None of one seed."""
        n = len(self.seeds)
        if n < 2:
            return None
        # Rounded, so that equal differences have none.
        deviation = statistics.stdev(round(one.difference, 9) for one in self.seeds)
        return float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)

    @property
    def outcome(self) -> Outcome:
        """Whether the contender is better than its baseline."""
        if self.half_width_95:
            decided = abs(self.difference) > self.half_width_95
        else:  # one seed, or the same difference at each, which says nothing of its spread
            decided = all(one.p_holm is not None and one.p_holm <= LEVEL for one in self.seeds)
        if not decided or not self.difference:
            return "not decided"
        return "better" if self.difference < 0 else "worse"

    @property
    def sentence(self) -> str:
        """What the comparison says, in words."""
        count = "one seed" if len(self.seeds) == 1 else f"{len(self.seeds)} seeds"
        lies = "lower" if self.difference < 0 else "higher"
        by = f"its error is {abs(self.difference):.2f}"
        by += "" if self.half_width_95 is None else f" ± {self.half_width_95:.2f}"
        by = f"{by} points {lies}" if self.difference else "its error is the same"
        if self.half_width_95 is None:
            by += f"; {_test_in_words(self.seeds[0])}"
        elif self.difference:
            by += f" (95 %, Student's t over {count})"
        if self.outcome == "not decided":
            says = f"{count} cannot decide whether {self.name} is better"
        else:
            says = f"{self.name} is {self.outcome}"
        return f"{self.dataset}: {says} than {self.baseline}: {by}"


def _test_in_words(one: SeedComparison) -> str:
    if one.p_holm is None:
        return "which test rows are wrong is not known, so McNemar's test cannot be made"
    return f"McNemar's test of this seed's networks gives p = {one.p_holm:.2g}"


def compare(
    contenders: Sequence[Contender], baseline: str = "", *, by_cell: bool = False
) -> tuple[list[Comparison], list[str]]:
    """Compare contenders with the baseline of their test rows, the first unless it is named.

    Args:
        contenders: in the order in which they are shown.
        baseline: the name of one, its cell, or the source of several.
        by_cell: only those of one cell are compared, such as those of two results.

    Returns:
        The comparisons, and what is compared with nothing, with the reason.

    Raises:
        ConfigError: there is no comparison.
    """
    groups: dict[tuple[TestRows, str], list[Contender]] = {}
    for one in contenders:
        groups.setdefault((one.test_rows, one.cell if by_cell else ""), []).append(one)
    by_rows: dict[TestRows, list[Comparison]] = {}
    reasons: list[str] = []
    for (test_rows, _), group in groups.items():
        dataset, digest, n_test = test_rows
        words = f"on its test rows ({n_test} of {dataset}, SHA-256 {digest[:12]}…)"
        named = (c for c in group if not baseline or baseline in (c.name, c.cell, c.source))
        if (first := next(named, None)) is None:
            reasons += [f"{one.name} has no baseline {words}" for one in group]
            continue
        if len(group) == 1:
            reasons.append(f"{first.name} is alone {words}")
        for other in group:
            if other is first:
                continue
            if seeds := _paired(first, other):
                comparison = Comparison(dataset, first.name, other.name, seeds)
                by_rows.setdefault(test_rows, []).append(comparison)
            else:
                had = [", ".join(map(str, sorted(c.rows))) for c in (first, other)]
                reasons.append(
                    f"{first.name} has the seeds {had[0]}, {other.name} {had[1]}: none in common"
                )
    for comparisons in by_rows.values():
        _adjust(comparisons)
    if not by_rows:
        raise ConfigError("\n  ".join(["there is nothing to compare:", *reasons]))
    return [one for comparisons in by_rows.values() for one in comparisons], reasons


def _paired(a: Contender, b: Contender) -> list[SeedComparison]:
    """Compare b with the baseline a at every seed that both have."""
    pairs = []
    for seed in sorted(a.rows if b.is_svm else b.rows):
        run_a, run_b = a.run(seed), b.run(seed)
        if run_a is None or run_b is None:
            continue
        one = SeedComparison(seed, error_percent(run_a), error_percent(run_b))
        wrong_a, wrong_b = a.wrong_rows.get(run_a.run), b.wrong_rows.get(run_b.run)
        if wrong_a is not None and wrong_b is not None:
            one.only_baseline_wrong, one.only_this_wrong = only_wrong(wrong_a, wrong_b)
            one.p_value = p_value(one.only_baseline_wrong, one.only_this_wrong)
        pairs.append(one)
    return pairs


def _adjust(comparisons: Sequence[Comparison]) -> None:
    """Adjust the p-values of one data set for their number."""
    seeds = [s for one in comparisons for s in one.seeds if s.p_value is not None]
    p_values = holm([s.p_value for s in seeds if s.p_value is not None])
    for seed, adjusted in zip(seeds, p_values, strict=True):
        seed.p_holm = adjusted
