"""Two actors on this machine against one process, what a unit costs beside its work, and what a killed actor costs."""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.driver import VIEWS, NoBar, planned
from benchmarks.made import index
from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine import encoder as encoders
from rine import params
from rine.caching import by_actors, views
from rine.caching.decode import Source, workers
from rine.caching.on_actor import Encoding, Errand, Work
from rine.caching.plan import Unit, plan
from rine.caching.run import fill
from rine.caching.store import Store
from rine.cluster import Done, Wanted
from rine.cluster.connection import LOCAL, connected
from rine.cluster.spread import crew_of
from rine.device import usable_cores
from rine.params import Params

GOAL, OVERHEAD, RECOVERY = 0.95, 10.0, 15.0  # of the throughput; ms a unit; s
PICTURES, EACH, SIDE = 48, 16, 256  # of a round, views of each, pixels a side
SHARD = 32  # views of a unit
NOTHING = 200  # units without work


def rows(rounds: int) -> list[Figure | Skipped]:
    if not importlib.util.find_spec("ray") or usable_cores() < 2:
        return [Skipped("cluster", "two actors", "Ray is not installed, or there is one core")]
    study = params.read("params.yaml")
    study = replace(study, augmentation=replace(study.augmentation, views=EACH))
    with tempfile.TemporaryDirectory() as folder, connected(LOCAL) as (ray, _):
        pair = Pair(Path(folder), study, PICTURES, rounds + 1, SIDE, SHARD)
        with pair.crew(ray, Encoding, 2) as crew:
            seconds = in_turn([pair.alone, lambda: list(crew.run(pair.work("actors"), NoBar()))], rounds)
        times = medians(["theirs", "ours"], seconds)
        rate = PICTURES * EACH / times["ours"]
        return [
            Figure(
                "cluster",
                "two actors on this machine, once they are there",
                "one process, which uses both cores",
                ratios(seconds[:, 0], seconds[:, 1]),
                GOAL,
                times,
                note=f"{rate:.0f} views/s, units of {SHARD} views, {study.encoders[study.encoder].name}",
            ),
            _overhead(ray, rounds),
            _recovery(ray, pair, rounds),
        ]


class Pair:
    """Units for so many rounds, the same for one process and for actors, each with a store of its own."""

    def __init__(self, root: Path, study: Params, pictures: int, rounds: int, side: int, shard: int) -> None:
        self.study, self.config = study, study.encoders[study.encoder]
        recipe = views.recipe("train", study, study.encoder)
        table = views.expand(index(root / "data", "a", pictures * rounds, "train", side), recipe)
        units = list(plan(table, shard).units.values())
        n = len(units) // rounds
        self.rounds = [units[i : i + n] for i in range(0, n * rounds, n)]
        self.next = {"alone": 0, "actors": 0}
        self.source = Source(root / "data", recipe, study.prepare.max_pixels)
        self.encoder = encoders.load(self.config, study.runtime.device, study.runtime.precision)
        self.described, self.shape = by_actors.describe(self.config, study.runtime)
        self.stores = {name: Store.open(root / name, self.described, {}, self.shape) for name in self.next}

    def units(self, name: str) -> list[Unit]:
        """Those of the next round."""
        self.next[name] += 1
        return self.rounds[(self.next[name] - 1) % len(self.rounds)]

    def work(self, name: str) -> Iterator[Work]:
        return (Work(unit, {}) for unit in self.units(name))

    def alone(self) -> None:
        n, batch = workers("auto", self.encoder.device), self.encoder.batch_size("auto")
        fill(self.units("alone"), {"augment": self.stores["alone"]}, self.encoder, batch, self.source, n, "alone")

    @contextmanager
    def crew(self, ray: Any, make: Callable[[Errand], Callable[[Work], Done]], n: int) -> Iterator[Any]:
        folder = self.stores["actors"].folder
        with by_actors.token(folder) as token:
            crew = crew_of(ray, LOCAL, Wanted(functools.partial(make, self.errand(token)), n=n))
            try:
                yield crew
            finally:
                crew.end()

    def errand(self, token: tuple[Path, str]) -> Errand:
        stores, runtime = {"augment": self.stores["actors"].folder}, self.study.runtime
        return Errand(self.config, self.described, self.shape, runtime, self.source, stores, token, None)


def _nothing() -> Callable[[Work], Done]:
    return lambda work: Done(1)


def _overhead(ray: Any, rounds: int) -> Figure:
    unit = planned(VIEWS)[0]
    crew, samples = crew_of(ray, LOCAL, Wanted(_nothing, n=2)), []
    for n in [1, *[NOTHING] * rounds]:
        start = time.perf_counter()
        assert sum(1 for _ in crew.run((Work(unit, {}) for _ in range(n)), NoBar())) == n
        samples.append(1e3 * (time.perf_counter() - start) / n)
    crew.end()
    return Figure(
        "cluster",
        f"what a unit of {VIEWS} views takes beside its work",
        "two actors that do nothing with it",
        tuple(samples[1:]),
        OVERHEAD,
        {},
        at_least=False,
        unit="ms",
    )


class Timed:
    """An actor's work, which says when it was begun and by which process."""

    def __init__(self, errand: Errand) -> None:
        self.encoding = Encoding(errand)

    def __call__(self, work: Work) -> Done:
        began = time.time()
        return replace(self.encoding(work), value=(os.getpid(), began))


def _recovery(ray: Any, pair: Pair, rounds: int) -> Figure:
    pair.next["actors"], samples = 0, []
    for file in pair.stores["actors"].folder.iterdir():
        file.unlink()
    with pair.crew(ray, Timed, 1) as crew:
        for _ in range(rounds):
            samples.append(_killed(crew.run(pair.work("actors"), NoBar())))
    return Figure(
        "cluster",
        "from the death of an actor to its successor at work",
        "no death",
        tuple(samples),
        RECOVERY,
        {},
        at_least=False,
        unit="s",
        note="Ray starts a process, which imports PyTorch and builds the encoder",
    )


def _killed(results: Iterator[tuple[Work, Done]]) -> float:
    """Seconds from the death of the process that did the first item until another works."""
    pid, _ = next(results)[1].value
    died = time.time()
    os.kill(pid, signal.SIGKILL)
    return min(began for _, done in results for other, began in [done.value] if other != pid) - died
