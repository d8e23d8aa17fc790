"""Charts: what lies where, and what may be left out of a curve."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dae_cli.pages.charts import (
    HEIGHT,
    WIDTH,
    bar,
    cost_charts,
    error_chart,
    nice_ticks,
    simplified,
    strip_axis,
    valid_chart,
)
from dae_cli.pages.content import Curves
from tests.pages.conftest import made_page

DATASET = made_page().datasets[0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (17.1, 18.9, [17.5, 18, 18.5]),
        (1, 300, [100, 200, 300]),
        (0.5, 0.5, []),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == expected


def test_a_larger_error_lies_higher_and_more_destruction_further_right() -> None:
    chart = error_chart(DATASET)
    assert chart is not None
    still, destroyed = chart.ours
    assert still.x < destroyed.x
    assert still.y < destroyed.y  # 18 % above 17 %: y grows downwards
    for mark in (*chart.ours, *chart.paper):
        assert mark.high < mark.y < mark.low
        assert all(0 <= y <= HEIGHT for y in (mark.high, mark.low))
        assert 0 <= mark.x <= WIDTH


def test_ours_and_the_papers_at_one_destruction_do_not_cover_one_another() -> None:
    chart = error_chart(DATASET)
    assert chart is not None
    assert chart.paper[0].x - chart.ours[0].x == pytest.approx(10.0)


def test_intervals_of_a_strip_share_the_axis_of_their_data_set() -> None:
    axis = strip_axis(DATASET.cells)
    assert axis is not None
    ours, theirs = bar(axis, DATASET.cells[0].ours), bar(axis, DATASET.cells[0].paper)
    assert ours is not None
    assert theirs is not None
    assert ours.low < ours.at < ours.high
    assert ours.at < theirs.at
    assert bar(axis, None) is None
    assert strip_axis([DATASET.cells[2]]) is None  # failed, and nothing published


def test_the_dot_of_a_curve_is_its_lowest_validation_error() -> None:
    chart = valid_chart(DATASET.curves)
    assert chart is not None
    trace = chart.traces[0]
    assert trace.dot is not None
    assert f"L{trace.dot[0]:g} {trace.dot[1]:g}L" in trace.path


def test_other_seeds_of_a_series_are_drawn_fainter() -> None:
    first, second = DATASET.curves
    chart = valid_chart([first, replace(first, run="another seed"), second])
    assert chart is not None
    assert [trace.again for trace in chart.traces] == [False, True, False]


def test_each_layer_has_a_chart_beside_the_one_before() -> None:
    first, second = cost_charts(DATASET.curves)
    assert first.frame.x.end < second.frame.x.start
    assert (first.frame.title, second.frame.title) == ("layer 1", "layer 2")
    assert len(first.traces) == 2


def test_without_curves_there_is_no_chart() -> None:
    assert valid_chart([]) is None
    assert cost_charts([]) == ()


def test_a_curve_of_one_epoch_can_be_drawn() -> None:
    run = DATASET.curves[0]
    alone = replace(run, best=(1, 5.0), curves=Curves(((1, 5.0),)))
    assert valid_chart([alone]) is not None


def test_points_on_a_line_are_left_out_and_corners_stay() -> None:
    straight = [(k, float(k)) for k in range(1, 51)]
    assert simplified(straight) == ((1, 1.0), (50, 50.0))
    corner = [*straight, *((50 + k, 50.0 - k) for k in range(1, 30))]
    assert simplified(corner) == ((1, 1.0), (50, 50.0), (79, 21.0))


def test_first_last_and_lowest_point_always_stay() -> None:
    noise = random.Random(0)
    line = [(k, 20.0 + noise.random()) for k in range(1, 301)]
    kept = simplified(line, tolerance=1e9)
    lowest = min(line, key=lambda point: point[1])
    assert set(kept) == {line[0], lowest, line[-1]}
    assert simplified(line[:2]) == tuple(line[:2])
    assert simplified([]) == ()
