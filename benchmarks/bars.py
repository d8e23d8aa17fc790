"""What must be reached, and what was: every bar with its figure, the missed ones as well."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise

from benchmarks import commands, parts
from benchmarks.cells import OURS
from benchmarks.figures import Figure, Table, fastest, ratios
from benchmarks.plan import (
    CELLS,
    CLASSES,
    HELP,
    IN_MEMORY,
    MEMORY,
    PLANS,
    PROFILE,
    SGEMM,
    WITH_LOADER,
    WORKERS,
    Plan,
    ours,
)

Values = tuple[float, ...]
LIMIT = "the products alone, at the rate of the best sgemm"
SECONDS = {"s": 1.0, "µs": 1e-6}


@dataclass(frozen=True)
class Bar:
    """A bar, and what was reached in each round; no values: it was not measured."""

    what: str
    bound: float
    unit: str
    values: Values
    at_most: bool = False
    aim: float | None = None

    @property
    def reached(self) -> float | None:
        """The median of the rounds."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """`met`, `missed` or `not measured`."""
        if self.reached is None:
            return "not measured"
        return "met" if self._meets(self.bound) else "missed"

    @property
    def aim_reached(self) -> bool:
        """Whether there is an aim above the bar and it is reached."""
        return self.aim is not None and self.reached is not None and self._meets(self.aim)

    def _meets(self, bound: float) -> bool:
        assert self.reached is not None
        return self.reached <= bound if self.at_most else self.reached >= bound


def bars(table: Table) -> list[Bar]:
    """Return every bar with what a run of the benchmarks reached."""
    plan, engine = plan_of(table), ours(table.about.engine)
    figure = table.get
    found = []
    pretraining = [plan.pretraining(units, 20) for units in widths(plan)]
    for measure, bound in (*((name, 3.0) for name in pretraining), (plan.finetuning(20), 2.0)):
        times = _ratios(best_peer(table, measure), figure(measure, engine))
        what = f"{measure}: best of the peers with and without DataLoader / dae"
        found.append(Bar(what, bound, "times", times))
    for units, batch, bound, aim in (
        *((units, 20, 70.0, 85.0) for units in widths(plan)),
        (plan.units, 100, 85.0, 92.0),
    ):
        measure = plan.pretraining(units, batch)
        share = shares(table, measure, engine, epoch_operations(plan, units))
        found.append(Bar(f"{measure}: share of the best sgemm", bound, "%", share, aim=aim))
    times = _ratios(figure(CELLS, IN_MEMORY), figure(CELLS, OURS))
    found.append(Bar(f"{CELLS}: {IN_MEMORY} / {OURS}", 4.0, "times", times))
    times = _ratios(figure(WORKERS, "2"), figure(WORKERS, "1"))
    found.append(Bar("steps a second: two workers / one", 1.8, "times", times))
    times = _ratios(figure(HELP, commands.OUR_HELP), figure(HELP, commands.BARE_HELP))
    what = f"`{commands.OUR_HELP}` / `{commands.BARE_HELP}`"
    found.append(Bar(what, 2.0, "times", times, at_most=True))
    mask = tuple(100 * share for share in _ratios(*mask_and_step(table)))
    what = "drawing and applying masks: share of a pretraining step"
    found.append(Bar(what, 10.0, "%", mask, at_most=True))
    peak = figure(MEMORY, commands.STACK)
    what = f"{MEMORY}, {commands.STACK}"
    found.append(Bar(what, 1024.0, "MiB", peak.values if peak else (), at_most=True))
    return found


def plan_of(table: Table) -> Plan:
    """Return the plan that a run followed."""
    return next(plan for mode, plan in PLANS.items() if mode == table.about.mode)


def widths(plan: Plan) -> tuple[int, int]:
    """Return the hidden units of the two pretraining measures."""
    return plan.units, 2 * plan.units


def mask_and_step(table: Table) -> tuple[Figure | None, Figure | None]:
    """Return what the mask takes of a step, and the step."""
    return table.get(PROFILE, parts.MASK), table.get(PROFILE, parts.STEP)


def best_peer(table: Table, measure: str) -> Figure | None:
    """Return the faster one of the peers that the bars are about."""
    return fastest(table.get(measure, name) for name in (WITH_LOADER, IN_MEMORY))


def best_sgemm(table: Table, measure: str) -> Figure | None:
    """Return the library whose sgemm was the fastest in the rounds of a measure."""
    figures = [figure for name in SGEMM if (figure := table.get(measure, name))]
    return max(figures, key=lambda figure: figure.median, default=None)


def shares(table: Table, measure: str, contender: str, operations: float) -> Values:
    """Return the share of sgemm, in percent, that so many operations reached in each round."""
    figure, peak = table.get(measure, contender), best_sgemm(table, measure)
    if figure is None or peak is None:
        return ()
    seconds = [value * SECONDS[figure.unit] for value in figure.values]
    pairs = zip(seconds, peak.values, strict=True)
    return tuple(100 * operations / (each * 1e9 * top) for each, top in pairs)


def epoch_operations(plan: Plan, units: int) -> float:
    """Return the operations of an epoch of pretraining, whatever its batch."""
    return parts.operations(plan.inputs, units, plan.rows)


def finetuning_operations(plan: Plan) -> float:
    """Return the operations of an epoch of fine-tuning: forwards, backwards, update."""
    stack = (plan.inputs, *(plan.units,) * 3, CLASSES)
    weights = [below * above for below, above in pairwise(stack)]
    return 2.0 * plan.rows * (3 * sum(weights) - weights[0])  # no error is taken to the inputs


def limit(table: Table, measure: str, operations: float) -> Figure | None:
    """Return the seconds that so many operations take at the rate of the best sgemm."""
    peak = best_sgemm(table, measure)
    if peak is None:
        return None
    return Figure(measure, LIMIT, "s", "1", tuple(operations / (r * 1e9) for r in peak.values))


def _ratios(above: Figure | None, below: Figure | None) -> Values:
    return ratios(above, below) if above and below else ()
