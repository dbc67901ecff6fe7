"""Scores: a logit for every picture from every run, and the table of means that is made of them.

A stage that trains or tests writes a scores folder:

- `scores.csv`: the scores table, one row a run and generator (`rine.scores.table`);
- `runs.csv`: one row a run, K of them: the table's columns of a run;
- `images.csv`: N pictures: `path, label, source, category, split, digest` and, where one has several, `view`;
- `logits.safetensors`: `logits` (K, N) float32; above 0 is synthetic at the threshold 0.5.

Every metric, threshold, interval and figure can be had again from it, with no model and in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rine.scores.metrics import accuracy_of_runs, average_precision_of_runs, log_loss_of_runs
from rine.scores.table import COLUMNS, RUN, VALIDATION, ScoresError, check_scores, read_scores, write_scores

__all__ = [
    "COLUMNS",
    "ImageScores",
    "ScoresError",
    "TestSet",
    "read_scores",
    "summarise",
    "test_sets_of",
    "validation",
    "write_scores",
]

IMAGE_COLUMNS = ("path", "label", "source", "category", "split", "digest")
_TEXT = {"path": str, "source": str, "category": str, "split": str, "digest": str, "view": str}


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
        _with_validation(self).to_csv(folder / "runs.csv", index=False, lineterminator="\n")
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
        # a run has no generator: lend it one, and perfect scores, so that one function knows the form
        lent = cells.assign(generator=[str(k) for k in range(len(cells))], acc="1", ap="1")
        runs = check_scores(lent, str(folder / "runs.csv")).drop(columns=["generator", "acc", "ap"])
        images = pd.read_csv(folder / "images.csv", dtype=_TEXT, keep_default_na=False)
        return ImageScores(runs, images, load_file(folder / "logits.safetensors")["logits"])

    def take(self, runs: np.ndarray) -> ImageScores:
        """The same pictures, scored by some of the runs (a mask or indices)."""
        kept = np.arange(len(self.runs))[runs]
        return ImageScores(self.runs.iloc[kept].reset_index(drop=True), self.images, self.logits[kept])


@dataclass(frozen=True)
class TestSet:
    """A generator's test pictures: `rows` (n,) of the table of pictures, `labels` (n,), their two sources."""

    __test__ = False  # no test case, whatever pytest makes of the name

    generator: str
    family: str
    real: str
    fake: str
    rows: np.ndarray
    labels: np.ndarray


def test_sets_of(images: pd.DataFrame, test_sets: pd.DataFrame) -> list[TestSet]:
    """The test sets (columns generator, family, real, fake) that have pictures here, in the table's order.

    Raises `ScoresError` for one whose pictures are all of one class, and for a picture that counts twice in
    one.
    """
    test = (images["split"] == "test").to_numpy()
    label, source = images["label"].to_numpy(), images["source"].to_numpy()
    found = []
    columns = [test_sets[column].astype(str) for column in ("generator", "family", "real", "fake")]
    for line, (generator, family, of_real, of_fake) in enumerate(zip(*columns, strict=True), start=2):
        real, fake = (source == of_real) & (label == 0) & test, (source == of_fake) & (label == 1) & test
        if not real.any() and not fake.any():
            continue
        if not (real.any() and fake.any()):
            lacks, column, name = ("real", "real", of_real) if fake.any() else ("synthetic", "fake", of_fake)
            raise ScoresError(
                f"test sets: line {line}, column {column}: generator {generator} has no {lacks} picture "
                f"of source {name!r}; needed: pictures of both classes"
            )
        rows = np.flatnonzero(real | fake)
        twice = images.iloc[rows].duplicated(["source", "label", "path"])
        if twice.any():
            at = rows[np.flatnonzero(twice)[0]]
            raise ScoresError(
                f"images: row {at}, column path: {images['path'].iloc[at]} counts twice for {generator}; "
                "allowed: one row a picture (the mean over its views)"
            )
        found.append(TestSet(generator, family, of_real, of_fake, rows, label[rows].astype(bool)))
    return found


test_sets_of.__test__ = False  # type: ignore[attr-defined]


def summarise(scores: ImageScores, test_sets: pd.DataFrame) -> pd.DataFrame:
    """The scores table: accuracy at 0.5 and average precision of every run on each test set with pictures.

    `test_sets` has the columns generator, family, real, fake; raises as `test_sets_of`.
    """
    runs = _with_validation(scores)
    parts: list[pd.DataFrame] = []
    for test_set in test_sets_of(scores.images, test_sets):
        logits = scores.logits[:, test_set.rows]  # (K, n)
        parts.append(
            runs.assign(
                generator=test_set.generator,
                acc=accuracy_of_runs(test_set.labels, logits).round(6),
                ap=average_precision_of_runs(test_set.labels, logits).round(6),
                _run=np.arange(len(runs)),
                _set=len(parts),
            )
        )
    columns = [*COLUMNS, *(["seed"] if "seed" in runs else [])]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts).sort_values(["_run", "_set"])[columns].reset_index(drop=True)


def validation(scores: ImageScores) -> tuple[np.ndarray, np.ndarray]:
    """Labels (M,) and logits (K, M) of the validation pictures, the only ones that may calibrate."""
    held_out = (scores.images["split"] == "val").to_numpy()
    return scores.images["label"].to_numpy()[held_out].astype(bool), scores.logits[:, held_out]


def _with_validation(scores: ImageScores) -> pd.DataFrame:
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
    key = [c for c in ("source", "label", "path", "split", "view") if c in images]
    twice = images.duplicated(key).to_numpy()
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        raise ScoresError(
            f"images: row {at}, column path: {images['path'].iloc[at]} stands there twice; "
            f"allowed: one row for each of {', '.join(key)}"
        )
