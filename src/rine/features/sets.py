"""The pictures of an experiment: its training, validation and test rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rine.features import Features, table

# which test pictures belong to which training set (section 4 of the paper)
TEST_SET = {"train": "test", "ldm": "synthbuster"}


@dataclass(frozen=True)
class Sets:
    """Training, validation and test pictures of one encoder, as `open_sets` gives them, whole or cut to a part.

    `classes` (empty: all) and `fraction` (None: all) say which part of the training set `training_set` this is.
    `brought` are its training rows as the data sets bring them: a picture that several share stands there for each.
    """

    folder: Path
    training_set: str
    train: Features
    val: Features
    test: Features | None
    brought: pd.DataFrame
    classes: tuple[str, ...] = ()
    fraction: float | None = None

    @property
    def scored(self) -> list[Features]:
        """What a trained head is scored on: the validation pictures, and the test pictures where they were opened."""
        return [self.val] if self.test is None else [self.val, self.test]

    def of_classes(self, classes: Sequence[str]) -> Sets:
        """Training and validation pictures of these classes alone (of all where it names none), each once.

        A picture that several data sets bring is that of the first. Raises `ValueError` for a class without a picture.
        """
        parts = (self.train, self.val)
        there = sorted({name for part in parts for name in part.rows["category"].unique()})
        if unknown := sorted(set(classes) - set(there)):
            raise ValueError(
                f"`settings` names {unknown}, of which {self.folder / self.training_set} has no picture; "
                f"its classes are {there}"
            )
        train, val = (part.select(_of_classes(part.rows, classes)) for part in parts)
        rows = self.train.rows
        brought = rows[rows["category"].isin(list(classes))] if classes else rows
        return replace(self, train=train, val=val, classes=tuple(classes), brought=brought)

    def without(self, sources: Collection[str]) -> np.ndarray:
        """Mask (N,) of the training rows without these sources; a picture that another brings too stays."""
        others = self.brought[~self.brought["source"].isin(list(sources))]
        pictures, kept = (pd.MultiIndex.from_frame(rows[["digest", "label"]]) for rows in (self.train.rows, others))
        return pictures.isin(kept)

    def share(self, fraction: float, seed: int) -> Sets:
        """A share of the training pictures: the same on every machine, smaller shares inside larger ones of a seed."""
        kept = share(self.train.rows["digest"], fraction, seed)
        return replace(self, train=self.train.select(kept), fraction=fraction)


def open_sets(folder: Path, training_set: str = "train", test: bool = True) -> Sets:
    """Open a training set of one encoder's `folder`, and the test set that belongs to it unless `test` is false.

    Their tables are read here, once: selecting from them later reads no file.
    """
    both = Features.open(folder / training_set)
    train, val = (both.select((both.rows["split"] == split).to_numpy()) for split in ("train", "val"))
    del both  # whose table is as large as theirs
    tested = Features.open(folder / TEST_SET[training_set]) if test else None
    return Sets(folder, training_set, train, val, tested, train.rows)


def once(rows: pd.DataFrame) -> np.ndarray:
    """Mask (N,) of the rows of each picture's first source: data sets that share real pictures count them once."""
    source = pd.factorize(rows["source"])[0]
    return source == source[table.firsts(rows, ("digest", "label"))]


def _of_classes(rows: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Mask (N,) of the rows of these classes (all: none named), each picture's of its first source among them."""
    mask = rows["category"].isin(list(classes)).to_numpy(bool, copy=True) if classes else np.ones(len(rows), bool)
    mask[mask] = once(rows if mask.all() else rows.loc[mask, ["digest", "label", "source"]])
    return mask


def share(digests: pd.Series, fraction: float, seed: int) -> np.ndarray:
    """Mask of the rows of that share of the pictures: shuffled once by the seed, then cut, as the reference does."""
    pictures = np.sort(digests.unique())  # sorted: the reference's folder order differs between machines
    order = np.random.default_rng(seed).permutation(len(pictures))
    kept = pictures[order[: int(len(pictures) * fraction)]]
    return digests.isin(kept).to_numpy()
