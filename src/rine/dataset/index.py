"""Folders to tables: one row a picture that can be read, and the test sets that the rows form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from rine.dataset.config import DatasetConfig, PrepareConfig
from rine.dataset.facts import Facts
from rine.dataset.generators import family
from rine.dataset.layouts import TABLES, list_all
from rine.dataset.listing import DatasetError, ListedTestSet, Listing, Picture, TrainingSource
from rine.dataset.reading import Examine, printable, read_all
from rine.dataset.records import Records, category, texts
from rine.features.table import INDEX, joined, pictures
from rine.pixels.pictures import ContainerError, place


@dataclass(frozen=True)
class Index:
    """The tables by name, with every fact of the files as columns; `n_reused` files were not read again."""

    tables: dict[str, pd.DataFrame]  # train, test, ldm, synthbuster
    test_sets: pd.DataFrame  # the fields of a `ListedTestSet`
    training_sets: pd.DataFrame  # those of a `TrainingSource`
    skipped: pd.DataFrame  # path, reason
    n_examined: int
    n_reused: int


def build(
    config: PrepareConfig, store: Path | None = None, workers: int | None = None, by: Examine | None = None
) -> Index:
    """List every data set, read every picture once, and lay the readable ones out in tables.

    Raises `DatasetError` for a missing folder, an empty class or one label only; a picture that cannot be
    read is left out and named in `skipped`. The result depends on the files alone: not on their order on
    disk, on `workers`, on what `store` remembers, or on who looks at them (`reading.read_all`).
    """
    try:
        root = place(config.root)
    except ContainerError as error:
        raise DatasetError(f"prepare.root = {config.root!r}: {error}") from error
    if not root.is_dir():
        raise DatasetError(f"prepare.root = {config.root!r} is no folder; expected that of the data sets")
    listings = list_all(root, config.datasets)
    paths = sorted({path for listing in listings.values() for path in listing.pictures.paths()})
    said = {path: text for listing in listings.values() for path, text in listing.told.items()}
    records, n_reused = read_all(root, paths, config.max_pixels, store, workers, by, said)
    parts: dict[str, list[pd.DataFrame]] = {table: [] for table in TABLES.values()}
    made = [test_set for listing in listings.values() for test_set in listing.test_sets]
    test_sets = [test_set._replace(family=family(test_set.family)) for test_set in made]
    learnt = [source for listing in listings.values() for source in listing.training]
    training = [source._replace(family=family(source.family)) for source in learnt]
    numbers = {name: _numbers(listing.pictures.paths(), paths) for name, listing in listings.items()}
    held = _held_out(listings, numbers, records, config.datasets)
    skipped = sorted((printable(paths[number]), reason) for number, reason in records.skipped.items())
    n_listed = len(paths)
    del paths  # with millions it counts, and so do lists whose pictures are in the tables
    for name in list(listings):
        listing = listings.pop(name)
        rows = _rows(listing, numbers.pop(name), records, config.datasets[name], held)
        is_test = (rows["split"] == "test").to_numpy()
        for kind in (False, True):
            if (is_test == kind).any():
                part = rows if (is_test == kind).all() else rows[is_test == kind]
                parts[TABLES[listing.study, kind]].append(part)
        del rows
    return Index(
        tables={name: _table(parts.pop(name)) for name in TABLES.values()},
        test_sets=pd.DataFrame(test_sets, columns=list(ListedTestSet._fields)),
        training_sets=pd.DataFrame(training, columns=list(TrainingSource._fields)),
        skipped=pd.DataFrame(skipped, columns=["path", "reason"]),
        n_examined=n_listed - n_reused,
        n_reused=n_reused,
    )


def _rows(
    listing: Listing, numbers: np.ndarray, records: Records, config: DatasetConfig, held: Set[tuple[str, int]]
) -> pd.DataFrame:
    """A row of the index, with every fact, for each readable picture of a data set."""
    there = records.readable(numbers)
    kinds, number = listing.pictures.kinds, listing.pictures.numbers()[there]
    rows = records.columns(numbers[there])
    rows["path"] = texts(compress(listing.pictures.paths(), there))
    rows["label"] = np.array([kind.label for kind in kinds], np.int64)[number] if kinds else []
    for name in ("source", "category", "split"):
        rows[name] = category([getattr(kind, name) for kind in kinds], number)
    rows["crops"] = category([config.judged], np.zeros(len(rows), np.int8))
    if config.val_fraction:
        kept = np.array([picture in held for picture in zip(rows["digest"], rows["label"], strict=True)], dtype=bool)
        split = np.where(kept & (rows["split"] == "train"), "val", rows["split"])
        rows["split"] = pd.Categorical(split)
    if config.at_most is None:
        return rows
    first = rows.sort_values(["digest", "path"], kind="stable").groupby(["source", "label", "split"], observed=True)
    return rows.loc[first.head(config.at_most).index]


def _held_out(
    listings: dict[str, Listing],
    numbers: dict[str, np.ndarray],
    records: Records,
    datasets: dict[str, DatasetConfig],
) -> set[tuple[str, int]]:
    """The (digest, label) that training sets keep for validation: of each set and class its share, to the picture.

    The lowest digests, so that adding a picture moves at most one other; and what one set keeps, others that share it
    do not train on.
    """
    held: set[tuple[str, int]] = set()
    for name, listing in listings.items():
        if not (share := datasets[name].val_fraction):
            continue
        for label in (0, 1):
            train = [(kind.split, kind.label) == ("train", label) for kind in listing.pictures.kinds]
            own = numbers[name][np.array(train, bool)[listing.pictures.numbers()]]
            held |= {(digest, label) for digest in records.lowest(own[records.readable(own)], share)}
    return held


def _numbers(own: Iterable[str], paths: Sequence[str]) -> np.ndarray:
    """Places (n,) of paths among all of them, which are sorted."""
    return np.fromiter((bisect_left(paths, path) for path in own), dtype=np.int32)


def _table(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = [*Picture._fields, "crops", *Facts._fields]
    table = joined(parts)[columns] if parts else pd.DataFrame(columns=columns)
    parts.clear()
    table = table.astype({**dict.fromkeys(("label", "bytes", "width", "height"), "int64"), "exif": "bool"})
    order = np.argsort(pictures(table), kind="stable")
    return table if (order[1:] > order[:-1]).all() else table.iloc[order].reset_index(drop=True)


def write(index: Index, out: Path) -> None:
    """Write the tables as CSV files into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {name: table[list(INDEX)] for name, table in index.tables.items()}
    others = {"test_sets": index.test_sets, "training_sets": index.training_sets, "skipped": index.skipped}
    for name, table in {**tables, **others}.items():
        table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
