from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.bars import (
    Bar,
    bars,
    best_peer,
    best_sgemm,
    epoch_operations,
    finetuning_operations,
)
from benchmarks.commands import STACK
from benchmarks.figures import Table
from benchmarks.plan import NORMAL, WITH_LOADER


@pytest.fixture
def by_name(table: Table) -> dict[str, Bar]:
    return {bar.what: bar for bar in bars(table)}


def _only(found: dict[str, Bar], *words: str) -> Bar:
    (bar,) = (bar for what, bar in found.items() if all(word in what for word in words))
    return bar


def test_speed_is_that_of_the_best_peer_against_the_engine_that_auto_chose(
    table: Table, by_name: dict[str, Bar]
) -> None:
    # In memory 6, 3, 12 and we 1.6, 1, 3: the median of 3.75, 3, 4, not the ratio of medians.
    bar = _only(by_name, "epoch, 784-1000, ", "batch 20", "/ dae")
    assert bar.reached == pytest.approx(3.75)
    assert bar.verdict == "met"


def test_the_peer_of_a_bar_is_the_one_of_the_smaller_median(table: Table) -> None:
    peer = best_peer(table, NORMAL.finetuning(20))
    assert peer is not None and peer.contender == WITH_LOADER


def test_a_missed_bar_is_told(by_name: dict[str, Bar]) -> None:
    bar = _only(by_name, "fine-tuning epoch")
    assert (bar.reached, bar.verdict) == (1.5, "missed")
    memory = _only(by_name, STACK)
    assert (memory.reached, memory.verdict) == (1100.0, "missed")


def test_the_share_of_sgemm_is_of_the_best_library(table: Table, by_name: dict[str, Bar]) -> None:
    peak = best_sgemm(table, NORMAL.pretraining(1000, 20))
    assert peak is not None and peak.contender == "sgemm, scipy"
    for width in ("784-1000", "784-2000"):
        bar = _only(by_name, f"{width}, batch 20: share")
        assert bar.values == pytest.approx((100 / 1.6, 100.0, 100 / 3.0))
        assert bar.verdict == "missed" and not bar.aim_reached


def test_bars_from_above_are_met_at_the_bound() -> None:
    assert Bar("help", 2.0, "times", (2.0,), at_most=True).verdict == "met"
    assert Bar("help", 2.0, "times", (2.1,), at_most=True).verdict == "missed"
    assert Bar("share", 70.0, "%", (70.0,), aim=85.0).verdict == "met"


def test_what_was_not_measured_is_neither_met_nor_missed(by_name: dict[str, Bar]) -> None:
    assert _only(by_name, "batch 100").verdict == "not measured"


def test_an_engine_that_was_not_measured_gives_no_figure(table: Table) -> None:
    other = Table(replace(table.about, engine="compiled"), table.figures)
    pretraining = [bar for bar in bars(other) if "epoch" in bar.what]
    assert {bar.verdict for bar in pretraining} == {"not measured"}


def test_operations_are_those_of_the_products() -> None:
    assert epoch_operations(NORMAL, 2000) == 10_000 * 5 * 2 * 784 * 2000
    layers = 784 * 1000 + 2 * 1000 * 1000 + 1000 * 2
    assert finetuning_operations(NORMAL) == 10_000 * 2 * (3 * layers - 784 * 1000)
