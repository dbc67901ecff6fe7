"""A unit's shard while it is made."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from rine.caching.store import Place, Store, shard_name

SECONDS_BETWEEN_PARTS = 5.0


class Draft:
    """A shard's tokens (n, L, D) in memory: at first the rows that lie in other shards; `missing` numbers the others.

    Every few seconds the new rows are stored as a part, which a run after a kill finds as it finds any row.
    """

    def __init__(self, store: Store, keys: Sequence[str], places: Mapping[str, Place]) -> None:
        self.store, self.keys, self.name = store, keys, shard_name(keys)
        self.tokens, there = store.take(keys, places)
        self.missing = np.flatnonzero(~there)
        used = {places[k][0] for k in keys if k in places}
        self._parts = {name for name in used if name.startswith(f"{self.name}.")}
        self._new: list[int] = []  # rows that no shard holds
        self._next = time.monotonic() + SECONDS_BETWEEN_PARTS

    def add(self, rows: list[int], tokens: np.ndarray) -> None:
        """Take the tokens (m, L, D) of the rows with these numbers; raises `StoreFull` where a part has no room."""
        self.tokens[rows] = tokens
        self._new += rows
        if time.monotonic() >= self._next:
            self.save()

    def save(self) -> None:
        """Store the new rows as a part."""
        if self._new:
            keys = [self.keys[i] for i in self._new]
            self._parts.add(self.store.write(keys, self.tokens[self._new], part_of=self.name))
        self._new, self._next = [], time.monotonic() + SECONDS_BETWEEN_PARTS

    def finish(self) -> None:
        """Store the whole shard, unless another process has meanwhile, and delete its parts."""
        if not self.store.has(self.name):  # a file that is replaced is gone for who reads it on another machine
            self.store.write(self.keys, self.tokens)
        for name in self._parts:
            self.store.delete(name)
