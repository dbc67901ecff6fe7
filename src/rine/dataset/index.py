"""Folders to tables: one row a picture that can be read, and the test sets that the rows form."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rine.dataset.compact import numbered
from rine.dataset.config import DatasetConfig, PrepareConfig
from rine.dataset.facts import Facts
from rine.dataset.generators import family
from rine.dataset.layouts import TABLES, list_all
from rine.dataset.listing import DatasetError, ListedTestSet, Listing, Picture, TrainingSource
from rine.dataset.reading import Examine, printable, read_all
from rine.dataset.records import CHUNK, FIELDS, Records, category
from rine.features.table import INDEX, joined, pictures
from rine.pixels.pictures import ContainerError, place

COLUMNS = (*Picture._fields, "crops", *Facts._fields)
ROWS = ("path", "digest", "label", "source", "category", "split", "crops")


@dataclass(frozen=True)
class Index:
    """Who is what, and what is known of it; `n_reused` files were not read again.

    `rows` has the tables (train, test, ldm, synthbuster) with the columns `ROWS` in some twenty bytes a picture: in
    place of a path stands its number in `records`, in place of a digest its rank, which are ordered, and equal, as the
    texts are. `whole` puts the texts there.
    """

    rows: dict[str, pd.DataFrame]
    records: Records
    test_sets: pd.DataFrame  # the fields of a `ListedTestSet`
    training_sets: pd.DataFrame  # those of a `TrainingSource`
    skipped: pd.DataFrame  # path, reason
    n_examined: int
    n_reused: int

    def facts(self, rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        """Some of a picture's address and facts for each of the rows."""
        return self.records.columns(rows["path"].to_numpy(), names).set_axis(rows.index)

    def whole(self, rows: pd.DataFrame, names: Sequence[str] = COLUMNS) -> pd.DataFrame:
        """Rows with their texts and facts."""
        facts = self.facts(rows, [name for name in names if name in FIELDS])
        return pd.DataFrame({name: (facts if name in facts else rows)[name] for name in names})

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """All that there is of all pictures: of a million some 300 MB."""
        return {name: self.whole(rows) for name, rows in self.rows.items()}


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
    paths, numbers = numbered({name: listing.pictures.paths for name, listing in listings.items()})
    said: Any = [listing.told for listing in listings.values() if listing.told]
    said = ChainMap(*reversed(said))
    made = [test_set for listing in listings.values() for test_set in listing.test_sets]
    test_sets = [test_set._replace(family=family(test_set.family)) for test_set in made]
    learnt = [source for listing in listings.values() for source in listing.training]
    training = [source._replace(family=family(source.family)) for source in learnt]
    listed = {name: _listed(listing, numbers[name], config.datasets[name]) for name, listing in listings.items()}
    del listings, numbers  # with millions it counts
    records, n_reused = read_all(root, paths, config.max_pixels, store, workers, by, said)
    del said
    records.rank()
    held = _held_out(listed, records)
    parts: dict[str, list[pd.DataFrame]] = {table: [] for table in TABLES.values()}
    for each in listed.values():
        rows = _rows(each, records, held)
        is_test = (rows["split"] == "test").to_numpy()
        for kind in (False, True):
            if (is_test == kind).any():
                parts[TABLES[each.study, kind]].append(rows[is_test == kind])
        del rows
    skipped = sorted((printable(paths[number]), reason) for number, reason in records.skipped.items())
    return Index(
        rows={name: _table(parts.pop(name)) for name in TABLES.values()},
        records=records,
        test_sets=pd.DataFrame(test_sets, columns=list(ListedTestSet._fields)),
        training_sets=pd.DataFrame(training, columns=list(TrainingSource._fields)),
        skipped=pd.DataFrame(skipped, columns=["path", "reason"]),
        n_examined=len(paths) - n_reused,
        n_reused=n_reused,
    )


class _Listed(NamedTuple):
    """A data set's pictures by their numbers (n,), and which of its kinds each is."""

    study: str
    kinds: list[Picture]
    kind: np.ndarray
    numbers: np.ndarray
    config: DatasetConfig


def _listed(listing: Listing, numbers: np.ndarray, config: DatasetConfig) -> _Listed:
    return _Listed(listing.study, listing.pictures.kinds, listing.pictures.numbers(), numbers, config)


def _rows(listed: _Listed, records: Records, held: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row of the index for each readable picture of a data set."""
    _, kinds, kind, numbers, config = listed
    there = records.readable(numbers)
    kind, numbers = kind[there], numbers[there]
    label = np.array([each.label for each in kinds], np.int8)[kind]
    columns = {"path": numbers, "digest": records.ranks[numbers], "label": label}
    if config.val_fraction:
        kept = np.where(label, *(np.isin(columns["digest"], held[each]) for each in (1, 0)))
        kept &= np.array([each.split == "train" for each in kinds], bool)[kind]
        kinds, kind = kinds + [each._replace(split="val") for each in kinds], kind + len(kinds) * kept
    for name in ("source", "category", "split"):
        columns[name] = category([getattr(each, name) for each in kinds], kind)
    columns["crops"] = category([config.judged], np.zeros(len(kind), np.int8))
    rows = pd.DataFrame(columns)
    if config.at_most is None:
        return rows
    first = rows.sort_values(["digest", "path"], kind="stable").groupby(["source", "label", "split"], observed=True)
    return rows.loc[first.head(config.at_most).index]


def _held_out(listed: dict[str, _Listed], records: Records) -> list[np.ndarray]:
    """The digests, by rank, that training sets keep for validation of either label: of each set its share.

    The lowest digests, so that adding a picture moves at most one other; and what one set keeps, others that share it
    do not train on.
    """
    held: list[list[np.ndarray]] = [[np.empty(0, np.int32)], [np.empty(0, np.int32)]]
    for each in listed.values():
        if not (share := each.config.val_fraction):
            continue
        for label in (0, 1):
            train = [(kind.split, kind.label) == ("train", label) for kind in each.kinds]
            own = each.numbers[np.array(train, bool)[each.kind]]
            distinct = np.unique(records.ranks[own[records.readable(own)]])
            held[label].append(distinct[: round(share * len(distinct))])
    return [np.concatenate(of_label) for of_label in held]


def _table(parts: list[pd.DataFrame]) -> pd.DataFrame:
    table = joined(parts) if parts else pd.DataFrame(columns=list(ROWS)).astype({"path": np.int32, "label": np.int8})
    parts.clear()
    order = np.argsort(pictures(table), kind="stable")
    return table if (order[1:] > order[:-1]).all() else table.iloc[order].reset_index(drop=True)


def write(index: Index, out: Path) -> None:
    """Write the tables as CSV files into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in index.rows.items():
        write_csv((index.whole(some, INDEX) for some in chunks(rows)), out / f"{name}.csv")
    for name in ("test_sets", "training_sets", "skipped"):
        getattr(index, name).to_csv(out / f"{name}.csv", index=False, lineterminator="\n")


def chunks(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows in parts, one at least, whose texts may be in memory at once."""
    return (rows.iloc[start : start + CHUNK] for start in range(0, max(len(rows), 1), CHUNK))


def write_csv(parts: Iterator[pd.DataFrame], file: Path) -> None:
    """Write the parts of a table as one."""
    with file.open("w", encoding="utf-8", newline="") as out:
        for number, part in enumerate(parts):
            part.to_csv(out, index=False, header=number == 0, lineterminator="\n")
