"""One generator added to a study that is encoded already, against encoding its pictures alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.made import index
from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine import params
from rine.params import Params
from rine.paths import Paths
from rine.stages import cache

GOAL = 1.2
STUDY, NEW, SIDE = 512, 128, 256  # pictures, and pixels a side


def rows(rounds: int) -> list[Figure | Skipped]:
    with tempfile.TemporaryDirectory() as folder:
        return [measure(Path(folder), rounds, params.read("params.yaml"), STUDY, NEW, SIDE)]


def measure(root: Path, rounds: int, study: Params, there: int, new: int, side: int) -> Figure:
    work = Work(root, study, there, new, side)
    seconds = in_turn([work.alone, work.added], rounds)
    times = medians(["theirs", "ours"], seconds)
    return Figure(
        "added",
        f"a generator of {new} pictures added to a study of {there}",
        f"encoding those {new} alone",
        ratios(seconds[:, 1], seconds[:, 0]),
        GOAL,
        times,
        at_least=False,
        note=f"{times['ours']:.2f} s, {study.encoders[study.encoder].name}, the cache stage as a whole",
    )


class Work:
    """A study of test pictures in a folder, in whose store some are; both ways start from a store of their own."""

    def __init__(self, root: Path, study: Params, there: int, new: int, side: int) -> None:
        self.root = root
        self.study = replace(study, prepare=replace(study.prepare, root=str(root / "data")))
        self.old = index(root / "data", "old", there, "test", side)
        self.new = index(root / "data", "new", new, "test", side, first=there)
        self._cache(self.old, "full")

    def alone(self) -> str:
        shutil.rmtree(self.root / "empty", ignore_errors=True)
        return self._cache(self.new, "empty")

    def added(self) -> str:
        shutil.rmtree(self.root / "some", ignore_errors=True)
        # links, since a shard is never changed in place: setting up takes next to no time
        shutil.copytree(self.root / "full", self.root / "some", copy_function=os.link)
        return self._cache(pd.concat([self.old, self.new]), "some")

    def _cache(self, pictures: pd.DataFrame, store: str) -> str:
        artifacts = self.root / "artifacts" / store
        (artifacts / "index").mkdir(parents=True, exist_ok=True)
        pictures.to_csv(artifacts / "index" / "test.csv", index=False)
        with store_at(self.root / store):
            return cache.run(self.study, Paths(artifacts), self.study.encoder, "test")


@contextmanager
def store_at(folder: Path) -> Iterator[None]:
    """Let the library keep its tokens in this folder."""
    before = os.environ.get("RINE_STORE")
    os.environ["RINE_STORE"] = str(folder)
    try:
        yield
    finally:
        del os.environ["RINE_STORE"]
        if before is not None:
            os.environ["RINE_STORE"] = before
