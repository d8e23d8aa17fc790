"""The interval and the verdict of ICML 2008's table 1."""

from __future__ import annotations

import pytest

from dae_cli.study.paper import PaperNumber, paper_numbers
from dae_cli.study.verdict import half_width_95, verdict

N_TEST = 50_000


@pytest.mark.parametrize(
    "number", paper_numbers(), ids=lambda n: f"{n.paper}-{n.dataset}-{n.model}"
)
def test_the_interval_over_50000_rows_is_the_papers_own(number: PaperNumber) -> None:
    wrong = number.error_percent / 100 * N_TEST
    assert f"{half_width_95(wrong, N_TEST):.2f}" == f"{number.half_width_95:.2f}"


def test_the_interval_is_none_at_all_when_nothing_or_everything_is_wrong() -> None:
    assert half_width_95(0, 10) == half_width_95(10, 10) == 0.0


def test_a_quarter_of_the_rows_doubles_the_interval() -> None:
    assert half_width_95(25, 100) == pytest.approx(2 * half_width_95(100, 400))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (18.41, "matches"),
        (17.80, "matches"),
        (19.02, "matches"),
        (17.72, "better"),
        (19.10, "worse"),
        (0.0, "better"),
        (100.0, "worse"),
    ],
)
def test_the_verdict_is_two_sided(error: float, expected: str) -> None:
    assert verdict(error, 0.34, 18.41, 0.34) == expected


def test_intervals_whose_ends_touch_match() -> None:
    assert verdict(10.0, 0.25, 10.75, 0.5) == "matches"
    assert verdict(11.5, 0.25, 10.75, 0.5) == "matches"
    assert verdict(10.0, 0.25, 10.76, 0.5) == "better"
    assert verdict(11.51, 0.25, 10.75, 0.5) == "worse"


def test_a_verdict_follows_from_the_numbers_as_they_are_printed() -> None:
    # 24.436 - 0.376 lies above 23.69 + 0.37; as printed, 24.44 - 0.38 and 24.06 touch.
    assert verdict(24.436, 0.376, 23.69, 0.37) == "matches"
    assert verdict(24.436, 0.374, 23.69, 0.37) == "worse"


def test_swapping_ours_and_the_papers_swaps_better_and_worse() -> None:
    assert verdict(10.0, 0.2, 11.0, 0.3) == "better"
    assert verdict(11.0, 0.3, 10.0, 0.2) == "worse"


@pytest.mark.parametrize("paper", [(None, None), (18.41, None), (None, 0.34)])
def test_without_a_number_of_the_paper_there_is_no_verdict(
    paper: tuple[float | None, float | None],
) -> None:
    assert verdict(1.0, 0.1, *paper) == "no reference"
