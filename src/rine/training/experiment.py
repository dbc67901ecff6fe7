"""One experiment of the study: train heads on cached tokens, score every validation and test picture with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rine.features import Features
from rine.heads import Head
from rine.params import Params
from rine.scores import ImageScores
from rine.training import Run, logits, mean_over_views, train

IMAGE_COLUMNS = ["path", "label", "source", "category", "split", "digest"]
# which test pictures belong to which training set (section 4 of the paper)
TEST_SET = {"train": "test", "ldm": "synthbuster"}
TRAINING_SET = {"train": "progan", "ldm": "ldm"}  # as the published scores name them


@dataclass(frozen=True)
class Experiment:
    """What is trained on what: the columns that all runs of one training pass share.

    `features` is the folder of one encoder's feature sets; `classes` are the training classes (empty: all there are);
    `fraction` keeps that share of the training pictures: the same on every machine, smaller shares inside larger.
    """

    study: str
    features: Path
    training_set: str = "train"
    classes: tuple[str, ...] = ()
    fraction: float | None = None
    variant: str = ""


def experiment(
    what: Experiment, runs: Sequence[Run], params: Params, look_outs: Sequence[int], device: str
) -> Iterator[ImageScores]:
    """Train all runs in one pass; at each look-out (an epoch) score every validation and test picture with each."""
    _, held_out = training_pictures(what, params)
    test = Features.open(what.features / TEST_SET[what.training_set])
    for epoch, heads in fit(what, runs, params, look_outs, device):
        yield score(heads, run_table(what, runs, params, test.encoder_name, epoch), [held_out, test], device)


def fit(
    what: Experiment, runs: Sequence[Run], params: Params, look_outs: Sequence[int], device: str
) -> Iterator[tuple[int, list[Head]]]:
    """Train all runs in one pass over the tokens; yield the epoch and the heads at each look-out."""
    learn, _ = training_pictures(what, params)
    check_both_classes(learn, what)
    yield from train(learn, runs, params.training, params.lr, look_outs, device)


def training_pictures(what: Experiment, params: Params) -> tuple[Features, Features]:
    """The pictures that an experiment trains on, and the validation pictures of the same classes.

    Raises `ValueError` for a class that the feature set has no picture of.
    """
    both = Features.open(what.features / what.training_set)
    there = sorted(both.rows["category"].unique())
    if unknown := sorted(set(what.classes) - set(there)):
        raise ValueError(
            f"`settings` names {unknown}, of which {what.features / what.training_set} has no picture; "
            f"its classes are {there}"
        )
    mine = both.rows["category"].isin(what.classes) if what.classes else pd.Series(True, both.rows.index)
    learn = both.select((mine & (both.rows["split"] == "train")).to_numpy())
    if what.fraction is not None:
        learn = learn.select(_share(learn.rows["digest"], what.fraction, params.seeds[0]))
    return learn, both.select((mine & (both.rows["split"] == "val")).to_numpy())


def score(heads: Sequence[Head], runs: pd.DataFrame, sets: Sequence[Features], device: str) -> ImageScores:
    """Score every picture of the feature sets with each head; a picture with several crops gets their mean logit."""
    images, scores = [], []
    for features in sets:
        rows, values = mean_over_views(features.rows, logits(heads, features, device))
        images.append(rows[IMAGE_COLUMNS])
        scores.append(values)
    return ImageScores(runs, pd.concat(images, ignore_index=True), np.concatenate(scores, axis=1))


def run_table(what: Experiment, runs: Sequence[Run], params: Params, backbone: str, epochs: int) -> pd.DataFrame:
    """One row a run, in the columns of the published scores."""
    shared = {
        "study": what.study,
        "training_set": TRAINING_SET[what.training_set],
        "backbone": backbone,
        "n_classes": len(what.classes) or None,
        "classes": " ".join(sorted(what.classes)),
    }
    rest = {"epochs": epochs, "variant": what.variant, "fraction": what.fraction}
    rows = [
        shared
        | {"xi": run.xi, "q": run.q, "d": run.proj_dim, "batch_size": params.training.batch_size, "lr": params.lr}
        | rest
        | {"seed": run.seed}
        for run in runs
    ]
    table = pd.DataFrame(rows)
    table["n_classes"] = table["n_classes"].astype("Int64")
    return table


def check_both_classes(features: Features, what: Experiment) -> None:
    """Raise where there is nothing to learn: no training picture, or pictures of one label only."""
    counts = features.rows["label"].value_counts()
    if len(counts) < 2:
        raise ValueError(
            f"training needs real and synthetic pictures; {what.features / what.training_set} has "
            f"{counts.get(0, 0)} real and {counts.get(1, 0)} synthetic ones of {list(what.classes) or 'any class'}"
        )


def _share(digests: pd.Series, fraction: float, seed: int) -> np.ndarray:
    """Mask of the rows of that share of the pictures: shuffled once by the seed, then cut, as the reference does."""
    pictures = np.sort(digests.unique())  # sorted: the reference's folder order differs between machines
    order = np.random.default_rng(seed).permutation(len(pictures))
    kept = pictures[order[: int(len(pictures) * fraction)]]
    return digests.isin(kept).to_numpy()
