"""Test sets: which pictures a generator is scored on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rine.features.table import PICTURE, firsts
from rine.scores.table import ScoresError


@dataclass(frozen=True)
class TestSet:
    """A generator's test pictures: `rows` (n,) of the table of pictures, `labels` (n,), their two sources."""

    __test__ = False  # no test case, whatever pytest makes of the name

    generator: str
    family: str
    real: str
    fake: str
    rows: np.ndarray
    labels: np.ndarray


def test_sets_of(images: pd.DataFrame, test_sets: pd.DataFrame) -> list[TestSet]:
    """The test sets (columns generator, family, real, fake) that have pictures here, in the table's order.

    Those of one class, which say so by an empty column, have neither AP nor accuracy and are left out: `one_class_of`
    has them. Raises `ScoresError` for one whose pictures are all of one class, and for a picture that counts twice in
    one.
    """
    test = (images["split"] == "test").to_numpy()
    label, source = images["label"].to_numpy(), images["source"]
    picture, found = firsts(images, PICTURE), []
    columns = [test_sets[column].fillna("").astype(str) for column in ("generator", "family", "real", "fake")]
    for line, (generator, family, of_real, of_fake) in enumerate(zip(*columns, strict=True), start=2):
        real, fake = ((source == name).to_numpy() & (label == of) & test for of, name in enumerate((of_real, of_fake)))
        if (not real.any() and not fake.any()) or not (of_real and of_fake):
            continue
        if not (real.any() and fake.any()):
            lacks, column, name = ("real", "real", of_real) if fake.any() else ("synthetic", "fake", of_fake)
            raise ScoresError(
                f"test sets: line {line}, column {column}: generator {generator} has no {lacks} picture "
                f"of source {name!r}; needed: pictures of both classes"
            )
        rows = np.flatnonzero(real | fake).astype(np.int32)
        twice = pd.Series(picture[rows]).duplicated()
        if twice.any():
            at = rows[int(twice.argmax())]
            raise ScoresError(
                f"images: row {at}, column path: {images['path'].iloc[at]} counts twice for {generator}; "
                "allowed: one row a picture (the mean over its views)"
            )
        found.append(TestSet(generator, family, of_real, of_fake, rows, label[rows].astype(bool)))
    return found


test_sets_of.__test__ = False  # type: ignore[attr-defined]


def one_class_of(images: pd.DataFrame, test_sets: pd.DataFrame) -> list[TestSet]:
    """The test sets of real or of synthetic pictures alone that have pictures here; each picture once."""
    found = []
    for row in test_sets.fillna("").astype(str).itertuples(index=False):
        if bool(row.real) == bool(row.fake):
            continue
        label, source = (0, row.real) if row.real else (1, row.fake)
        mine = images[(images["split"] == "test") & (images["label"] == label) & (images["source"] == source)]
        rows = np.asarray(mine.drop_duplicates("digest").index)
        if len(rows):
            labels = np.full(len(rows), bool(label))
            found.append(TestSet(str(row.generator), str(row.family), str(row.real), str(row.fake), rows, labels))
    return found


def with_both_classes(images: pd.DataFrame, test_sets: pd.DataFrame) -> pd.DataFrame:
    """The rows of `test_sets` of which `images`, of another method say, has real and synthetic test pictures."""
    test = images[images["split"] == "test"]
    there = set(zip(test["source"], test["label"], strict=True))
    pairs = zip(test_sets["real"].astype(str), test_sets["fake"].astype(str), strict=True)
    kept = [(real, 0) in there and (fake, 1) in there for real, fake in pairs]
    return test_sets[pd.Series(kept, test_sets.index, dtype=bool)]


def read_test_sets(file: Path) -> pd.DataFrame:
    """The table that `prepare` made, the fields of its `TestSet`: all text, empty where one has none."""
    return pd.read_csv(file, dtype=str, keep_default_na=False)
