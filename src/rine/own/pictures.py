"""Pictures with their truth, judged: what can be read, each once, and none that the model was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rine import apart
from rine.dataset import duplicates
from rine.dataset.fact_store import FactStore
from rine.dataset.facts import Facts, Skipped, examine
from rine.dataset.records import packed
from rine.device import usable_cores
from rine.paths import store_folder
from rine.pixels.crops import CropRule
from rine.progress import progress

if TYPE_CHECKING:
    from rine.detector import Detector

NAMED = 5  # files that a message spells out
COLUMNS = ("path", "label", "source", *Facts._fields, "verdict", "probability", "logit")


@dataclass(frozen=True)
class Labelled:
    """A picture and its truth, 1 for synthetic; `source` is what it was named by, `error` why it cannot be tried."""

    path: str
    label: int
    source: str
    error: str | None = None


@dataclass(frozen=True)
class Judged:
    """Pictures of one's own with all facts of their files and their verdicts: a row each, see `COLUMNS`.

    `skipped` (path, reason) could not be read; `notes` say what else one should know of the pictures.
    """

    rows: pd.DataFrame
    skipped: pd.DataFrame
    notes: Sequence[str]

    def of(self, label: int) -> pd.DataFrame:
        return self.rows[self.rows["label"] == label]


def judge(detector: Detector, pictures: Iterable[Labelled], crops: CropRule = "centre") -> Judged:
    """Read and judge pictures; raises `ValueError` for one that is named as both kinds or was trained on."""
    pictures = list(dict.fromkeys(pictures))
    facts = _facts(sorted({p.path for p in pictures if p.error is None}), detector.max_pixels)
    skipped = [(p.path, p.error) for p in pictures if p.error is not None]
    rows, digests, notes = [], set(), []
    for picture in pictures:
        fact = facts.get(picture.path)
        if isinstance(fact, Facts):
            rows.append([picture.path, picture.label, picture.source, *fact])
        elif fact is not None:
            skipped.append((picture.path, fact.reason))
    table = pd.DataFrame(rows, columns=list(COLUMNS[:-3]))
    _refuse_both(table)
    _refuse_known(table, detector.digests.get("training", frozenset()))
    n_copies = int(table.duplicated("digest").sum())
    table = table.drop_duplicates("digest", ignore_index=True)
    digests = set(table["digest"])
    if n_copies:
        are = "picture is an exact copy" if n_copies == 1 else "pictures are exact copies"
        notes.append(f"{n_copies} {are} of others: each counts once")
    notes += _near(table, detector)
    if "training" not in detector.digests:
        notes.append(f"the file of {detector.name} does not tell its training pictures: these may be among them")
    if known := len(digests & detector.digests.get("calibration", frozenset())):
        notes.append(
            f"{known} of the pictures are those that its thresholds were fitted on: what they show is too good"
        )
    verdicts = []
    with progress(len(table), "pictures", "judge") as bar:
        for verdict in detector.stream(table["path"].tolist(), crops):
            verdicts.append(verdict)
            bar.advance()
    for column in ("verdict", "probability", "logit", "error"):
        table[column] = [getattr(verdict, column) for verdict in verdicts]
    lost = table[table["error"].notna()]  # it changed, or memory was short
    skipped += list(zip(lost["path"], lost["error"], strict=True))
    table = table[table["error"].isna()].drop(columns="error").reset_index(drop=True)
    table = table.astype({"probability": float, "logit": float, "label": int})
    return Judged(table, pd.DataFrame(skipped, columns=["path", "reason"]), notes)


def _facts(paths: list[str], max_pixels: int) -> dict[str, Facts | Skipped]:
    """What each file is, looked at in processes apart."""

    def look(path: str) -> Facts | Skipped:
        try:
            return apart.call(examine, Path(path), max_pixels)
        except apart.Lost as lost:
            return Skipped(str(lost))

    return dict(apart.ahead(look, paths, usable_cores()))


def digest_of(digests: Iterable[str]) -> str:
    """One digest of a set of pictures, whatever their order."""
    return hashlib.blake2b("\n".join(sorted(digests)).encode(), digest_size=16).hexdigest()


def _refuse_both(table: pd.DataFrame) -> None:
    both = table.groupby("digest")["label"].transform("nunique") > 1
    if both.any():
        raise ValueError(f"named as real and as synthetic: {_listed(table.loc[both, 'path'].drop_duplicates())}")


def _refuse_known(table: pd.DataFrame, training: frozenset[str]) -> None:
    known = table["digest"].isin(list(training))
    if known.any():
        raise ValueError(
            f"the model was trained on {known.sum()} of these pictures, so they say nothing about new ones; take them "
            f"out: {_listed(table.loc[known, 'path'])}"
        )


def _near(table: pd.DataFrame, detector: Detector) -> Iterator[str]:
    """Pictures that are nearly the same as another of these, or as a training picture that was looked at here."""
    training = detector.digests.get("training", frozenset())
    hashes = {}
    if training and store_folder("index").is_dir():  # the model file has digests alone; `prepare` remembers the rest
        with closing(FactStore(store_folder("index"), detector.max_pixels)) as store:
            hashes = {digest: dhash for digest, dhash in store.hashes() if digest in training}
    known = pd.DataFrame({"digest": list(hashes), "dhash": list(hashes.values())}, dtype=str)
    places = [table.assign(split="test"), known.assign(split="train", path="", label=0, source="")]
    both = pd.concat([place.assign(study="grid") for place in places if len(place)] or places, ignore_index=True)
    alike = duplicates.near_labels(np.array([packed(dhash) for dhash in both["dhash"]], "S17"))
    copies = duplicates.find(both, alike) if len(both) else both.assign(kind="", across=False, group=0)
    near = copies[(copies["kind"] == "near") & (copies["split"] == "test")]
    if (across := near["across"].astype(bool)).any():
        yield f"nearly the same as training pictures, so they say little: {_listed(near.loc[across, 'path'])}"
    if (~across).any():
        groups = near[~across].groupby("group")["path"].apply(lambda paths: " = ".join(paths))
        yield f"nearly the same as each other, so they count for less than they are: {_listed(groups)}"


def _listed(values: pd.Series) -> str:
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return ", ".join(values.head(NAMED)) + more
