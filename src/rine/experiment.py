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
    `fraction` keeps that share of the training pictures, the same ones whatever the machine, smaller shares inside larger.
    """

    study: str
    features: Path
    training_set: str = "train"
    classes: tuple[str, ...] = ()
    fraction: float | None = None
    variant: str = ""


def experiment(
    what: Experiment, runs: Sequence[Run], params: Params, look_outs: Sequence[int], device: str
) -> Iterator[tuple[int, list[Head], ImageScores]]:
    """Train all runs in one pass; at each look-out (an epoch) yield it, the heads and the scores of every picture."""
    training = Features.open(what.features / what.training_set)
    mine = training.rows["category"].isin(what.classes) if what.classes else pd.Series(True, training.rows.index)
    learn = training.select((mine & (training.rows["split"] == "train")).to_numpy())
    held_out = training.select((mine & (training.rows["split"] == "val")).to_numpy())
    if what.fraction is not None:
        learn = learn.select(_share(learn.rows["digest"], what.fraction, params.seeds[0]))
    check_both_classes(learn, what)
    test = Features.open(what.features / TEST_SET[what.training_set])

    for epoch, heads in train(learn, runs, params.training, params.lr, look_outs, device):
        table = run_table(what, runs, params, learn.encoder_name, epoch)
        yield epoch, heads, score(heads, table, [held_out, test], device)


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


def publish(scores: Sequence[ImageScores], out: Path, metrics: Path, artifacts: Path) -> pd.DataFrame:
    """Write what one training pass gave at its look-outs: a scores folder, and its means as metrics.

    Returns the scores table (one row a run and generator).
    """
    stacked = stack(scores)
    stacked.write(out)
    table = summarise(stacked, pd.read_csv(artifacts / "index" / "test_sets.csv"))
    write_scores(table, out / "scores.csv")
    write_metrics(headline(table), metrics)
    return table


def publish_settings(
    scores: dict[str, Sequence[ImageScores]], out: Path, metrics: Path, artifacts: Path
) -> pd.DataFrame:
    """Write the scores of several settings: a folder each, one table and one metrics file for all."""
    tables = {}
    for setting, parts in scores.items():
        stacked = stack(parts)
        stacked.write(out / setting)
        tables[setting] = summarise(stacked, pd.read_csv(artifacts / "index" / "test_sets.csv"))
    table = pd.concat(tables.values(), ignore_index=True)
    write_scores(table, out / "scores.csv")
    write_metrics({setting: headline(part) for setting, part in tables.items()}, metrics)
    return table


def headline(table: pd.DataFrame) -> dict[str, Any]:
    """Means over generators: of all runs, and of the best run (highest accuracy + AP, the paper's rule)."""
    if table.empty:
        return {"runs": 0}
    keys = ["xi", "q", "d", "epochs", "fraction", "seed"]
    means = table.groupby(keys, dropna=False)[["acc", "ap"]].mean()
    best = means.loc[(means["acc"] + means["ap"]).idxmax()]
    return {
        "runs": len(means),
        "mean": {"acc": round(means["acc"].mean(), 6), "ap": round(means["ap"].mean(), 6)},
        "best": {"acc": round(best["acc"], 6), "ap": round(best["ap"], 6)},
    }


def write_metrics(values: dict[str, Any], path: Path) -> None:
    """Write a metrics file as DVC reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n")


def stack(parts: Sequence[ImageScores]) -> ImageScores:
    """Lay the runs of several passes over the same pictures below each other."""
    for part in parts[1:]:
        if not part.images.equals(parts[0].images):
            raise ValueError("runs can be stacked only over the same pictures in the same order")
    runs = pd.concat([part.runs for part in parts], ignore_index=True)
    return ImageScores(runs, parts[0].images, np.concatenate([part.logits for part in parts]))
