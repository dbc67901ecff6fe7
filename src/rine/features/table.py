"""Tables of pictures: those that `prepare` writes, a row a picture that can be read, and those with a row a view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

COLUMNS = ("path", "label", "source", "category", "split", "width", "height", "format", "mode", "digest")
INDEX = (*COLUMNS, "crops")  # the last: what of a test picture is judged, see `rine.pixels.crops`
PICTURE = ("source", "label", "path")  # what names a picture: one file may stand in several sources, as either label

_NUMBERS = {"label": np.int64, "width": np.int32, "height": np.int32, "row": np.int32}
_ROWS_AT_A_TIME = 1 << 16  # of which Python's strings are in memory


def read(file: Path) -> pd.DataFrame:
    """Read a table back with its types: a digest of digits stays text, and so does a class named "null".

    Texts that repeat come as categories: a row takes some hundred bytes of memory, mostly its path and digest.
    """
    texts = [column for column in pd.read_csv(file, nrows=0) if column not in _NUMBERS]
    types: dict[str, Any] = dict.fromkeys(texts, str) | _NUMBERS
    repeated = dict.fromkeys(set(texts) - {"path", "digest"}, "category")
    with pd.read_csv(file, dtype=types, keep_default_na=False, chunksize=_ROWS_AT_A_TIME) as chunks:
        return joined(chunk.astype(repeated) for chunk in chunks)


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns as one; categories, which `pd.concat` makes text again, stay categories."""
    parts = [part.copy(deep=False) for part in tables]
    made = {}
    for column in list(parts[0]):
        its = [part.pop(column) for part in parts]  # which go one by one, so that no second whole table is there
        if all(isinstance(each.dtype, pd.CategoricalDtype) for each in its):
            made[column] = pd.Series(union_categoricals(its, sort_categories=True))
        else:
            made[column] = pd.concat(its, ignore_index=True)
    return pd.DataFrame(made)


def codes(values: pd.Series) -> np.ndarray:
    """Numbers (N,) that compare as the values do: equal ones have one, smaller ones a smaller."""
    if not isinstance(values.dtype, pd.CategoricalDtype):
        if pd.api.types.is_numeric_dtype(values.dtype):
            return values.to_numpy()
        order = np.asarray(values.array.argsort(kind="stable"))
        new = np.zeros(len(order), bool)
        for start in range(0, len(order), _ROWS_AT_A_TIME):  # a copy of them all in order would be the table once more
            some = values.array.take(order[start : start + _ROWS_AT_A_TIME + 1])
            new[start + 1 : start + len(some)] = np.asarray(some[1:] != some[:-1], bool)
        ranks = np.empty(len(order), np.int32)
        ranks[order] = np.cumsum(new, dtype=np.int32)
        return ranks
    return (
        codes(pd.Series(values.cat.categories))[values.cat.codes.to_numpy()] if len(values) else np.empty(0, np.int32)
    )


def firsts(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """For each row (N,) the number of the first that has the same values in these columns: mostly itself."""
    keys = [codes(rows[column]) for column in columns]
    order = np.lexsort(keys)  # stable: of equal rows the first comes first
    starts = begins(keys, order)
    first = np.empty(len(order), np.int64)
    first[order] = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
    return first


def begins(keys: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Mask (N,), of rows in an order, of those of which any key is another than the row's before."""
    mask = np.zeros(len(order), bool)
    mask[:1] = True
    for key in keys:
        inorder = key[order]
        mask[1:] |= inorder[1:] != inorder[:-1]
    return mask
