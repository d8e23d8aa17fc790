"""One thread, and figures as a run of the benchmarks would leave them."""

from __future__ import annotations

import pytest

from benchmarks.cells import OURS
from benchmarks.commands import BARE_HELP, OUR_HELP, STACK
from benchmarks.figures import About, Figure, Table
from benchmarks.growth import DEPTH, EPOCHS, ROWS, UNITS
from benchmarks.parts import PARTS, STEP
from benchmarks.plan import (
    CELLS,
    COMPILED,
    HELP,
    IN_MEMORY,
    MEMORY,
    NORMAL,
    PROFILE,
    SGEMM,
    WITH_LOADER,
    WORKERS,
    ours,
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """Ask for the shared fixture in every test here."""


@pytest.fixture
def about() -> About:
    """A machine that there is not."""
    return About(
        mode="normal",
        engine="blas",
        cpu="Abacus 9",
        cores="2",
        vectors="avx",
        system="Linux",
        libraries="python 3.11, torch 2.13.0",
        commit="0123456789ab",
        measured="2030-01-02",
    )


@pytest.fixture
def table(about: About) -> Table:
    """Figures that meet some bars and miss others; torch.compile could not be had."""
    figures = []
    for units in (1000, 2000):
        measure = NORMAL.pretraining(units, 20)
        # Five products of 2·20·784·h operations, 500 times: 0.784 s at 100 GFLOP/s for h = 1000.
        limit = 0.784 * units / 1000
        figures += [
            _figure(measure, WITH_LOADER, "s", 6.5 * limit, 6.5 * limit, 9.0 * limit),
            _figure(measure, IN_MEMORY, "s", 6.0 * limit, 3.0 * limit, 12.0 * limit),
            Figure(measure, COMPILED, "s", "1", (), "not available: no C++ compiler"),
            _figure(measure, ours("torch"), "s", 2.5 * limit, 2.5 * limit, 2.5 * limit),
            _figure(measure, ours("blas"), "s", 1.6 * limit, 1.0 * limit, 3.0 * limit),
            *_sgemm(measure),
        ]
    measure = NORMAL.finetuning(20)
    figures += [
        _figure(measure, WITH_LOADER, "s", 3.0, 3.0, 3.0),
        _figure(measure, IN_MEMORY, "s", 4.0, 4.0, 4.0),
        _figure(measure, ours("blas"), "s", 2.0, 2.0, 2.0),
        *_sgemm(measure),
    ]
    parts = [_figure(PROFILE, part, "µs", 100.0, 100.0, 100.0) for part in PARTS]
    figures += [*parts, _figure(PROFILE, STEP, "µs", 900.0, 900.0, 900.0), *_sgemm(PROFILE)]
    for measure, sizes in ((ROWS, "100 200"), (UNITS, "10 20"), (DEPTH, "1 2"), (EPOCHS, "1 2")):
        figures += [
            _figure(measure, size, "s", k, k, k) for k, size in enumerate(sizes.split(), start=1)
        ]
    figures += [
        _figure(WORKERS, "1", "steps/s", 500.0, 400.0, 500.0),
        _figure(WORKERS, "2", "steps/s", 950.0, 760.0, 800.0),
        _figure(HELP, OUR_HELP, "s", 0.3, 0.3, 0.3),
        _figure(HELP, BARE_HELP, "s", 0.2, 0.2, 0.2),
        _figure(MEMORY, STACK, "MiB", 1100.0),
        _figure(CELLS, IN_MEMORY, "s", 200.0, 210.0, 205.0),
        _figure(CELLS, OURS, "s", 50.0, 50.0, 50.0),
    ]
    return Table(about, tuple(figures))


def _figure(measure: str, contender: str, unit: str, *values: float) -> Figure:
    return Figure(measure, contender, unit, "1", values)


def _sgemm(measure: str) -> list[Figure]:
    rates = zip(SGEMM, (90.0, 100.0, 45.0), strict=True)
    return [_figure(measure, name, "GFLOP/s", rate, rate, rate) for name, rate in rates]
