"""What an actor has in hand, and what is said of all of them."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Task:
    """An item on its way, with the machines on which it failed."""

    item: Any
    n: int
    failed_on: set[str] = field(default_factory=set)
    tries: int = 0


@dataclass
class Hand:
    """A fit actor: the tasks that it has, and what it has done since it got its first."""

    actor: Any
    name: str
    host: str
    node: str
    since: float
    tasks: dict[Any, Task] = field(default_factory=dict)  # by Ray's reference to the answer, oldest first
    last: float = 0.0  # when it began the oldest
    n: int = 0
    waited: float = 0.0

    def rate(self, now: float) -> float:
        return self.n / max(now - self.since, 1e-9)


def note(hands: Collection[Hand], n_starting: int, unit: str) -> str:
    """How fast each is, and who waits for what."""
    now = time.monotonic()
    rates = {hand.name: hand.rate(now) for hand in hands if hand.n}
    words = [f"{n_starting} actors start, or wait for a place"] if n_starting else []
    if 0 < len(rates) <= 4:
        words.append(", ".join(f"{name} {rate:.1f}" for name, rate in rates.items()) + f" {unit}/s")
    elif rates:
        slowest = min(rates, key=rates.__getitem__)
        words.append(
            f"{len(rates)} actors, {rates[slowest]:.1f} ({slowest}) to {max(rates.values()):.1f} {unit}/s each"
        )
    waiting = [hand.waited for hand in hands if hand.waited > 0.1]
    if waiting:
        words.append(f"{len(waiting)} of them wait for files, at most {max(waiting):.0%} of the time")
    return "; ".join(words)
