"""Tables of pictures: those that `prepare` writes, a row a picture that can be read, and those with a row a view."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

COLUMNS = ("path", "label", "source", "category", "split", "width", "height", "format", "mode", "digest")
INDEX = (*COLUMNS, "crops")  # the last: what of a test picture is judged, see `rine.pixels.crops`
PICTURE = ("source", "label", "path")  # what names a picture: one file may stand in several sources, as either label

_NUMBERS = {"label": np.int64, "width": np.int32, "height": np.int32, "row": np.int32}
_ROWS_AT_A_TIME = 1 << 12  # of which Python's strings are in memory


def read(file: Path) -> pd.DataFrame:
    """Read a table back with its types: a digest of digits stays text, and so does a class named "null".

    Texts that repeat come as categories: a row takes some hundred bytes of memory, mostly its path and digest.
    """
    texts = [str(column) for column in pd.read_csv(file, nrows=0) if column not in _NUMBERS]
    types: dict[str, Any] = dict.fromkeys(texts, str) | _NUMBERS
    repeated = dict.fromkeys(set(texts) - {"path", "digest"}, "category")
    with pd.read_csv(file, dtype=types, keep_default_na=False, chunksize=_ROWS_AT_A_TIME) as chunks:
        rows = joined(chunk.astype(repeated) for chunk in chunks)
    give_back()
    return rows


def give_back() -> None:
    """Let the system have what was freed: of texts that came in pieces gaps stay, of nearly half a table's size."""
    if arrow := sys.modules.get("pyarrow"):  # which holds pandas' texts, where it is installed
        arrow.default_memory_pool().release_unused()


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns as one; categories, which `pd.concat` makes text again, stay categories."""
    parts = [part.copy(deep=False) for part in tables]
    parts = [part for part in parts if len(part)] or parts[:1]  # an empty one may have other types
    made = {}
    for column in map(str, list(parts[0])):
        its = [part.pop(column) for part in parts]  # which go one by one, so that no second whole table is there
        if all(isinstance(each.dtype, pd.CategoricalDtype) for each in its):
            made[column] = pd.Series(union_categoricals(its, sort_categories=True))
        else:
            made[column] = pd.concat(its, ignore_index=True)
    return pd.DataFrame(made)


def pictures(rows: pd.DataFrame) -> np.ndarray:
    """For each row (N,) the number of its picture, in the order of `PICTURE`, which is that of the tables here."""
    new, before = np.zeros(len(rows), bool), None
    columns = zip(*(values_of(rows[column]) for column in PICTURE), strict=True)
    for i, place in enumerate(columns):
        if before is not None and place < before:
            keys = [key for column in PICTURE for key in ordered(rows[column])]
            order = np.lexsort(keys[::-1])
            numbers = np.empty(len(rows), np.int32)
            numbers[order] = np.cumsum(begins(keys, order), dtype=np.int32) - 1
            return numbers
        new[i], before = place != before, place
    return np.cumsum(new, dtype=np.int32) - 1


def firsts(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """For each row (N,) the number of the first that has the same values in these columns: mostly itself."""
    keys = [key for column in columns for key in _told_apart(rows[column])]
    order = np.lexsort(keys).astype(np.int32)  # stable: of equal rows the first comes first
    group = np.flatnonzero(begins(keys, order)).astype(np.int32)  # where each begins in the order
    del keys
    first = np.empty(len(order), np.int32)
    first[order] = np.repeat(order[group], np.diff(group, append=np.int32(len(order))))
    return first


def places(rows: pd.DataFrame, among: pd.DataFrame) -> np.ndarray:
    """For each of the rows (N,) the number of the first of `among` of the same picture; -1 where there is none."""
    both = joined(part[list(PICTURE)] for part in (among, rows))
    first = firsts(both, PICTURE)[len(among) :]
    return np.where(first < len(among), first, -1)


def ordered(values: pd.Series) -> list[np.ndarray]:
    """Numbers (N,) that are ordered as the values are, and equal where these are; digests have two, the first counts.

    By sorting texts, which takes memory of their size, where they are no digests.
    """
    if (numbers := _numbers(values)) is not None:
        return [numbers]
    try:
        return _sixteen_bytes(values, bytes.fromhex)
    except ValueError:
        return [pd.factorize(values, sort=True)[0]]


def begins(keys: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Mask (N,), of rows in an order, of those of which any key is another than the row's before."""
    mask = np.zeros(len(order), bool)
    mask[:1] = True
    for key in keys:
        inorder = key[order]
        mask[1:] |= inorder[1:] != inorder[:-1]
    return mask


def _told_apart(values: pd.Series) -> list[np.ndarray]:
    """Numbers (N,), one or two, that are equal where the values are."""
    numbers = _numbers(values)
    return _sixteen_bytes(values, _digest) if numbers is None else [numbers]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _numbers(values: pd.Series) -> np.ndarray | None:
    """Numbers or categories as numbers that are ordered as they are; None for texts."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.set_categories(sorted(values.cat.categories)).cat.codes.to_numpy()
    return values.to_numpy() if pd.api.types.is_numeric_dtype(values.dtype) else None


def _sixteen_bytes(values: pd.Series, of: Callable[[str], bytes]) -> list[np.ndarray]:
    """Sixteen bytes of each text as two numbers (N,), the higher first; raises `ValueError` where there are others."""
    made = np.empty((len(values), 2), ">u8")
    for start in range(0, len(values), _ROWS_AT_A_TIME):
        some = [*map(of, values.iloc[start : start + _ROWS_AT_A_TIME])]
        if {*map(len, some)} != {16}:
            raise ValueError("others than sixteen bytes")
        made[start : start + len(some)] = np.frombuffer(b"".join(some), ">u8").reshape(-1, 2)
    return [made[:, 0].astype(np.uint64), made[:, 1].astype(np.uint64)]


def values_of(values: pd.Series) -> Iterator[Any]:
    """The values one by one; a part of them at a time is in memory as Python's."""
    for start in range(0, len(values), _ROWS_AT_A_TIME):
        yield from values.iloc[start : start + _ROWS_AT_A_TIME].tolist()
