"""The loop over a feature set's units: what the store lacks is decoded ahead, encoded and stored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from rine.caching.decode import Job, Pixels, Source, decoded
from rine.caching.draft import Draft
from rine.caching.encode import encode_unit, encoding_threads
from rine.caching.plan import Unit
from rine.caching.store import Place, Store
from rine.progress import Bar, progress

if TYPE_CHECKING:
    from rine.encoder import Encoder

_LOOKED_UP_TOGETHER = 512  # units whose rows are looked for in one pass over a store's manifests


def fill(
    units: Sequence[Unit],
    stores: Mapping[str, Store],
    encoder: Encoder,
    batch: int,
    source: Source,
    how: int,
    name: str,
) -> int:
    """Have the stores (one for each family of views) hold every unit's shard; returns how many rows were encoded.

    Raises `encode.PicturesLost` with the names of pictures that cannot be read any more, and `store.StoreFull`; what is
    finished before stays.
    """
    lacking = [unit for unit in units if len(unit.own) and not stores[unit.family].has(unit.shard)]
    if not lacking:
        return 0
    shards = {unit.shard for unit in units}
    n_encoded = 0
    with (
        encoding_threads(encoder) as threads,
        ThreadPoolExecutor(1, thread_name_prefix="write") as writer,
        progress(sum(len(unit.own) for unit in lacking), "views", name) as bar,
        closing(decoded(source, _jobs(lacking, stores, shards, bar), how)) as pictures,
    ):
        before: Future[None] | None = None
        for draft, its in groupby(_watched(pictures, bar), key=itemgetter(0)):
            stored = encode_unit(draft, (picture[1:] for picture in its), encoder, batch, threads, writer)
            n_encoded += len(draft.missing)
            if before:
                before.result()  # one at a time: a draft holds a shard's memory
            before = stored
        if before:
            before.result()
    return n_encoded


def looked_up(
    units: Sequence[Unit], stores: Mapping[str, Store], shards: set[str]
) -> Iterator[tuple[Unit, dict[str, Place]]]:
    """The units, family by family, each with the places of its rows that lie in shards of other names than the set's.

    Looked up for many units in one pass; the set's own `shards` hold no row of another unit.
    """
    for family, store in stores.items():
        own = [unit for unit in units if unit.family == family]
        for start in range(0, len(own), _LOOKED_UP_TOGETHER):
            some = own[start : start + _LOOKED_UP_TOGETHER]
            places = store.find((key for unit in some for key in unit.keys), but=shards)
            for unit in some:
                yield unit, {key: places[key] for key in unit.keys if key in places} if places else {}


def _jobs(
    units: Sequence[Unit], stores: Mapping[str, Store], shards: set[str], bar: Bar
) -> Iterator[tuple[Draft, Job]]:
    """The pictures to decode, each with its unit's draft, which is made when the decoding gets there."""
    for unit, places in looked_up(units, stores, shards):
        store = stores[unit.family]
        if store.has(unit.shard):  # by another process, meanwhile
            bar.advance(len(unit.own))
            continue
        draft = Draft(store, unit.keys, places)
        bar.advance(len(unit.own) - len(draft.missing))
        if not len(draft.missing):
            draft.finish()
        yield from ((draft, job) for job in unit.jobs(draft.missing))


def _watched(pictures: Iterator[tuple[Draft, Job, Pixels]], bar: Bar) -> Iterator[tuple[Draft, Job, Pixels]]:
    """Pass pictures on, and tell the bar of each and of who waits for whom: the encoder or the decoding."""
    waited = worked = 0.0  # seconds, those long ago count less
    left = time.perf_counter()
    while True:
        came = time.perf_counter()
        picture = next(pictures, None)
        if picture is None:
            return
        waited, worked = 0.9 * waited + time.perf_counter() - came, 0.9 * worked + came - left
        if not isinstance(picture[2], str):
            share = waited / max(waited + worked, 1e-9)
            waits = f"the encoder waits for pictures {share:.0%} of the time"
            bar.advance(len(picture[2]), waits if share > 0.1 else "pictures wait for the encoder")
        left = time.perf_counter()
        yield picture
