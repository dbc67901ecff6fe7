"""Folders to tables: one row a picture that can be read, and the test sets that the rows form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from rine import apart
from rine.dataset.config import DatasetConfig, PrepareConfig
from rine.dataset.fact_store import FactStore
from rine.dataset.facts import Facts, Skipped, examine
from rine.dataset.generators import family
from rine.dataset.layouts import TABLES, list_all
from rine.dataset.listing import DatasetError, Listing, Picture, TestSet
from rine.device import usable_cores
from rine.features.table import COLUMNS, PICTURE
from rine.progress import progress

CHUNK = 32  # pictures whose facts are remembered at once


@dataclass(frozen=True)
class Index:
    """The tables by name, with every fact of the files as columns; `n_reused` files were not read again."""

    tables: dict[str, pd.DataFrame]  # train, test, ldm, synthbuster
    test_sets: pd.DataFrame  # the fields of a `TestSet`
    skipped: pd.DataFrame  # path, reason
    n_examined: int
    n_reused: int


def build(config: PrepareConfig, store: Path | None = None, workers: int | None = None) -> Index:
    """List every data set, read every picture once, and lay the readable ones out in tables.

    Raises `DatasetError` for a missing folder, an empty class or one label only; a picture that cannot be
    read is left out and named in `skipped`. The result depends on the files alone: not on their order on
    disk, on `workers` or on what `store` remembers.
    """
    root = Path(config.root)
    if not root.is_dir():
        raise DatasetError(f"prepare.root = {config.root!r} is no folder; expected that of the data sets")
    listings = list_all(root, config.datasets)
    paths = sorted({picture.path for listing in listings.values() for picture in listing.pictures})
    facts, n_reused = read_all(root, paths, config.max_pixels, store, workers)
    held = _held_out(listings, facts, config.datasets)
    rows: dict[str, list[tuple]] = {table: [] for table in TABLES.values()}
    for name, listing in listings.items():
        for picture in listing.pictures:
            fact = facts[picture.path]
            if isinstance(fact, Facts):
                split_off = config.datasets[name].val_fraction and picture.split == "train"
                moved = split_off and (fact.digest, picture.label) in held
                placed = picture._replace(split="val") if moved else picture
                rows[TABLES[listing.study, placed.split == "test"]].append((*placed, *fact))
    skipped = [(_printable(path), f.reason) for path, f in facts.items() if isinstance(f, Skipped)]
    return Index(
        tables={name: _table(table) for name, table in rows.items()},
        test_sets=_test_sets(listings),
        skipped=pd.DataFrame(sorted(skipped), columns=["path", "reason"]),
        n_examined=len(paths) - n_reused,
        n_reused=n_reused,
    )


def _held_out(
    listings: dict[str, Listing], facts: dict[str, Facts | Skipped], datasets: dict[str, DatasetConfig]
) -> set[tuple[str, int]]:
    """The (digest, label) that training sets keep for validation: of each set and class its share, to the picture.

    The lowest digests, so that adding a picture moves at most one other; and what one set keeps, others that share it
    do not train on.
    """
    held: set[tuple[str, int]] = set()
    for name, listing in listings.items():
        of_class: dict[int, set[str]] = {0: set(), 1: set()}
        for picture in listing.pictures:
            fact = facts[picture.path]
            if picture.split == "train" and isinstance(fact, Facts):
                of_class[picture.label].add(fact.digest)
        for label, digests in of_class.items():
            kept = round(datasets[name].val_fraction * len(digests))
            held |= {(digest, label) for digest in sorted(digests)[:kept]}
    return held


def _table(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*Picture._fields, *Facts._fields])
    table = table.astype({**dict.fromkeys(("label", "bytes", "width", "height"), "int64"), "exif": "bool"})
    return table.sort_values(list(PICTURE), ignore_index=True, kind="stable")


def _test_sets(listings: dict[str, Listing]) -> pd.DataFrame:
    rows = [each._replace(family=family(each.family)) for made in listings.values() for each in made.test_sets]
    return pd.DataFrame(rows, columns=list(TestSet._fields))


def read_all(
    root: Path, paths: list[str], max_pixels: int, store: Path | None = None, workers: int | None = None
) -> tuple[dict[str, Facts | Skipped], int]:
    """The facts of every path, in its order, and how many of them were remembered from an earlier run."""
    remembered = FactStore(store, max_pixels) if store else None
    facts: dict[str, Facts | Skipped] = {}
    stats: dict[str, os.stat_result] = {}
    for path in paths:
        if path != _printable(path):
            facts[path] = Skipped("the file's name is not UTF-8")
            continue
        try:
            stats[path] = (root / path).stat()
        except OSError:
            continue  # a broken link; `examine` says so
        fact = remembered.get((root / path).absolute(), stats[path]) if remembered else None
        if fact is not None:
            facts[path] = fact
    n_reused = sum(path in stats for path in facts)
    todo = [path for path in paths if path not in facts]
    with progress(len(todo), "pictures", "prepare") as bar:
        examined = _examined(root, todo, max_pixels, workers)
        while batch := dict(islice(examined, CHUNK)):
            whole = {path: fact for path, fact in batch.items() if not isinstance(fact, apart.Lost)}
            facts |= whole | {path: Skipped(str(fact)) for path, fact in batch.items() if isinstance(fact, apart.Lost)}
            if remembered:  # not of what was lost: it may have been the machine
                remembered.put(
                    ((root / path).absolute(), stats[path], fact) for path, fact in whole.items() if path in stats
                )
            bar.advance(len(batch))
    return {path: facts[path] for path in paths}, n_reused


def _printable(path: str) -> str:
    """The path as UTF-8 can hold it; another string only where the name's bytes are none."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _examined(
    root: Path, paths: list[str], max_pixels: int, workers: int | None
) -> Iterator[tuple[str, Facts | Skipped | apart.Lost]]:
    """Each path with its facts, in order, looked at by so many processes; 0: by this one."""
    workers = usable_cores() if workers is None else workers

    def look(path: str) -> Facts | Skipped | apart.Lost:
        try:
            return apart.call(examine, root / path, max_pixels) if workers else examine(root / path, max_pixels)
        except apart.Lost as lost:
            return lost

    return apart.ahead(look, paths, workers)


def write(index: Index, out: Path) -> None:
    """Write the tables as CSV files into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {name: table[list(COLUMNS)] for name, table in index.tables.items()}
    for name, table in {**tables, "test_sets": index.test_sets, "skipped": index.skipped}.items():
        table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
