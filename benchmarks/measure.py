"""Time several ways of doing the same in turn, and what is reported of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

REPEATS = 5  # of everything; a median of fewer says little


@dataclass(frozen=True)
class Figure:
    """A figure of the table: the median of `samples`, one a round, in `unit`, and the goal that it should reach."""

    row: str
    what: str
    against: str
    samples: tuple[float, ...]
    goal: float
    seconds: dict[str, float]  # median of each way
    at_least: bool = True
    unit: str = "x"
    note: str = ""

    @property
    def value(self) -> float:
        return float(np.median(self.samples))

    @property
    def reached(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass(frozen=True)
class Skipped:
    """A figure that cannot be measured here, and why."""

    row: str
    what: str
    why: str


Row = Callable[[int], "list[Figure | Skipped]"]  # from the number of rounds


def in_turn(
    ways: Sequence[Callable[[], object]],
    rounds: int = REPEATS,
    warm: bool = True,
    before: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Seconds (rounds, ways): every round does each way once, every other round in reverse order.

    `warm` does each once at first, and `before` comes ahead of each time, both untimed. Raises `ValueError` for fewer
    rounds than a median needs.
    """
    if rounds < REPEATS:
        raise ValueError(f"{rounds} rounds; at least {REPEATS} are needed")
    if warm:
        for way in ways:
            way()
    seconds = np.empty((rounds, len(ways)))
    for number in range(rounds):
        order = range(len(ways)) if number % 2 == 0 else reversed(range(len(ways)))
        for i in order:
            before()
            start = time.perf_counter()
            ways[i]()
            seconds[number, i] = time.perf_counter() - start
    return seconds


def ratios(over: np.ndarray, under: np.ndarray) -> tuple[float, ...]:
    """Quotients of neighbours in time, one a round: their median holds where the machine's speed drifts."""
    return tuple((over / under).tolist())


def medians(names: Sequence[str], seconds: np.ndarray) -> dict[str, float]:
    return dict(zip(names, np.median(seconds, axis=0).tolist(), strict=True))
