"""Folders to tables: one row a picture that can be read, and the test sets that the rows form."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path

import pandas as pd

from rine import apart
from rine.dataset.config import DatasetConfig, PrepareConfig
from rine.dataset.fact_store import FactStore
from rine.dataset.facts import Facts, Skipped, examine_all
from rine.dataset.layouts import TABLES, list_all
from rine.dataset.listing import DatasetError, Listing, Picture, TestSet
from rine.device import usable_cores
from rine.features.table import INDEX, PICTURE
from rine.pixels.pictures import pieces, split
from rine.progress import progress

CHUNK = 32  # pieces whose pictures' facts are remembered at once
_ROW = (*Picture._fields, "crops", *Facts._fields)
_PATH, _SPLIT, _DIGEST = (_ROW.index(column) for column in ("path", "split", "digest"))
_GROUP = [_ROW.index(column) for column in ("source", "label", "split")]


@dataclass(frozen=True)
class Index:
    """The tables by name, with every fact of the files as columns; `n_reused` files were not read again."""

    tables: dict[str, pd.DataFrame]  # train, test, ldm, synthbuster
    test_sets: pd.DataFrame  # generator, family, study, real, fake
    skipped: pd.DataFrame  # path, reason
    n_examined: int
    n_reused: int


def store_folder() -> Path:
    """Where facts are remembered: `$RINE_STORE`, else `.rine/store`, outside what DVC owns."""
    return Path(os.environ.get("RINE_STORE", ".rine/store")) / "index"


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
    rows: dict[str, list[tuple]] = {table: [] for table in TABLES.values()}
    for name, listing in listings.items():
        of_set: list[tuple] = []
        for picture in listing.pictures:
            fact = facts[picture.path]
            if isinstance(fact, Facts):
                placed = _split_off(picture, fact, config.datasets[name])
                of_set.append((*placed, config.datasets[name].judged, *fact))
        for row in _first(of_set, config.datasets[name].at_most):
            rows[TABLES[listing.study, row[_SPLIT] == "test"]].append(row)
    skipped = [(_printable(path), f.reason) for path, f in facts.items() if isinstance(f, Skipped)]
    return Index(
        tables={name: _table(table) for name, table in rows.items()},
        test_sets=_test_sets(listings),
        skipped=pd.DataFrame(sorted(skipped), columns=["path", "reason"]),
        n_examined=len(paths) - n_reused,
        n_reused=n_reused,
    )


def _split_off(picture: Picture, facts: Facts, config: DatasetConfig) -> Picture:
    """Move a share of a training set to validation: by digest, so that adding pictures moves no other one."""
    if picture.split == "train" and int(facts.digest[:8], 16) < config.val_fraction * 2**32:
        return picture._replace(split="val")
    return picture


def _first(rows: list[tuple], at_most: int | None) -> list[tuple]:
    """The first so many rows by digest of each source, class and split: the same pictures on every machine."""
    if at_most is None:
        return rows
    count: Counter[tuple] = Counter()
    kept = []
    for row in sorted(rows, key=itemgetter(_DIGEST, _PATH)):
        of = tuple(row[column] for column in _GROUP)
        count[of] += 1
        if count[of] <= at_most:
            kept.append(row)
    return kept


def _table(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(_ROW))
    table = table.astype({**dict.fromkeys(("label", "bytes", "width", "height"), "int64"), "exif": "bool"})
    return table.sort_values(list(PICTURE), ignore_index=True, kind="stable")


def _test_sets(listings: dict[str, Listing]) -> pd.DataFrame:
    rows = [test_set for listing in listings.values() for test_set in listing.test_sets]
    return pd.DataFrame(rows, columns=list(TestSet._fields))


def read_all(
    root: Path, paths: list[str], max_pixels: int, store: Path | None = None, workers: int | None = None
) -> tuple[dict[str, Facts | Skipped], int]:
    """The facts of every path, in its order, and how many of them were remembered from an earlier run."""
    with closing(FactStore(store, max_pixels)) if store else nullcontext() as remembered:
        return _read_all(root, paths, max_pixels, remembered, workers)


def _read_all(
    root: Path, paths: list[str], max_pixels: int, remembered: FactStore | None, workers: int | None
) -> tuple[dict[str, Facts | Skipped], int]:
    facts: dict[str, Facts | Skipped] = {}
    stats: dict[str, os.stat_result] = {}
    for path in paths:
        if path != _printable(path):
            facts[path] = Skipped("the file's name is not UTF-8")
            continue
        try:
            stats[path] = _stat(root, path)
        except OSError:
            continue  # a broken link; `examine` says so
        fact = remembered.get((root / path).absolute(), stats[path]) if remembered else None
        if fact is not None:
            facts[path] = fact
    n_reused = sum(path in stats for path in facts)
    todo = [path for path in paths if path not in facts]
    with progress(len(todo), "pictures", "prepare") as bar:
        examined = _examined(root, todo, max_pixels, workers)
        while batch := {path: fact for piece in islice(examined, CHUNK) for path, fact in piece}:
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


def _stat(root: Path, address: str) -> os.stat_result:
    """Of the file that a picture is or lies in: where that changed, the picture is read again."""
    return (root / split(address)[0]).stat()


def _examined(
    root: Path, paths: list[str], max_pixels: int, workers: int | None
) -> Iterator[list[tuple[str, Facts | Skipped | apart.Lost]]]:
    """Pieces of the paths with their facts, in order, looked at by so many processes; 0: by this one."""
    workers = usable_cores() if workers is None else workers

    def look(piece: list[str]) -> list[Facts | Skipped | apart.Lost]:
        files = [root / path for path in piece]
        if not workers:
            return [*examine_all(files, max_pixels)]
        try:
            return [*apart.call(examine_all, files, max_pixels, seconds=apart.SECONDS + len(piece))]
        except apart.Lost as lost:
            if len(piece) == 1:
                return [lost]
            half = len(piece) // 2  # until the picture is found that takes the others along
            return look(piece[:half]) + look(piece[half:])

    for piece, facts in apart.ahead(look, pieces(root, paths), workers):
        yield list(zip(piece, facts, strict=True))


def write(index: Index, out: Path) -> None:
    """Write the tables as CSV files into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {name: table[list(INDEX)] for name, table in index.tables.items()}
    for name, table in {**tables, "test_sets": index.test_sets, "skipped": index.skipped}.items():
        table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
