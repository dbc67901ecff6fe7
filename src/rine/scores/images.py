"""The logits of runs on pictures, and the folder that holds them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import pandas as pd

from rine.features.table import PICTURE, firsts
from rine.features.table import read as read_table
from rine.scores.of_runs import accuracy_of_runs, log_loss_of_runs
from rine.scores.table import RUN, VALIDATION, ScoresError, check_runs

_READ: WeakValueDictionary[bytes, pd.DataFrame] = WeakValueDictionary()  # tables in use, by digest
IMAGE_COLUMNS = ["path", "label", "source", "category", "split", "digest"]


@dataclass(frozen=True)
class ImageScores:
    """Logits (K, N) of K runs on N pictures: `runs` has K rows, `images` N; raises where they disagree."""

    runs: pd.DataFrame
    images: pd.DataFrame
    logits: np.ndarray

    def __post_init__(self) -> None:
        expected = (len(self.runs), len(self.images))
        if self.logits.shape != expected:
            raise ScoresError(f"logits have shape {self.logits.shape}; {expected} is (runs, images)")
        missing = [column for column in IMAGE_COLUMNS if column not in self.images]
        if missing:
            raise ScoresError(f"images: missing column {', '.join(missing)}; needed: {', '.join(IMAGE_COLUMNS)}")
        bad = np.argwhere(~np.isfinite(self.logits))
        if len(bad):
            run, image = bad[0]
            raise ScoresError(
                f"logits: row {run}, column {image} ({self.images['path'].iloc[image]}): "
                f"{self.logits[run, image]} (and {len(bad) - 1} more); allowed: finite numbers"
            )
        _refuse_images(self.images)

    def write(self, folder: Path | str) -> None:
        """Write runs, pictures and logits; the runs get accuracy and loss on the validation pictures."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with_validation(self).to_csv(folder / "runs.csv", index=False, lineterminator="\n")
        self.images.to_csv(folder / "images.csv", index=False, lineterminator="\n")
        save_file({"logits": np.ascontiguousarray(self.logits, dtype=np.float32)}, folder / "logits.safetensors")

    @staticmethod
    def read(folder: Path | str) -> ImageScores:
        """Read what `write` wrote."""
        from safetensors.numpy import load_file

        folder = Path(folder)
        for name in ("runs.csv", "images.csv", "logits.safetensors"):
            if not (folder / name).is_file():
                raise ScoresError(f"{folder} has no {name}: it is no scores folder")
        cells = pd.read_csv(folder / "runs.csv", dtype=str, keep_default_na=False)
        runs = check_runs(cells, str(folder / "runs.csv"))
        logits = load_file(folder / "logits.safetensors")["logits"]
        return ImageScores(runs, _images(folder / "images.csv"), logits)

    def take(self, runs: np.ndarray) -> ImageScores:
        """The same pictures, scored by some of the runs (a mask or indices)."""
        kept = np.arange(len(self.runs))[runs]
        return ImageScores(self.runs.iloc[kept].reset_index(drop=True), self.images, self.logits[kept])


def _images(file: Path) -> pd.DataFrame:
    """A table of pictures: one for all folders that list the same, as those of a study mostly do."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "blake2b").digest()
    if (images := _READ.get(digest)) is None:
        images = _READ[digest] = read_table(file)
    return images


def validation(scores: ImageScores) -> tuple[np.ndarray, np.ndarray]:
    """Labels (M,) and logits (K, M) of the validation pictures, the only ones that may calibrate."""
    val = (scores.images["split"] == "val").to_numpy()
    return scores.images["label"].to_numpy()[val].astype(bool), scores.logits[:, val]


def with_validation(scores: ImageScores) -> pd.DataFrame:
    """The runs with `val_acc` and `val_loss` (mean BCE, no contrastive term); empty without pictures."""
    labels, logits = validation(scores)
    runs = scores.runs.drop(columns=list(VALIDATION), errors="ignore")
    runs = runs.assign(val_acc=np.nan, val_loss=np.nan)
    if len(labels):
        runs["val_acc"] = accuracy_of_runs(labels, logits).round(6)
        runs["val_loss"] = log_loss_of_runs(labels, logits).round(9)
    missing = [column for column in RUN if column not in runs]
    if missing:
        raise ScoresError(f"runs: missing column {', '.join(missing)}; needed: {', '.join(RUN)}")
    runs["fraction"] = pd.to_numeric(runs["fraction"])  # None and NaN must not be two kinds of nothing
    return runs[[*RUN, *(["seed"] if "seed" in runs else [])]]


def _refuse_images(images: pd.DataFrame) -> None:
    """Raise for a label that is not 0 or 1, a split that is none, and a picture that stands there twice."""
    for column, allowed in (("label", (0, 1)), ("split", ("train", "val", "test"))):
        bad = ~images[column].isin(allowed).to_numpy()
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            raise ScoresError(f"images: row {at}, column {column}: {images[column].iloc[at]}; allowed: {allowed}")
    key = [c for c in (*PICTURE, "split", "view") if c in images]
    twice = firsts(images, key) < np.arange(len(images))
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        raise ScoresError(
            f"images: row {at}, column path: {images['path'].iloc[at]} stands there twice; "
            f"allowed: one row for each of {', '.join(key)}"
        )
