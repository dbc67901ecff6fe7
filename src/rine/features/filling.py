"""Fill the feature store: the pictures that lack tokens go through one decode and all encoders that want them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rine.device import threads, usable_cores
from rine.features.decoding import Job, Source, Workers, decoded
from rine.features.store import Journal, Store, row_key
from rine.progress import Bar, progress

if TYPE_CHECKING:
    from torch import Tensor

    from rine.encoder import Encoder

_CORES_AHEAD = 2  # batches under way for each core
_NAMED = 10  # pictures that an error names


class PicturesLost(ValueError):
    """Pictures that the index names and that cannot be read now."""


@dataclass(frozen=True)
class Unit:
    """Rows of a feature set that are encoded and stored together: one group's next pictures, whole."""

    family: str
    jobs: tuple[Job, ...]
    rows: np.ndarray  # their numbers in the table

    @cached_property
    def keys(self) -> list[str]:
        """The store's names of the rows, in order."""
        return [row_key(job.digest, view) for job in self.jobs for _, view in job.views]


def units(rows: pd.DataFrame, shard_rows: int) -> dict[str, Unit]:
    """Cut a feature set (from `views.expand`) into units of at most `shard_rows` rows, by name.

    A unit holds pictures of one source, label and family; the cuts count from the group's start, so that
    pictures that are added to one group leave those of the others as they are.
    """
    made: dict[str, Unit] = {}
    groups: Any = rows.groupby(["source", "label", "family"], sort=True)
    for (source, label, family), group in groups:
        paths, digests, views = (group[column].tolist() for column in ("path", "digest", "view"))
        pictures = [
            Job(paths[start], digests[start], tuple((family, view) for view in views[start:stop]))
            for start, stop in _runs(paths)
        ]
        done = 0
        for number, part in enumerate(_cut(pictures, shard_rows)):
            n = sum(len(job.views) for job in part)
            places = group.index.to_numpy()[done : done + n]
            made[f"{_slug(source)}-{label}-{family}-{number:03d}"] = Unit(family, tuple(part), places)
            done += n
    return made


