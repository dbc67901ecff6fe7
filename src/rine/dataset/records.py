"""What is known of many pictures in little memory: their addresses, and some fifty bytes of facts each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from rine.dataset.facts import Facts, Skipped

_RECORD = np.dtype(
    [
        *(("digest", "S16"), ("dhash", "S17"), ("bytes", "<i8"), ("width", "<i4"), ("height", "<i4")),
        *(("format", "u1"), ("mode", "u1"), ("jpeg_quality", "i1"), ("jpeg_standard", "i1"), ("exif", "?")),
    ]
)
CHUNK = 1 << 14  # rows of which Python's texts are in memory
_NONE = -1  # of a fact that a picture has not
FIELDS = ("path", *Facts._fields)


class Records:
    """Addresses and facts by number, 0 to n - 1, or why a picture has none; numbers are in the order of the addresses.

    `ranks` (n,) orders the digests: of equal ones it is the same. They are there once `rank` was called.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.ranks = np.zeros(len(paths), dtype=np.int32)
        self._rows = np.zeros(len(paths), dtype=_RECORD)
        self._known = np.zeros(len(paths), dtype=bool)
        self._texts: list[str] = []  # formats and modes
        self.skipped: dict[int, str] = {}

    def put(self, number: int, facts: Facts | Skipped) -> None:
        if isinstance(facts, Skipped):
            self.skipped[number] = facts.reason
            return
        self._known[number] = True
        self._rows[number] = (
            *(bytes.fromhex(facts.digest), packed(facts.dhash), facts.bytes, facts.width, facts.height),
            *(self._code(facts.format), self._code(facts.mode)),
            *(_NONE if value is None else value for value in (facts.jpeg_quality, facts.jpeg_standard)),
            facts.exif,
        )

    def rank(self) -> None:
        self.ranks[:] = np.unique(self._rows["digest"], return_inverse=True)[1]

    def readable(self, numbers: np.ndarray) -> np.ndarray:
        """Mask (n,) of the pictures that have facts."""
        return self._known[numbers]

    def hashes(self) -> np.ndarray:
        """The perceptual hash of each picture (n,), as `packed` gives it."""
        return self._rows["dhash"]

    def columns(self, numbers: np.ndarray, names: Sequence[str] = FIELDS) -> pd.DataFrame:
        """Some of `FIELDS` as columns."""
        return pd.DataFrame({name: self._column(name, numbers) for name in names})

    def _column(self, name: str, numbers: np.ndarray) -> Any:
        if name == "path":
            return texts(self.paths[number] for number in numbers.tolist())
        values = self._rows[name][numbers]
        if name in {"digest", "dhash"}:
            return texts(
                value for start in range(0, len(values), CHUNK) for value in _hex(values[start : start + CHUNK])
            )
        if name in {"format", "mode"}:
            return category(self._texts, values)
        if name == "jpeg_quality":
            return np.where(values == _NONE, np.nan, values.astype(np.float64))
        if name == "jpeg_standard":
            return np.array([False, True, None], dtype=object)[values]  # the last for -1
        return values if name == "exif" else values.astype(np.int64)

    def _code(self, text: str) -> int:
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text)


def packed(dhash: str) -> bytes:
    """A hash's bytes after a 1, so that one of zeros is none of the empty text."""
    return b"\x01" + bytes.fromhex(dhash) if dhash else b""


def category(texts: Sequence[str], numbers: np.ndarray) -> Any:
    """The texts (some of them may be equal) that numbers (n,) stand for, as one column."""
    names: Any = pd.Categorical(pd.Series(list(texts), dtype=str))
    return pd.Categorical.from_codes(names.codes[numbers] if len(names) else [], dtype=names.dtype)


def texts(values: Iterable[str]) -> pd.Series:
    """Texts as a column; a part of them at a time is in memory as Python's, which take three times as much."""
    values, parts = iter(values), [pd.Series([], dtype=str)]
    while some := list(islice(values, CHUNK)):
        parts.append(pd.Series(some, dtype=str))
    return pd.concat(parts, ignore_index=True)


def _hex(values: np.ndarray) -> Iterator[str]:
    """The last sixteen bytes of each as 32 hex digits, "" of those that are empty."""
    size = values.dtype.itemsize
    whole = values.tobytes().hex()
    ends = range(2 * size, len(whole) + 1, 2 * size)
    return (whole[end - 32 : end] if there else "" for end, there in zip(ends, (values != b"").tolist(), strict=True))
