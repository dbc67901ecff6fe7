"""A cluster's driver over many workers that sleep: `rine.cluster`'s own loop, with a stand-in for Ray in its process.

So many of Ray's actors would not fit into one machine. What the stand-in leaves out is what Ray takes to send an item
and to bring its answer, which the row `cluster` measures on real actors.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil

from benchmarks.measure import Figure, Skipped
from rine.caching.on_actor import Work
from rine.caching.plan import Unit, plan
from rine.cluster.actor import Done, Told
from rine.cluster.crew import Crew

WORKERS, EACH = (1, 8, 64, 512), 4  # units of each worker in a round
VIEWS = 2048  # of a unit
SECONDS = 0.82  # of a unit on an H200: 2,500 views/s, reckoned in docs/clusters.md and not measured
GOAL, HANDED = 0.95, 625.0  # of the ideal; units/s that 512 such workers ask for
UNITS = 64


@dataclass(frozen=True)
class Simulated:
    """What came of a number of workers: of the ideal throughput the share, in each round; units/s; of the driver
    milliseconds of processor a unit, and the megabytes of its process, Ray's own apart."""

    shares: tuple[float, ...]
    rate: float
    milliseconds: float
    megabytes: float


def rows(rounds: int) -> list[Figure | Skipped]:
    found = {n: apart(n, EACH, SECONDS, rounds) for n in WORKERS}
    figures: list[Figure | Skipped] = [
        Figure(
            "driver",
            f"one driver, {n} workers that sleep {SECONDS} s a unit",
            "no driver at all: every worker busy",
            done.shares,
            GOAL,
            {},
            note=f"{done.rate:.0f} units/s, {done.milliseconds:.2f} ms of processor a unit, {done.megabytes:.0f} MB",
        )
        for n, done in found.items()
    ]
    most = [apart(max(WORKERS), 8, 0.0, 1).rate for _ in range(rounds)]
    figures.append(
        Figure(
            "driver",
            f"one driver, {max(WORKERS)} workers that take no time",
            "what as many H200 would ask for",
            tuple(most),
            HANDED,
            {},
            unit="units/s",
            note="beyond it the workers wait for the driver",
        )
    )
    return figures


def apart(*arguments: Any) -> Simulated:
    """`simulate` in a process of its own, whose memory is the driver's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(simulate, *arguments).result()


def simulate(n: int, each: int, seconds: float, rounds: int, different: int = UNITS) -> Simulated:
    """Have n workers do so many units each, of so many seconds, in every round; units come round again."""
    units = planned(different * VIEWS)
    ray = Ray()
    crew = Crew(ray, lambda: ray.sleeper(seconds), n, "views", lambda work: len(work.unit.own))
    elapsed, processor, most = [], [], 0
    for _ in range(rounds):
        items = (Work(unit, {}) for unit in itertools.islice(itertools.cycle(units), n * each))
        start, spent = time.perf_counter(), time.process_time()
        assert sum(1 for _ in crew.run(items, NoBar())) == n * each
        elapsed.append(time.perf_counter() - start)
        processor.append(time.process_time() - spent)
        most = max(most, psutil.Process().memory_info().rss)
    return Simulated(
        tuple(each * seconds / took for took in elapsed),
        float(n * each / np.median(elapsed)),
        float(1e3 * np.median(processor) / (n * each)),
        most / 1e6,
    )


def planned(n: int) -> list[Unit]:
    """Units of so many views, one a picture."""
    digests = [f"{i:032x}" for i in range(n)]
    paths = [f"real/{digest}.jpg" for digest in digests]
    named = {"family": "centre", "view": "centre", "source": "a", "label": 0}
    return list(plan(pd.DataFrame({"path": paths, "digest": digests} | named), VIEWS).units.values())


class NoBar:
    def advance(self, n: float = 1, note: str = "") -> None: ...


class Ray:
    """What a crew asks of Ray, of actors that only sleep: an answer is there when its time has come."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(self) -> None:
        self.due: dict[int, float] = {}
        self.numbers = itertools.count()

    def sleeper(self, seconds: float) -> Any:
        """An actor: one item after the other, each of so many seconds."""
        free = [0.0]

        def method(takes: float) -> Callable[..., int]:
            def remote(*_: Any) -> int:
                ref = next(self.numbers)
                self.due[ref] = free[0] = max(free[0], time.perf_counter()) + takes
                return ref

            return remote

        return _Actor(SimpleNamespace(remote=method(0.0)), SimpleNamespace(remote=method(seconds)))

    def wait(self, refs: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        first = min(self.due[ref] for ref in refs)
        time.sleep(max(min(first - time.perf_counter(), timeout), 0.0))
        now = time.perf_counter()
        ready = [ref for ref in refs if self.due[ref] <= now][:num_returns]
        return ready, []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": "", "Alive": True}]

    def get(self, ref: int) -> Told:
        del self.due[ref]
        return Told("host", 1, SECONDS, "done", Done(VIEWS))


@dataclass(frozen=True, eq=False)
class _Actor:
    start: Any
    do: Any
