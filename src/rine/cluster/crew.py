"""The actors of a run and what each has in hand: who gets the next item, and what becomes of one that fails."""

from __future__ import annotations

import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rine.cluster.actor import Done, Told, Unfit
from rine.cluster.hand import Hand, Task, note
from rine.progress import Bar

AHEAD = 2  # items that an actor has at most
FIRST_SECONDS = 3600.0  # an item may take so long while none is done;
LEAST_SECONDS, TIMES = 300.0, 10  # then so many times what the slowest took for as much, and so long at least
TRIES = 4  # each with twice the time
LOOK_SECONDS = 5.0  # between two looks at which machines are there


class Crew:
    """So many actors, made by `hire`, that do items; `weigh` says how much an item is, in `unit`s.

    Ray restarts an actor that dies and sends it its items again, without end. What an actor is asked answers for its
    own fitness each time, so one that was restarted on another machine is compared with the driver again.
    """

    def __init__(
        self, ray: Any, hire: Callable[[], Any], n: int, unit: str = "items", weigh: Callable[[Any], int] = lambda _: 1
    ) -> None:
        self.ray, self.hire, self.unit, self.weigh = ray, hire, unit, weigh
        self.hands: dict[Any, Hand] = {}
        self.starting: dict[Any, Any] = {}
        self.returned: deque[Task] = deque()
        self.slowest: float | None = None  # seconds for one of what `weigh` counts
        self.n_hired, self.why = 0, ""
        self.next_look = time.monotonic() + LOOK_SECONDS
        for _ in range(n):
            self._hire()

    def run(self, items: Iterable[Any], bar: Bar) -> Iterator[tuple[Any, Done]]:
        """Each item with what was done, in the order in which they end; raises what an item ended with everywhere."""
        self.source, self.more = iter(items), True
        while True:
            self._hand_out()
            under_way = {ref: hand for hand in self.hands.values() for ref in hand.tasks}
            if not (self.more or self.returned or under_way):
                return
            if not self.hands and not self.starting:
                raise Unfit(f"no actor of the cluster can do the work; the last one: {self.why}")
            for ref in self._answered([*self.starting, *under_way]):
                if ref in self.starting:
                    self._started(ref)
                elif ref in under_way[ref].tasks:  # its actor was not let go a moment ago
                    yield from self._ended(under_way[ref], ref, bar)
            self._end_overdue()
            self._end_lost()
            bar.advance(0, note(self.hands.values(), len(self.starting), self.unit))

    def end(self) -> None:
        for actor in [*self.hands, *self.starting.values()]:
            self.ray.kill(actor)

    def _hire(self) -> None:
        actor = self.hire()
        self.starting[actor.start.remote()] = actor

    def _answered(self, refs: list[Any]) -> list[Any]:
        self.ray.wait(refs, num_returns=1, timeout=1.0)
        return self.ray.wait(refs, num_returns=len(refs), timeout=0)[0]

    def _told(self, ref: Any) -> Told | str:
        """The answer, or why there is none."""
        try:
            return self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            return str(error).strip().splitlines()[-1]

    def _started(self, ref: Any) -> None:
        actor, told = self.starting.pop(ref), self._told(ref)
        if isinstance(told, str) or told.kind == "unfit":
            host, why = ("an actor", told) if isinstance(told, str) else (told.host, told.what)
            self.ray.kill(actor)
            self._refuse(host, why)
            return
        self.n_hired += 1
        self.hands[actor] = Hand(actor, f"{told.host}#{self.n_hired}", told.host, told.node, time.monotonic())

    def _refuse(self, host: str, why: str) -> None:
        self.why = f"{host}: {why}"
        _say(f"{host} is refused: {why}; {len(self.hands) + len(self.starting)} actors go on")

    def _hand_out(self) -> None:
        for has in range(AHEAD):
            for hand in [hand for hand in self.hands.values() if len(hand.tasks) == has]:
                if (task := self._next(hand.host)) is None:
                    break
                now = time.monotonic()
                hand.last = hand.last if hand.tasks else now
                hand.since = hand.since if hand.tasks or hand.n else now
                hand.tasks[hand.actor.do.remote(pickle.dumps(task.item))] = task

    def _next(self, host: str) -> Task | None:
        """What failed elsewhere before what is new; nothing again where it failed, while there is another machine."""
        hosts = {hand.host for hand in self.hands.values()}
        for task in self.returned:
            if host not in task.failed_on or hosts <= task.failed_on:
                self.returned.remove(task)
                return task
        for item in self.source if self.more else ():
            return Task(item, self.weigh(item))
        self.more = False
        return None

    def _ended(self, hand: Hand, ref: Any, bar: Bar) -> Iterator[tuple[Any, Done]]:
        told = self._told(ref)
        if isinstance(told, str) or told.kind == "unfit":
            self._let_go(hand)
            self._refuse(
                hand.host if isinstance(told, str) else told.host, told if isinstance(told, str) else told.what
            )
            return
        task = hand.tasks.pop(ref)
        hand.last = time.monotonic()
        hand.host, hand.node = told.host, told.node  # it may have been restarted on another
        if told.kind == "error":
            self._failed(hand, task, told.host, told.what)
            return
        hand.n, hand.waited = hand.n + told.what.n, told.what.waited
        self.slowest = max(self.slowest or 0.0, told.seconds / max(task.n, 1))
        bar.advance(told.what.n, note(self.hands.values(), len(self.starting), self.unit))
        yield task.item, told.what

    def _failed(self, hand: Hand, task: Task, host: str, error: Exception) -> None:
        """An error of the item's own (`ValueError`), or of its machine, which then gets no more."""
        task.failed_on.add(host)
        if not isinstance(error, ValueError):
            self._let_go(hand)
        others = {hand.host for hand in self.hands.values()} - task.failed_on
        if len(task.failed_on) > 1 or not others:
            raise error
        self.returned.append(task)
        _say(f"{host}: {error}\n  it is tried on another machine")

    def _let_go(self, hand: Hand) -> None:
        """End an actor; what it had goes to others."""
        del self.hands[hand.actor]
        self.returned.extend(hand.tasks.values())
        hand.tasks.clear()
        self.ray.kill(hand.actor)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for hand in [hand for hand in self.hands.values() if hand.tasks]:
            task = next(iter(hand.tasks.values()))
            most = FIRST_SECONDS if self.slowest is None else max(LEAST_SECONDS, TIMES * self.slowest * task.n)
            if now - hand.last < most * 2**task.tries:
                continue
            task.tries += 1
            task.failed_on.add(hand.host)
            self._let_go(hand)
            if task.tries == TRIES:
                raise TimeoutError(
                    f"a unit was not done in time on {', '.join(sorted(task.failed_on))}; tried {TRIES} x"
                )
            _say(f"{hand.name} has said nothing for {now - hand.last:.0f} s: it is ended, and its work done elsewhere")
            self._hire()

    def _end_lost(self) -> None:
        """What the actors of a machine that is gone had goes to others at once: Ray would have it wait for a place."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + LOOK_SECONDS
        there = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        for hand in [hand for hand in self.hands.values() if hand.node not in there]:
            self._let_go(hand)
            _say(f"{hand.name}: its machine is gone, and its work done elsewhere")
            self._hire()  # for a place that may come


def _say(line: str) -> None:
    print(f"cluster: {line}", file=sys.stderr, flush=True)