def _runs(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of one path: the views of one picture."""
    ends = [i for i in range(1, len(paths)) if paths[i] != paths[i - 1]]
    return pairwise([0, *ends, len(paths)])


def _cut(pictures: list[Job], shard_rows: int) -> Iterator[list[Job]]:
    part: list[Job] = []
    n = 0
    for job in pictures:
        if part and n + len(job.views) > shard_rows:
            yield part
            part, n = [], 0
        part.append(job)
        n += len(job.views)
    yield part


def _slug(source: str) -> str:
    """A source's name as a file's: two sources never share one."""
    plain = "".join(
        c if c.isascii() and (c.isalnum() or c in "-.") else f"_{ord(c):x}_" for c in source.replace("/", "__")
    )
    return plain or "_"


@dataclass(frozen=True)
class Target:
    """An encoder and its stores, one for each family of views; `batch` pictures are sent at a time."""

    encoder: Encoder
    stores: dict[str, Store]
    batch: int


@dataclass
class Clock:
    """Seconds of late spent waiting for pixels and for the encoder."""

    decoding: float = 0.0
    encoding: float = 0.0

    def note(self) -> str:
        """Which of the two holds up the other."""
        total = self.decoding + self.encoding
        if not total:
            return ""
        share = self.decoding / total
        self.decoding, self.encoding = self.decoding * 0.9, self.encoding * 0.9
        return (
            f"the encoder waits for pictures {share:.0%} of the time"
            if share > 0.1
            else "pictures wait for the encoder"
        )


class Work:
    """A unit, and for each target the rows it lacks of it and their journal."""

    def __init__(self, unit: Unit, targets: Sequence[Target], lacking: Sequence[list[str]]) -> None:
        self.unit, self.targets, self.lacking = unit, targets, lacking
        self.n_views = len(set().union(*lacking))
        self.n_left = [0] * len(targets)  # rows that a target could not get, once the unit is done

    @cached_property
    def journals(self) -> list[Journal | None]:
        """Made when the unit's turn comes: a journal holds a shard's memory."""
        pairs = zip(self.targets, self.lacking, strict=True)
        return [Journal(target.stores[self.unit.family], keys) if keys else None for target, keys in pairs]

    @cached_property
    def jobs(self) -> list[Job]:
        """Pictures to decode, with the views that some target wants and no journal remembers, each once."""
        done = [journal.done if journal else 0 for journal in self.journals]
        wanted = set().union(*(keys[n:] for keys, n in zip(self.lacking, done, strict=True)))
        jobs = []
        for job in self.unit.jobs:
            views = tuple(view for view in job.views if row_key(job.digest, view[1]) in wanted)
            if views:
                jobs.append(Job(job.path, job.digest, views))
                wanted.difference_update(row_key(job.digest, view) for _, view in views)
        return jobs


def fill(
    wanted: Sequence[Unit], targets: Sequence[Target], source: Source, how: Workers, name: str
) -> list[tuple[int, int]]:
    """Encode what the stores lack of the units' rows; for each target, how many were encoded and how many were there.

    Targets share one decode. The first is the one that was asked for; the others take what comes, and do without a
    picture that only they want. Raises `PicturesLost` with the names of pictures that cannot be read any more, and
    `store.StoreFull`; what is finished before stays.
    """
    works = []
    n_rows = sum(len(unit.keys) for unit in wanted)
    encoded = [0] * len(targets)
    claimed: list[set[tuple[str, str]]] = [
        set() for _ in targets
    ]  # copies of a picture in other units are encoded once
    for unit in wanted:
        lacking = []
        for t, (target, taken) in enumerate(zip(targets, claimed, strict=True)):
            missing = [k for k in target.stores[unit.family].missing(unit.keys) if (unit.family, k) not in taken]
            taken.update((unit.family, k) for k in missing)
            lacking.append(missing)
            encoded[t] += len(missing)
        if any(lacking):
            works.append(Work(unit, targets, lacking))
    if works:
        with ExitStack() as stack:
            pool = stack.enter_context(encoding(targets))
            bar = stack.enter_context(progress(sum(work.n_views for work in works), "views", name))
            jobs = (job for work in works for job in work.jobs)
            pictures = stack.enter_context(decoded(source, jobs, how))
            clock = Clock()
            write = None
            for work in works:
                for t, journal in enumerate(work.journals):
                    encoded[t] -= journal.done if journal else 0  # an earlier run did these
                try:
                    write_next = encode_shard(work, pictures, pool, bar, clock)
                finally:
                    if write:
                        write()  # while the next shard's last batches are under way
                write = write_next
            write_next()
    left = [sum(work.n_left[t] for work in works) for t in range(len(targets))]
    return [(n - n_left, n_rows - n) for n, n_left in zip(encoded, left, strict=True)]


@contextmanager
def encoding(targets: Sequence[Target]) -> Iterator[ThreadPoolExecutor | None]:
    """Threads for encoders on the CPU, one a core and one core each; None for those on a device, which runs beside us.

    Batches side by side are faster than the cores joining in every product of one batch: no core waits for another,
    which on a machine that does other things as well costs most of the time.
    """
    if not any(target.encoder.device == "cpu" for target in targets):
        yield None
        return
    import torch

    at_once = threads()
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(at_once, thread_name_prefix="encode") as pool:
            yield pool
    finally:
        torch.set_num_threads(n)


def encode_shard(
    work: Work, pictures: Iterator[np.ndarray | str], pool: ThreadPoolExecutor | None, bar: Bar, clock: Clock
) -> Callable[[], None]:
    """Encode one unit's missing rows, from their pictures' pixels in the order of `work.jobs`.

    Returns what waits for the last of them and stores the shard. Idempotent: what a journal remembers is not done
    again, and the same rows give the same file.
    """
    collectors = {
        t: _Collector(target, journal, keys, pool)
        for t, (target, journal, keys) in enumerate(zip(work.targets, work.journals, work.lacking, strict=True))
        if journal
    }
    lost = []
    bar.advance(work.n_views - sum(len(job.views) for job in work.jobs))
    for job in work.jobs:
        start = time.perf_counter()
        pixels = next(pictures)  # (V, size, size, 3)
        clock.decoding += time.perf_counter() - start
        keys = [row_key(job.digest, view) for _, view in job.views]
        if isinstance(pixels, str):
            if 0 in [t for t, collector in collectors.items() if collector.lose(keys)]:
                lost.append(pixels)
            continue
        start = time.perf_counter()
        for collector in collectors.values():
            collector.add(keys, pixels)
        clock.encoding += time.perf_counter() - start
        bar.advance(len(pixels), clock.note())
    for collector in collectors.values():
        collector.send_rest()

    def write() -> None:
        for t, collector in collectors.items():
            work.n_left[t] = collector.finish()
        work.journals.clear()  # a shard's memory

    if lost:
        write()
        more = f"\n  and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise PicturesLost(
            "pictures that `prepare` found cannot be read now; run `rine prepare` again, or bring them back:\n  "
            + "\n  ".join(lost[:_NAMED])
            + more
        )
    return write


class _Collector:
    """Views on their way through one encoder: gathered to batches, some of which are under way."""

    def __init__(self, target: Target, journal: Journal, keys: list[str], pool: ThreadPoolExecutor | None) -> None:
        self.encoder, self.batch, self.journal, self.keys = target.encoder, target.batch, journal, keys
        self.wanted = set(keys[journal.done :])
        self.pool = pool if target.encoder.device == "cpu" else None
        self.depth = _CORES_AHEAD * usable_cores() if self.pool else 1
        self.waiting: list[np.ndarray] = []
        self.under_way: deque[Callable[[], Tensor]] = deque()  # each gives its tokens, when they are there
        self.broken = False

    def add(self, keys: list[str], pixels: np.ndarray) -> None:
        if self.broken:
            return
        self.waiting += [view for key, view in zip(keys, pixels, strict=True) if key in self.wanted]
        while len(self.waiting) >= self.batch:
            self._send(self.batch)

    def lose(self, keys: list[str]) -> bool:
        """Note that a picture cannot be had; returns whether its views were wanted.

        Nothing is taken after it: a journal holds its rows in the order of the keys, without a gap.
        """
        hit = not self.wanted.isdisjoint(keys)
        self.broken |= hit
        return hit

    def finish(self) -> int:
        """Take in what is under way and store the shard, or what there is of it; returns how many rows it lacks."""
        self.land(0)
        if self.broken:
            self.journal.save()
        else:
            self.journal.finish(self.keys)
        return len(self.keys) - self.journal.done

    def _send(self, n: int) -> None:
        import torch

        batch = torch.from_numpy(np.stack(self.waiting[:n]))
        del self.waiting[:n]
        if self.pool:
            self.under_way.append(self.pool.submit(self.encoder.encode, batch).result)
        else:
            if self.encoder.device.startswith("cuda"):
                batch = batch.pin_memory()  # so that the copy runs beside the encoder
            self.under_way.append(self.encoder(batch).half().cpu)
        self.land(self.depth)

    def send_rest(self) -> None:
        if self.waiting:
            self._send(len(self.waiting))

    def land(self, left: int) -> None:
        """Take in the tokens of the oldest batches, until so many are under way."""
        while len(self.under_way) > left:
            self.journal.add(self.under_way.popleft()().numpy())
