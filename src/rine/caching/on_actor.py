"""A feature set's units on an actor: it reads, encodes and stores each by itself, and only a count goes back.

An actor is taken on when its encoder is the driver's and it sees the same store and the same pictures, which is tried
and not assumed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rine import apart
from rine import encoder as encoders
from rine.caching.decode import Job, Pixels, Source, decoded, workers
from rine.caching.draft import Draft
from rine.caching.encode import encode_unit, encoding_threads
from rine.caching.plan import Unit
from rine.caching.store import Place, Store
from rine.cluster import Done, Unfit
from rine.encoder.config import EncoderConfig
from rine.params import RuntimeConfig
from rine.pixels.pictures import UnreadablePicture, read

if TYPE_CHECKING:
    from rine.encoder import Encoder


@dataclass(frozen=True)
class Errand:
    """All that an actor has to know; paths are absolute, since it runs in another folder."""

    config: EncoderConfig
    described: dict[str, Any]  # the driver's encoder
    shape: tuple[int, int]
    runtime: RuntimeConfig
    source: Source
    stores: dict[str, Path]  # the folder of each family
    token: tuple[Path, str]  # a file in the store, and its content
    picture: tuple[str, str] | None  # path and digest of one that the driver can read


@dataclass(frozen=True)
class Work:
    """A unit, and where rows of it lie already."""

    unit: Unit
    places: dict[str, Place]


class Encoding:
    """On an actor: an encoder that has been compared with the driver's, and a call a unit."""

    def __init__(self, errand: Errand) -> None:
        self.source, self.batch = errand.source, errand.runtime.batch_size
        self.stores = {family: Store(folder, errand.shape) for family, folder in errand.stores.items()}
        if errand.runtime.workers != 0:
            apart.start("rine.caching.decode")
        _look(errand)
        self.encoder: Encoder = encoders.load(errand.config, errand.described["device"], errand.described["precision"])
        ours, theirs = self.encoder.describe(), errand.described
        if other := [f"{k} {ours.get(k)!r} (the driver has {v!r})" for k, v in theirs.items() if ours.get(k) != v]:
            raise Unfit(f"another encoder: {', '.join(other)}")
        self.n_decoding = workers(errand.runtime.workers, self.encoder.device)
        self.turn = Lock()
        self.open = ExitStack()  # for as long as the process lives
        self.threads = self.open.enter_context(encoding_threads(self.encoder))
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="write")

    def __call__(self, work: Work) -> Done:
        """Encode what a unit lacks. Of two units at once, one has its first pictures decoded and waits for its turn."""
        unit, store = work.unit, self.stores[work.unit.family]
        if store.has(unit.shard):  # by another process, meanwhile
            return Done(len(unit.own), value=0)
        # an actor that was here before may have left parts that the driver does not know of
        draft = Draft(store, unit.keys, work.places | store.parts(unit.shard))
        if not len(draft.missing):
            draft.finish()
            return Done(len(unit.own), value=0)
        jobs = ((None, job) for job in unit.jobs(draft.missing))
        with closing(decoded(self.source, jobs, self.n_decoding)) as ahead:
            pictures = _Timed((job, pixels) for _, job, pixels in ahead)
            first = next(pictures)
            with self.turn:
                pictures.begin()
                batch = self.encoder.batch_size(self.batch)
                stored = encode_unit(draft, chain([first], pictures), self.encoder, batch, self.threads, self.writer)
                waited = pictures.share()
        stored.result()
        return Done(len(unit.own), waited, len(draft.missing))


class _Timed(Iterator[tuple[Job, Pixels]]):
    """Pictures, and for which share of the time they were waited for."""

    def __init__(self, pictures: Iterator[tuple[Job, Pixels]]) -> None:
        self.pictures = pictures
        self.begin()

    def begin(self) -> None:
        self.waited, self.start = 0.0, time.perf_counter()

    def __next__(self) -> tuple[Job, Pixels]:
        came = time.perf_counter()
        try:
            return next(self.pictures)
        finally:
            self.waited += time.perf_counter() - came

    def share(self) -> float:
        return self.waited / max(time.perf_counter() - self.start, 1e-9)


def _look(errand: Errand) -> None:
    """Raise `Unfit` where this machine has another store, or other pictures, at those paths."""
    file, content = errand.token
    try:
        seen = file.read_text()
    except OSError as error:
        seen = error.strerror or str(error)
    if seen != content:
        raise Unfit(f"it does not see the store of the driver at {file.parent} ({seen or 'another file'}); RINE_STORE")
    if errand.picture and (why := lacks(errand.source, *errand.picture)):
        raise Unfit(f"it does not see the pictures of the driver in {errand.source.root} ({why})")


def lacks(source: Source, path: str, digest: str) -> str:
    """Why this picture is not to be had here, from its bytes alone; "" where it is."""
    try:
        data = read(str(source.root / path), source.max_pixels)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    except UnreadablePicture as error:
        return f"{path}: {error.reason}"
    same = hashlib.blake2b(data, digest_size=16).hexdigest() == digest
    return "" if same else f"{path}: another picture"
