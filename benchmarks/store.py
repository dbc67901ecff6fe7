"""The feature store: random batches against one `.npy` memory map, and writing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine.caching.store import Store
from rine.features import Features, shards
from rine.paths import store_folder

READ, WRITE = 1.3, 500.0  # times as long; MB/s
SHARDS, ROWS, BLOCKS, WIDTH = 4, 2048, 24, 1024
BATCH, BATCHES = 128, 20


def rows(rounds: int) -> list[Figure | Skipped]:
    where = store_folder().absolute().parent  # the disk that the store is on
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=where) as folder:
        return measure(Path(folder), rounds)


def measure(folder: Path, rounds: int) -> list[Figure | Skipped]:
    tokens = np.random.default_rng(0).standard_normal((ROWS, BLOCKS, WIDTH), dtype=np.float32).astype(np.float16)
    store = Store.open(folder / "store", {}, {}, (BLOCKS, WIDTH))
    n = [0]

    def ours() -> None:
        n[0] = (n[0] + 1) % SHARDS  # no more of them than the reading needs
        store.write([f"{n[0]}/{i}" for i in range(ROWS)], tokens)

    def room() -> None:
        """Have the system's memory at hand: a virtual machine gets it from its host at half a gigabyte a second."""
        (folder / "one.npy").unlink(missing_ok=True)
        np.ones(4 * tokens.nbytes, np.uint8)

    writing = in_turn([lambda: save(folder / "one.npy", tokens), ours], rounds, before=room)
    for _ in range(SHARDS):
        ours()
    megabytes = tokens.nbytes / 1e6
    plain = megabytes / np.median(writing[:, 0])
    figures: list[Figure | Skipped] = [
        Figure(
            "store",
            "feature store, writing",
            f"np.save and fsync of the same {megabytes:.0f} MB",
            tuple((megabytes / writing[:, 1]).tolist()),
            WRITE,
            medians(["theirs", "ours"], writing),
            unit="MB/s",
            note=f"np.save: {plain:.0f} MB/s; the store also digests and syncs",
        )
    ]
    one = np.concatenate([tokens] * SHARDS)
    np.save(folder / "all.npy", one)
    del one
    mapped = np.load(folder / "all.npy", mmap_mode="r")
    features = opened(store)
    rng = np.random.default_rng(1)
    batches = [rng.permutation(SHARDS * ROWS)[:BATCH] for _ in range(BATCHES)]

    def read(rows: Callable[[np.ndarray], np.ndarray]) -> None:
        for batch in batches:
            rows(batch)  # and let go, as a training step does

    # short: more rounds
    seconds = in_turn([lambda: read(mapped.__getitem__), lambda: read(features.array)], 4 * rounds)
    times = medians(["theirs", "ours"], seconds)
    figures.append(
        Figure(
            "store",
            f"feature store, random batches of {BATCH} rows, warm",
            "one .npy memory map",
            ratios(seconds[:, 1], seconds[:, 0]),
            READ,
            times,
            at_least=False,
            note=f"{1e3 * times['ours'] / BATCHES:.2f} ms a batch of {BLOCKS} x {WIDTH}",
        )
    )
    return figures


def save(path: Path, tokens: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, tokens)
        file.flush()
        os.fsync(file.fileno())


def opened(store: Store) -> Features:
    """All of a store as a feature set, in the order of its keys."""
    manifests = [file for file in store.folder.glob("*.json") if file.name != "about.json"]
    rows = {file.stem: json.loads(file.read_text())["rows"] for file in manifests}
    places = {key: (number, row) for number, keys in enumerate(rows.values()) for row, key in enumerate(keys)}
    order = sorted(places, key=lambda key: tuple(map(int, key.split("/"))))
    which, row = np.array([places[key] for key in order]).T
    about = {"n_blocks": store.shape[0], "width": store.shape[1]}
    maps = [shards.tokens_of(store.path(name)) for name in rows]
    return Features(pd.DataFrame(index=range(len(order))), about, maps, which, row)
