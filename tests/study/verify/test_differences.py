"""What a verification gathers: each difference once, and errors that stop nothing."""

from __future__ import annotations

import pytest

from dae_cli.errors import DaeError
from dae_cli.study.verify.differences import Difference, Findings, Unchecked


@pytest.fixture
def found() -> Findings:
    return Findings()


def test_what_is_equal_is_no_difference_and_what_differs_is_kept_once(found: Findings) -> None:
    found.compare("a", "n", 7, 7)
    for _ in range(2):
        found.compare("a", "n", 7, 8, " (counted)")
    found.compare("a", "m", None, "")
    assert found.differences == [
        Difference("a", "n", "7", "8 (counted)"),
        Difference("a", "m", "–", "–"),
    ]


def test_of_lines_the_first_that_differs_is_told_and_how_many_more(found: Findings) -> None:
    found.compare_lines("a", "", "1\n2\n3\n", "1\n2\n3\n")
    found.compare_lines("a", "", "1\n2\n3\n", "1\nx\ny\n")
    found.compare_lines("b", "Data, ", "1\n2", "1\n2\n3")
    assert found.differences == [
        Difference("a", "line 2 and 1 more", "2", "x"),
        Difference("b", "Data, line 3", "–", "3"),
    ]


def test_of_a_table_every_cell_that_differs_is_told_by_row_and_column(found: Findings) -> None:
    found.compare_csv("t", "cell,n,m\na,1,2\nb,3,4\n", "cell,n,m\na,1,5\nb,6,4\n")
    assert found.differences == [
        Difference("t", "a: m", "2", "5"),
        Difference("t", "b: n", "3", "6"),
    ]


@pytest.mark.parametrize(
    "recorded",
    ["cell,n\na,1", "cell,n\r\na,1\n", 'cell,n\n"a",1\n', "cell,n\na,1\nb,2\n", "", "n\n1\n"],
)
def test_of_another_form_of_a_table_the_lines_are_told(found: Findings, recorded: str) -> None:
    found.compare_csv("t", recorded, "cell,n\na,1\n")
    (difference,) = found.differences
    assert difference.what.startswith("line ")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DaeError("x: gone"), "x: gone"),
        (ValueError("odd"), "ValueError: odd"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_an_error_is_kept_and_the_next_part_is_reached(
    found: Findings, error: Exception, reason: str
) -> None:
    with found.going_on("a"):
        raise error
    assert found.unchecked == [Unchecked("a", reason)]


def test_an_interrupt_is_no_finding(found: Findings) -> None:
    with pytest.raises(KeyboardInterrupt), found.going_on("a"):
        raise KeyboardInterrupt
    assert found.unchecked == []
