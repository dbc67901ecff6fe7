"""Feature sets: the cached tokens of a set of pictures, with a row of a table for each.

A folder holds `rows.csv` (the index's columns, `view`, and `shard` and `row`, which say where the tokens
lie), `features.json` (encoder, transform, shape, digests of the other files) and shards of tokens (n, L, D) float16.
Nothing is read before it is asked for: shards are memory maps, whose digest is compared when their first row is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rine.features import shards, table

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = (*table.COLUMNS, "view", "shard", "row")


class FeaturesError(ValueError):
    """A feature set that is not there or not whole; the message says what makes it."""


class Features:
    """Rows of a feature set and their tokens. `rows` is a table with a plain index 0, 1, …; treat it as read-only."""

    def __init__(
        self,
        rows: pd.DataFrame,
        about: dict[str, Any],
        maps: list[np.ndarray],
        shard: np.ndarray,
        row: np.ndarray,
        unread: dict[int, Path] | None = None,
    ) -> None:
        self.rows, self.about = rows, about
        self._maps, self._shard, self._row = maps, shard, row
        self._unread = {} if unread is None else unread  # files whose digest is still to be compared, by their map

    @classmethod
    def open(cls, folder: Path | str) -> Features:
        """Open a feature set's folder; raises `FeaturesError` where it is missing, or not what its table says."""
        folder = Path(folder)
        for name in ("rows.csv", "features.json"):
            if not (folder / name).is_file():
                encoder, name_of_set = folder.parent.name, folder.name
                raise FeaturesError(
                    f"{folder / name} is missing: `dvc repro cache@{encoder}-{name_of_set}` "
                    f"(or `rine cache {encoder} {name_of_set}`) makes it"
                )
        rows, about = read_table(folder)
        shard, names = pd.factorize(rows["shard"])
        maps = [cls._map(folder / name, about) for name in names]
        shard, row = shard.astype(np.int32), rows["row"].to_numpy()
        lengths = np.array([len(tokens) for tokens in maps], dtype=np.int64)
        if len(rows) and ((row < 0) | (row >= lengths[shard])).any():
            first = rows.iloc[int(np.flatnonzero((row < 0) | (row >= lengths[shard]))[0])]
            raise FeaturesError(
                f"{folder / first['shard']} has no row {first['row']}, which rows.csv names for {first['path']}"
            )
        return cls(rows, about, maps, shard, row, {number: folder / name for number, name in enumerate(names)})

    @staticmethod
    def _map(path: Path, about: dict[str, Any]) -> np.ndarray:
        if not path.is_file():
            raise FeaturesError(f"{path} is missing, and rows.csv names it: run the cache stage again")
        tokens = shards.tokens_of(path)
        if tokens.shape[1:] != (about["n_blocks"], about["width"]):
            expected = (about["n_blocks"], about["width"])
            raise FeaturesError(f"{path} has tokens {tokens.shape[1:]}, features.json says {expected}")
        return tokens

    @property
    def n_blocks(self) -> int:
        return self.about["n_blocks"]

    @property
    def width(self) -> int:
        return self.about["width"]

    @property
    def encoder_name(self) -> str:
        """The encoder's name as tables show it: "ViT-L/14"."""
        return self.about["encoder"]["name"]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, mask: np.ndarray) -> Features:
        """The rows where the mask (N,) is true, in their order."""
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            raise ValueError(f"a mask of {len(self)} true or false values is needed, got {mask.dtype} {mask.shape}")
        if mask.all():
            return self
        rows = self.rows[mask].reset_index(drop=True)
        return Features(rows, self.about, self._maps, self._shard[mask], self._row[mask], self._unread)

    def array(self, index: np.ndarray | slice | None = None) -> np.ndarray:
        """Tokens (n, L, D) float16 of the rows with these numbers (all: None), in the order asked; a copy.

        Raises `FeaturesError` where a file of theirs is not the one that the cache stage wrote.
        """
        index = slice(None) if index is None else index
        shard, row = np.atleast_1d(self._shard[index]), np.atleast_1d(self._row[index])
        for number in set(shard.tolist()) if self._unread else ():
            if file := self._unread.get(number):
                _check(file, self.about)
                self._unread.pop(number, None)  # another thread may have been there
        out = np.empty((len(row), self.n_blocks, self.width), dtype=np.float16)
        shards.copy_rows(out, self._maps, shard, row)
        return out

    def tokens(self, index: np.ndarray | slice | None = None) -> Tensor:
        """As `array`, as a tensor on the CPU that owns its memory."""
        import torch

        return torch.from_numpy(self.array(index))


def read_table(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read `rows.csv` with its types, and what `features.json` says of the set.

    Raises `FeaturesError` for a table that is not the one that was written, or lacks a column.
    """
    about, file = json.loads((folder / "features.json").read_text(encoding="utf-8")), folder / "rows.csv"
    _check(file, about)
    rows = table.read(file)
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise FeaturesError(f"{file} lacks the columns {missing}")
    return rows, about


def _check(file: Path, about: dict[str, Any]) -> None:
    """Raise `FeaturesError` for a file of a feature set that is not the one whose digest was noted."""
    if shards.digest_of(file) != about.get("digests", {}).get(file.name):
        encoder, name_of_set = file.parts[-3:-1]
        raise FeaturesError(
            f"{file} is altered or cut short: its digest is not that of features.json. "
            f"`rine cache {encoder} {name_of_set}` makes it anew"
        )
