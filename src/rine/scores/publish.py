"""Results as the stages leave them: a folder of scores, one table, and their means as DVC's metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.files import write_whole
from rine.scores.images import ImageScores
from rine.scores.summary import summarise
from rine.scores.table import write_scores


def publish(scores: Sequence[ImageScores], out: Path, test_sets: pd.DataFrame) -> pd.DataFrame:
    """Write the scores of runs over the same pictures as one folder, with its table.

    Returns the scores table (one row a run and generator).
    """
    stacked = stack(scores)
    stacked.write(out)
    table = summarise(stacked, test_sets)
    write_scores(table, out / "scores.csv")
    return table


def publish_settings(
    scores: Mapping[str, Sequence[ImageScores]], out: Path, metrics: Path, test_sets: pd.DataFrame
) -> pd.DataFrame:
    """Write the scores of several settings: a folder each, one table and one metrics file for all."""
    tables = {}
    for setting, parts in scores.items():
        stacked = stack(parts)
        stacked.write(out / setting)
        tables[setting] = summarise(stacked, test_sets)
    table = pd.concat(tables.values(), ignore_index=True)
    write_scores(table, out / "scores.csv")
    write_metrics({setting: headline(part) for setting, part in tables.items()}, metrics)
    return table


def publish_nothing(out: Path, metrics: Path, reason: str) -> str:
    """Leave what a stage leaves that has nothing to do in a study; returns the reason."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "none.txt").write_text(f"{reason}\n")
    write_metrics(headline(pd.DataFrame()), metrics)
    return f"{reason}: nothing to do"


def headline(table: pd.DataFrame) -> dict[str, Any]:
    """Means over generators: of all runs, and of the best run (highest accuracy + AP, the paper's rule)."""
    if table.empty:
        return {"runs": 0}
    keys = ["xi", "q", "d", "epochs", "fraction", "seed"]
    means = table.groupby(keys, dropna=False)[["acc", "ap"]].mean().reset_index(drop=True)
    best = means.iloc[int((means["acc"] + means["ap"]).argmax())]
    return {
        "runs": len(means),
        "mean": {"acc": round(means["acc"].mean(), 6), "ap": round(means["ap"].mean(), 6)},
        "best": {"acc": round(best["acc"], 6), "ap": round(best["ap"], 6)},
    }


def means_in_words(table: pd.DataFrame) -> str:
    """What a stage says of its scores table."""
    if table.empty:
        return "no test set has pictures of both classes"
    return f"mean accuracy {table['acc'].mean():.3f}, AP {table['ap'].mean():.3f}"


def write_metrics(values: dict[str, Any], path: Path) -> None:
    """Write a metrics file as DVC reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(values, indent=2) + "\n").encode())


def stack(parts: Sequence[ImageScores]) -> ImageScores:
    """Lay the runs of several passes over the same pictures below each other."""
    for part in parts[1:]:
        if not part.images.equals(parts[0].images):
            raise ValueError("runs can be stacked only over the same pictures in the same order")
    runs = pd.concat([part.runs for part in parts], ignore_index=True)
    return ImageScores(runs, parts[0].images, np.concatenate([part.logits for part in parts]))
