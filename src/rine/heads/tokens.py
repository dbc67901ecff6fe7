"""Cached tokens as heads read them: rows of a feature set, grouped by picture, and read one batch ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from rine.features import table
from rine.features.table import PICTURE

T = TypeVar("T")


class TokenSet(Protocol):
    """Cached tokens: a table with a row for each view of a picture, and the tokens of any of its rows."""

    rows: pd.DataFrame  # source, label, path, digest, view, ...

    @property
    def n_blocks(self) -> int: ...

    @property
    def width(self) -> int: ...

    def tokens(self, index: np.ndarray) -> Tensor:
        """Tokens (n, L, D) float16 of the rows with these numbers, in the order asked."""


def rows_by_picture(rows: pd.DataFrame) -> np.ndarray:
    """Row numbers (N, V): a line for each picture, sorted by digest; a column for each view, by its number.

    Sorted by content, so that batches depend neither on the order of the table nor on where pictures lie; pictures that
    are one file, or copies of one, stand together.
    """
    which, names = pd.factorize(rows["view"])
    views = np.asarray(names).astype(int)[which]
    expected = np.unique(views)
    keys = [*table.ordered(rows["digest"]), table.pictures(rows)]
    order = np.lexsort((views, *reversed(keys)))
    starts = np.flatnonzero(table.begins(keys, order))
    if not np.array_equal(views[order], np.tile(expected, len(starts))):
        for its in np.split(order, starts[1:]):
            if not np.array_equal(views[its], expected):
                name = tuple(rows[["digest", *PICTURE]].iloc[its[0]])
                there = tuple(views[its].tolist())
                raise ValueError(
                    f"every training picture needs the views {tuple(expected.tolist())}; {name} has {there}"
                )
    return order.reshape(len(starts), -1)


def ahead(make: Callable[[T], Tensor], items: Iterable[T]) -> Iterator[Tensor]:
    """Yield make(item) for each item, made one ahead in a thread: the disk works while the heads do."""
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for item in items:
            following = pool.submit(make, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
