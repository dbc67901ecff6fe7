"""The facts of many pictures in little memory: some fifty bytes each, where objects would take ten times as many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from rine.dataset.facts import Facts, Skipped

_RECORD = np.dtype(
    [
        *(("digest", "V16"), ("dhash", "V16"), ("hashed", "?"), ("bytes", "<i8"), ("width", "<i4"), ("height", "<i4")),
        *(("format", "u1"), ("mode", "u1"), ("jpeg_quality", "i1"), ("jpeg_standard", "i1"), ("exif", "?")),
    ]
)
_CHUNK = 1 << 14
_NONE = -1  # of a fact that a picture has not


class Records:
    """Facts by number, 0 to n - 1, or why a picture has none."""

    def __init__(self, n: int) -> None:
        self._rows = np.zeros(n, dtype=_RECORD)
        self._known = np.zeros(n, dtype=bool)
        self._texts: list[str] = []  # formats and modes
        self.skipped: dict[int, str] = {}

    def put(self, number: int, facts: Facts | Skipped) -> None:
        if isinstance(facts, Skipped):
            self.skipped[number] = facts.reason
            return
        self._known[number] = True
        self._rows[number] = (
            *(bytes.fromhex(facts.digest), bytes.fromhex(facts.dhash) or bytes(16), facts.dhash != ""),
            *(facts.bytes, facts.width, facts.height, self._code(facts.format), self._code(facts.mode)),
            *(_NONE if value is None else value for value in (facts.jpeg_quality, facts.jpeg_standard)),
            facts.exif,
        )

    def readable(self, numbers: np.ndarray) -> np.ndarray:
        """Mask (n,) of the pictures that have facts."""
        return self._known[numbers]

    def lowest(self, numbers: np.ndarray, share: float) -> list[str]:
        """The lowest digests: so large a share of those that there are."""
        distinct = np.unique(self._rows["digest"][numbers])
        return _hex(distinct[: round(share * len(distinct))]).tolist()

    def columns(self, numbers: np.ndarray) -> pd.DataFrame:
        """The fields of `Facts` as columns."""
        rows = self._rows[numbers]
        quality = rows["jpeg_quality"].astype(np.float64)
        quality[quality == _NONE] = np.nan
        columns = {
            "digest": _hex(rows["digest"]),
            **{name: rows[name].astype(np.int64) for name in ("bytes", "width", "height")},
            **{name: category(self._texts, rows[name]) for name in ("format", "mode")},
            "jpeg_quality": quality,
            "jpeg_standard": np.array([False, True, None], dtype=object)[rows["jpeg_standard"]],  # the last for -1
            "exif": rows["exif"],
            "dhash": _hex(rows["dhash"], rows["hashed"]),
        }
        return pd.DataFrame(columns)[list(Facts._fields)]

    def _code(self, text: str) -> int:
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text)


def category(texts: Sequence[str], numbers: np.ndarray) -> Any:
    """The texts (some of them may be equal) that numbers (n,) stand for, as one column."""
    names: Any = pd.Categorical(pd.Series(list(texts), dtype=str))
    return pd.Categorical.from_codes(names.codes[numbers] if len(names) else [], dtype=names.dtype)


def texts(values: Iterable[str]) -> pd.Series:
    """Texts as a column; a part of them at a time is in memory as Python's, which take three times as much."""
    values, parts = iter(values), [pd.Series([], dtype=str)]
    while some := list(islice(values, _CHUNK)):
        parts.append(pd.Series(some, dtype=str))
    return pd.concat(parts, ignore_index=True)


def _hex(values: np.ndarray, there: np.ndarray | None = None) -> pd.Series:
    """Sixteen bytes each to 32 hex digits, and those that are not there to ""."""

    def digits() -> Iterator[str]:
        for start in range(0, len(values), _CHUNK):
            whole = values[start : start + _CHUNK].tobytes().hex()
            some = [whole[at : at + 32] for at in range(0, len(whole), 32)]
            yield from some if there is None else np.where(there[start : start + _CHUNK], some, "").tolist()

    return texts(digits())
