"""The dataset doctor: statistics of the files of each set and class, and what in them misleads a detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rine.dataset import duplicates, shortcuts
from rine.dataset.findings import findings
from rine.dataset.index import Index
from rine.dataset.records import category
from rine.features.table import joined

if TYPE_CHECKING:
    from rine.pixels.config import AlignConfig

TRAINING = {"train": "grid", "ldm": "ldm"}  # table -> study
TESTS = {"test": "grid", "synthbuster": "ldm"}
PLACE = ["path", "label", "source", "split", "digest"]  # what tells copies apart, and where they are


@dataclass(frozen=True)
class Diagnosis:
    """The doctor's tables; `files` has a row a set and class, `shortcuts` a row a set."""

    files: pd.DataFrame
    duplicates: pd.DataFrame  # see `rine.dataset.duplicates.find`
    shortcuts: pd.DataFrame  # see `SHORTCUT_COLUMNS`
    findings: pd.DataFrame  # set, severity (warning, note), finding


def examine(index: Index, align: AlignConfig | None) -> Diagnosis:
    """Look at every training split and every test set; deterministic, and no picture is opened."""
    near = duplicates.near_labels(index.records.hashes())
    places = joined(
        index.rows[table][PLACE].assign(study=category([study], np.zeros(len(index.rows[table]), np.int8)))
        for table, study in {**TRAINING, **TESTS}.items()
    )
    copies = duplicates.find(places, near[places["path"]])
    del near, places
    described, tricked = [], []
    for each in sets_of(index):
        described += _describe(index, each, copies)
        tricked.append(_shortcut(index, each, align))
    files = pd.DataFrame(described, columns=list(FILE_COLUMNS))
    tricks = pd.DataFrame(tricked, columns=list(SHORTCUT_COLUMNS))
    copies["path"] = index.facts(copies, ["path"])["path"]
    return Diagnosis(files, copies, tricks, findings(index.skipped, files, copies, tricks))


@dataclass(frozen=True)
class Set:
    """A training split or a test set; `rows` as of `Index`."""

    name: str  # train, val, ldm/train, ldm/val, or a generator
    study: str
    split: str
    rows: pd.DataFrame
    labels: tuple[int, ...] = (0, 1)  # of the classes that it is to have


def sets_of(index: Index) -> Iterator[Set]:
    """Training splits that have pictures, then test sets in their order."""
    for table, study in TRAINING.items():
        rows = index.rows[table]
        for split in ("train", "val"):
            part = rows[rows["split"] == split]
            if len(part):
                yield Set(split if study == "grid" else f"{study}/{split}", study, split, part)
    for test_set in index.test_sets.itertuples(index=False):
        table = next(table for table, study in TESTS.items() if study == test_set.study)
        rows = index.rows[table]
        real = (rows["source"] == test_set.real) & (rows["label"] == 0)
        fake = (rows["source"] == test_set.fake) & (rows["label"] == 1)
        labels = tuple(label for label, source in enumerate((test_set.real, test_set.fake)) if source)
        yield Set(str(test_set.generator), str(test_set.study), "test", rows[real | fake], labels)


FILE_COLUMNS = (
    *("set", "study", "split", "label", "pictures", "formats", "modes"),
    *(f"{fact}_{of}" for fact in ("width", "height", "jpeg_quality") for of in ("min", "median", "max")),
    *("jpeg_standard", "bytes_per_pixel", "exif", "exact", "exact_across", "near", "near_across"),
)


def _describe(index: Index, each: Set, copies: pd.DataFrame) -> list[dict[str, object]]:
    """One row a class: medians and extremes, shares of 0..1, pictures that have a copy (across splits)."""
    described = []
    for label in each.labels:
        paths = each.rows.loc[each.rows["label"] == label, ["path"]]
        rows = index.facts(paths, [*shortcuts.LOOKED_AT, "bytes"])
        row: dict[str, object] = {"set": each.name, "study": each.study, "split": each.split, "label": label}
        row |= {"pictures": len(rows), "formats": _shares(rows["format"]), "modes": _shares(rows["mode"])}
        for fact in ("width", "height", "jpeg_quality"):
            values = pd.to_numeric(rows[fact]).dropna()
            if len(values):
                row |= {f"{fact}_{of}": float(getattr(values, of)()) for of in ("min", "median", "max")}
        if len(rows):
            standard = rows["jpeg_standard"].dropna()
            row["jpeg_standard"] = round(float(standard.astype(bool).mean()), 4) if len(standard) else None
            row["bytes_per_pixel"] = round(float((rows["bytes"] / rows["width"] / rows["height"]).median()), 4)
            row["exif"] = round(float(rows["exif"].mean()), 4)
        for kind in ("exact", "near"):
            of_kind = copies[copies["kind"] == kind]
            row[kind] = int(paths["path"].isin(of_kind["path"]).sum())
            row[f"{kind}_across"] = int(paths["path"].isin(of_kind.loc[of_kind["across"], "path"]).sum())
        described.append(row)
    return described


def _shares(values: pd.Series) -> str:
    """ "JPEG", or "JPEG 75%, PNG 25%", the most frequent first."""
    shares = values.value_counts(normalize=True)
    shares = shares[shares > 0]  # categories that none has have a place there too
    shares = shares.sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    if len(shares) < 2:
        return "".join(map(str, shares.index))
    return ", ".join(f"{value} {100 * share:.3g}%" for value, share in shares.items())


SHORTCUT_COLUMNS = (
    *("set", "study", "split", "pictures", "chance"),
    *("ap", "strongest", "ap_aligned", "strongest_aligned", "ap_file_size", "reason"),
)


def _shortcut(index: Index, each: Set, align: AlignConfig | None) -> dict[str, object]:
    """The shortcut baseline of a set: raw, after `align`, and raw with file size; or why there is none."""
    row: dict[str, object] = {"set": each.name, "study": each.study, "split": each.split}
    row |= {"pictures": len(each.rows), "reason": shortcuts.why_not(each.rows["label"].to_numpy())}
    if row["reason"]:
        return row
    rows = index.whole(shortcuts.looked_at(each.rows), ["label", *shortcuts.LOOKED_AT, "bytes"])
    row["chance"] = round(float(rows["label"].mean()), 4)
    ap, row["strongest"] = shortcuts.average_precision(rows)
    row["ap"] = round(ap, 4)
    row["ap_file_size"] = round(shortcuts.average_precision(rows, file_size=True)[0], 4)
    if align is not None:
        ap, row["strongest_aligned"] = shortcuts.average_precision(shortcuts.aligned(rows, align))
        row["ap_aligned"] = round(ap, 4)
    return row
