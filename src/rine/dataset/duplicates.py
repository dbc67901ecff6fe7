"""Copies: files with the same bytes, or with nearly the same picture; and whether they join training and test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from rine.features.table import firsts

# Of the 128 bits of `rine.dataset.facts.dhash`, so many may differ: copies that were scaled or coded again differ in
# fewer.
NEAR_BITS = 7
COLUMNS = ("kind", "group", "across", "path", "label", "source", "split", "study")


def find(rows: pd.DataFrame, near: np.ndarray) -> pd.DataFrame:
    """Groups of equal files, one row a file: `kind` exact or near, `across` where a group joins two splits.

    `rows` has a row for each place of a file: path, label, source, split, study, digest; `near` (N,) says which of them
    look alike, see `near_labels`. Splits that must not meet: training or validation and any test set, and training and
    validation of one study. A near group has at least two different files, and may hold exact copies too.
    """
    rows = rows.reset_index(drop=True)
    exact = _groups(rows, firsts(rows, ["digest"]), "path").assign(kind="exact")
    alike = _groups(rows, near, "digest").assign(kind="near")
    copies = pd.concat([exact, alike], ignore_index=True)
    copies["group"] = copies.groupby(["kind", "group"], sort=False).ngroup()
    return copies[list(COLUMNS)]


def _groups(rows: pd.DataFrame, group: np.ndarray, differs: str) -> pd.DataFrame:
    """Rows whose group (-1: none) has two values of `differs`, or a file in two splits that must not meet."""
    counts = np.bincount(group[group >= 0], minlength=1)
    several = (group >= 0) & (counts[group] > 1)
    grouped = rows[several].assign(group=group[several])
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


def near_labels(hashes: np.ndarray) -> np.ndarray:
    """Number of the component of near hashes that each of (N,) `rine.dataset.records.packed` ones belongs to; or -1.

    Nearness is chained: a picture belongs to a group when it is near to one of its members.
    """
    distinct, where = np.unique(hashes, return_inverse=True)
    where = where.astype(np.int32)
    n_empty = int(len(distinct) > 0 and distinct[0] == b"")
    bits = np.ascontiguousarray(distinct[n_empty:].view(np.uint8).reshape(-1, distinct.itemsize)[:, 1:])
    del distinct  # of millions of hashes it counts
    return np.append(np.full(n_empty, -1, np.int32), _components(len(bits), near_pairs(bits)))[where]


def _components(n: int, pairs: Iterator[np.ndarray]) -> np.ndarray:
    """Label (n,) of the connected component of each of `n` nodes; most have no neighbour."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = np.concatenate([np.empty((0, 2), dtype=np.int64), *pairs])
    nodes, ends = np.unique(joined, return_inverse=True)
    a, b = ends.reshape(-1, 2).T
    graph = coo_array((np.ones(len(a), dtype=bool), (a, b)), shape=(len(nodes), len(nodes)))
    labels = np.arange(n, dtype=np.int32)
    # a component is called by the first of its nodes
    _, first, component = np.unique(
        connected_components(graph, directed=False)[1], return_index=True, return_inverse=True
    )
    labels[nodes] = nodes[first][component]
    return labels


def near_pairs(packed: np.ndarray, bits: int = NEAR_BITS) -> Iterator[np.ndarray]:
    """Batches (k, 2) of all pairs of distinct 128-bit hashes (N, 16) uint8 that differ in `bits` or fewer.

    By the pigeonhole principle two such hashes agree in two of `bits + 2` bands, whose bits together are many enough
    that others hardly do: time grows as that of sorting. A band takes every ninth bit: neighbouring bits of a picture's
    hash resemble each other and would crowd into few buckets.
    """
    hashes = np.ascontiguousarray(packed).view(np.uint64)  # (N, 2)
    bands = _bands(packed, bits + 2)  # (bits + 2, N)
    for one, other in combinations(range(bits + 2), 2):
        # two bands and the hash's number in one word: sorted in place, it takes half the memory of an order
        sorted_ = np.arange(len(packed), dtype="<u8")
        sorted_ |= np.left_shift(bands[one], 48, dtype=np.uint64)
        sorted_ |= np.left_shift(bands[other], 32, dtype=np.uint64)
        sorted_.sort()
        order, keys = sorted_.view("<u4").reshape(-1, 2).T
        starts = np.flatnonzero(keys[1:] == keys[:-1])
        step = 1
        while len(starts):
            a, b = order[starts], order[starts + step]
            near = _popcount(hashes[a] ^ hashes[b]) <= bits
            if near.any():
                yield np.stack([a[near], b[near]], axis=1)
            step += 1
            starts = starts[starts + step < len(keys)]
            starts = starts[keys[starts] == keys[starts + step]]


def _bands(packed: np.ndarray, n: int) -> np.ndarray:
    """Every n-th bit of hashes (N, 16), from each of the first n: (n, N) uint16."""
    bands = np.empty((n, len(packed)), dtype=np.uint16)
    for start in range(0, len(packed), _CHUNK):
        unpacked = np.unpackbits(packed[start : start + _CHUNK], axis=1)  # (chunk, 128)
        for band in range(n):
            key = np.packbits(unpacked[:, band::n], axis=1)  # (chunk, 2)
            bands[band, start : start + _CHUNK] = np.ascontiguousarray(key).view(np.uint16).ravel()
    return bands


_CHUNK = 1 << 13  # hashes whose bits are laid out at once
_ONES = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)


def _popcount(hashes: np.ndarray) -> np.ndarray:
    """Bits that are set in each row of (n, k) uint64."""
    return _ONES[np.ascontiguousarray(hashes).view(np.uint8)].sum(axis=1)
