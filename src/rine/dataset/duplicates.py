"""Copies: files with the same bytes, or with nearly the same picture; and whether they join training and test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

# Of the 128 bits of `rine.dataset.facts.dhash`, so many may differ: copies that were scaled or coded again differ in
# fewer. One band more than that must agree in some band, which is what makes the search cheap.
NEAR_BITS = 7
COLUMNS = ("kind", "group", "across", "path", "label", "source", "split", "study")


def find(rows: pd.DataFrame) -> pd.DataFrame:
    """Groups of equal files, one row a file: `kind` exact or near, `across` where a group joins two splits.

    `rows` has a row for each place of a file: path, label, source, split, study, digest, dhash. Splits that
    must not meet: training or validation and any test set, and training and validation of one study.
    A near group has at least two different files, and may hold exact copies too.
    """
    rows = rows.reset_index(drop=True)
    exact = _groups(rows, pd.factorize(rows["digest"])[0], "path")
    near = _groups(rows, _near_labels(rows["dhash"].to_numpy(dtype=str)), "digest")
    copies = pd.concat([exact.assign(kind="exact"), near.assign(kind="near")], ignore_index=True)
    copies["group"] = copies.groupby(["kind", "group"], sort=False).ngroup()
    return copies[list(COLUMNS)]


def _groups(rows: pd.DataFrame, group: np.ndarray, differs: str) -> pd.DataFrame:
    """Rows whose group (-1: none) has two values of `differs`, or a file in two splits that must not meet."""
    grouped = rows.assign(group=group)[group >= 0]
    counts = grouped.groupby("group")["group"].transform("size")
    grouped = grouped[counts > 1]
    n_different = grouped.groupby("group")[differs].transform("nunique")
    grouped = grouped.assign(across=_across(grouped))
    grouped = grouped[(n_different > 1) | (grouped["across"] & (differs == "path"))]
    # groups are numbered by their first file, whatever order they were found in
    grouped = grouped.sort_values(["path", "study", "split"], kind="stable")
    first = grouped.groupby("group", sort=False).ngroup()
    return grouped.assign(group=first).sort_values(["group", "path", "study", "split"], kind="stable")


def _across(grouped: pd.DataFrame) -> pd.Series:
    """Whether the group of each row joins two splits that must not meet."""
    test = grouped["split"] == "test"

    def any_in_group(condition: pd.Series) -> pd.Series:
        return condition.groupby(grouped["group"]).transform("any")

    leaks = any_in_group(test) & any_in_group(~test)
    for study in grouped["study"].unique():
        parts = [(grouped["study"] == study) & (grouped["split"] == split) for split in ("train", "val")]
        leaks |= any_in_group(parts[0]) & any_in_group(parts[1])
    return leaks.astype(bool)


def _near_labels(hashes: np.ndarray) -> np.ndarray:
    """Number of the component of near hashes that each of (N,) hashes belongs to; -1 for "".

    Nearness is chained: a picture belongs to a group when it is near to one of its members.
    """
    distinct, where = np.unique(hashes, return_inverse=True)
    usable = distinct != ""
    component = np.full(len(distinct), -1)
    if usable.any():
        packed = np.array([list(bytes.fromhex(text)) for text in distinct[usable]], dtype=np.uint8)  # (n, 16)
        component[usable] = _components(len(packed), near_pairs(packed))
    return component[where]


def _components(n: int, pairs: Iterator[np.ndarray]) -> np.ndarray:
    """Label of the connected component of each of `n` nodes."""
    parent = np.arange(n)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for batch in pairs:
        for a, b in batch.tolist():
            a, b = root(a), root(b)
            parent[max(a, b)] = min(a, b)
    return np.array([root(node) for node in range(n)])


def near_pairs(packed: np.ndarray, bits: int = NEAR_BITS) -> Iterator[np.ndarray]:
    """Batches (k, 2) of all pairs of distinct 128-bit hashes (N, 16) uint8 that differ in `bits` or fewer.

    By the pigeonhole principle two such hashes agree in one of `bits + 1` bands. A band takes every eighth
    bit: neighbouring bits of a picture's hash resemble each other and would crowd into few buckets.
    """
    unpacked = np.unpackbits(packed, axis=1)  # (N, 128)
    hashes = packed.view(np.uint64)  # (N, 2)
    for band in range(bits + 1):
        keys = np.packbits(unpacked[:, band :: bits + 1], axis=1)  # (N, bytes)
        keys = np.pad(keys, [(0, 0), (0, -keys.shape[1] % 8)]).view(np.uint64)
        order = np.lexsort(keys.T)
        keys = keys[order]
        starts = np.arange(len(order))
        step = 1
        while len(starts := starts[starts + step < len(order)]):
            starts = starts[(keys[starts] == keys[starts + step]).all(axis=1)]
            a, b = order[starts], order[starts + step]
            near = _popcount(hashes[a] ^ hashes[b]) <= bits
            if near.any():
                yield np.stack([a[near], b[near]], axis=1)
            step += 1


_ONES = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)


def _popcount(hashes: np.ndarray) -> np.ndarray:
    """Bits that are set in each row of (n, k) uint64."""
    return _ONES[np.ascontiguousarray(hashes).view(np.uint8)].sum(axis=1)
