"""Taking turns: every contender a little at a time, so that a busy moment hurts all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter

Turn = Callable[[], float]
"""Does a contender's share of a round and returns its figure."""


def take_turns(contenders: Mapping[str, Turn], rounds: int) -> dict[str, tuple[float, ...]]:
    """Return each contender's figures, one a round, after a round to warm up.

    The order moves on by one from round to round: nobody always comes after the same one.
    """
    names = list(contenders)
    for turn in contenders.values():
        turn()
    values: dict[str, list[float]] = {name: [] for name in names}
    for k in range(rounds):
        first = k % max(1, len(names))
        for name in names[first:] + names[:first]:
            values[name].append(contenders[name]())
    return {name: tuple(figures) for name, figures in values.items()}


def timed_steps(steps: Iterator[None], count: int, scale: float = 1.0) -> Turn:
    """Return a turn of `count` steps of an endless training; its figure is seconds · `scale`."""

    def turn() -> float:
        started = perf_counter()
        for _ in range(count):
            next(steps)
        return (perf_counter() - started) * scale

    return turn
