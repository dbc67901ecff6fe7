"""A feature set's rows, cut into units that are encoded and stored each on its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from rine.caching.decode import Job
from rine.caching.store import row_key, shard_name
from rine.features import table


@dataclass(frozen=True)
class Unit:
    """Rows of a feature set that are encoded and stored together: one group's next pictures, whole.

    Of rows that show the same, the first in the set alone is stored: units have no row in common, so that each can be
    done without the others.
    """

    family: str
    rows: np.ndarray  # (N,) their numbers in the table
    own: np.ndarray  # (n,) the numbers of those that are stored
    table: pd.DataFrame  # the feature set's, which all units share

    @property
    def paths(self) -> list[str]:
        return self._of_own("path")

    @property
    def digests(self) -> list[str]:
        return self._of_own("digest")

    @property
    def views(self) -> list[str]:
        return self._of_own("view")

    def _of_own(self, column: str) -> list[str]:
        return self._taken([column], self.own)[column].tolist()

    def _taken(self, columns: list[str], rows: np.ndarray) -> pd.DataFrame:
        """Columns of some rows, out of the part of the table where they lie: Arrow copies all that it takes from."""
        start, stop = (rows[0], rows[-1] + 1) if len(rows) else (0, 0)
        return self.table[columns].iloc[start:stop].iloc[rows - start]

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process it takes its own part of the table along."""
        return Unit, (self.family, self.rows, np.arange(len(self.own)), self._taken([*self.table], self.own))

    @property
    def keys(self) -> list[str]:
        """The store's names of the own rows, in order."""
        return [row_key(digest, view) for digest, view in zip(self.digests, self.views, strict=True)]

    @cached_property
    def shard(self) -> str:
        """The name of the shard that holds the own rows."""
        return shard_name(self.keys)

    def jobs(self, missing: np.ndarray) -> Iterator[Job]:
        """The pictures to decode, each once, for the own rows with these numbers, in order."""
        some = self._taken(["path", "digest", "view"], self.own[missing])
        rows = zip(missing.tolist(), some["path"], some["digest"], some["view"], strict=True)
        for (path, digest), same in groupby(rows, key=itemgetter(1, 2)):
            numbers, _, _, views = zip(*same, strict=True)
            yield Job(path, digest, tuple((self.family, view) for view in views), numbers)


@dataclass(frozen=True)
class Plan:
    """A feature set's table, its units by name, and for each row the first that shows the same: itself, mostly."""

    rows: pd.DataFrame
    units: dict[str, Unit]
    original: np.ndarray  # (N,)


def plan(rows: pd.DataFrame, shard_rows: int) -> Plan:
    """Cut a feature set (from `views.expand`) into units of at most `shard_rows` rows.

    A unit holds pictures of one source, label and family; the cuts count from the group's start, so that
    pictures that are added to one group leave those of the others as they are.
    """
    original = table.firsts(rows, ("family", "digest", "view"))
    units: dict[str, Unit] = {}
    names = ["source", "label", "family"]
    keys = [key for name in names for key in table.ordered(rows[name])]
    order, pictures = np.lexsort(keys[::-1]).astype(np.int32), table.pictures(rows)
    for numbers in np.split(order, np.flatnonzero(table.begins(keys, order))[1:]) if len(order) else ():
        source, label, family = rows.iloc[numbers[0]][names]
        for n, (start, stop) in enumerate(_cuts(pictures[numbers], shard_rows)):
            some = numbers[start:stop]
            own = some[original[some] == some]
            units[f"{_slug(source)}-{label}-{family}-{n:03d}"] = Unit(family, some, own, rows)
    return Plan(rows, units, original)


def _cuts(pictures: np.ndarray, shard_rows: int) -> Iterator[tuple[int, int]]:
    """Start and end of each unit: as many whole pictures (runs of one number) as have at most so many rows, or one."""
    ends = np.append(np.flatnonzero(pictures[1:] != pictures[:-1]) + 1, len(pictures)).astype(np.int32)
    start = 0
    while start < len(pictures):
        first, after = np.searchsorted(ends, [start, start + shard_rows], side="right")
        stop = int(ends[max(first, after - 1)])
        yield start, stop
        start = stop


def _slug(source: str) -> str:
    """A source's name as a file's: two sources never share one."""
    plain = "".join(
        c if c.isascii() and (c.isalnum() or c in "-.") else f"_{ord(c):x}_" for c in source.replace("/", "__")
    )
    return plain or "_"
