from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.rounds import take_turns, timed_steps


def test_everybody_warms_up_and_then_has_one_turn_a_round() -> None:
    called: list[str] = []

    def turn(name: str) -> float:
        called.append(name)
        return float(len(called))

    values = take_turns({name: lambda name=name: turn(name) for name in "abc"}, 3)  # type: ignore[misc]
    assert "".join(called) == "abc" + "abc" + "bca" + "cab"
    assert values == {"a": (4.0, 9.0, 11.0), "b": (5.0, 7.0, 12.0), "c": (6.0, 8.0, 10.0)}


def test_a_turn_takes_its_steps_and_goes_on_where_the_last_one_stopped() -> None:
    taken: list[int] = []

    def endless() -> Iterator[None]:
        while True:
            taken.append(len(taken))
            yield

    turn = timed_steps(endless(), 3)
    assert turn() >= 0.0
    assert turn() >= 0.0
    assert len(taken) == 6


def test_a_training_that_ends_is_an_error() -> None:
    with pytest.raises(StopIteration):
        timed_steps(iter([None, None]), 3)()
