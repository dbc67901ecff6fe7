"""One experiment of the study: train heads on cached tokens, score every validation and test picture with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from rine.features.sets import Sets
from rine.heads import Head
from rine.heads.scoring import block_shares, score
from rine.params import Params
from rine.scores import ImageScores
from rine.training.members import Run
from rine.training.together import train

TRAINING_SET = {"train": "progan", "ldm": "ldm"}  # as the published scores name them


def experiment(
    name: str,
    sets: Sets,
    runs: Sequence[Run],
    params: Params,
    eval_epochs: Sequence[int],
    device: str,
    variant: str = "",
    masks: Mapping[str, np.ndarray] | None = None,
) -> Iterator[ImageScores]:
    """Train all runs in one pass; after each of `eval_epochs` score every validation and test picture with each.

    `name` is the column `study` of the scores, `variant` that of an ablation; of a run with `rows`, a name in `masks`,
    it is that name.
    """
    for epoch, heads in fit(sets, runs, params, eval_epochs, device, masks):
        yield score(heads, run_table(name, sets, runs, params, epoch, variant), sets.scored, device)


def fit(
    sets: Sets,
    runs: Sequence[Run],
    params: Params,
    eval_epochs: Sequence[int],
    device: str,
    masks: Mapping[str, np.ndarray] | None = None,
) -> Iterator[tuple[int, list[Head]]]:
    """Train all runs in one pass over the tokens; yield the epoch and the heads after each of `eval_epochs`.

    Raises `ValueError` where there is nothing to learn: no training picture, or pictures of one label only.
    """
    counts = sets.train.rows["label"].value_counts()
    if len(counts) < 2:
        raise ValueError(
            f"training needs real and synthetic pictures; {sets.folder / sets.training_set} has "
            f"{counts.get(0, 0)} real and {counts.get(1, 0)} synthetic ones of {list(sets.classes) or 'any class'}"
        )
    yield from train(sets.train, runs, params.training, params.lr, eval_epochs, device, masks=masks)


def run_table(
    name: str, sets: Sets, runs: Sequence[Run], params: Params, epochs: int, variant: str = ""
) -> pd.DataFrame:
    """One row a run, in the columns of the published scores."""
    shared = {
        "study": name,
        "training_set": TRAINING_SET[sets.training_set],
        "backbone": sets.train.encoder_name,
        "n_classes": len(sets.classes) or None,
        "classes": " ".join(sorted(sets.classes)),
    }
    rows = [
        shared
        | {"xi": run.xi, "q": run.q, "d": run.proj_dim, "batch_size": params.training.batch_size, "lr": params.lr}
        | {"epochs": epochs, "variant": run.rows or variant, "fraction": sets.fraction, "seed": run.seed}
        for run in runs
    ]
    table = pd.DataFrame(rows)
    table["n_classes"] = table["n_classes"].astype("Int64")
    return table


def importance(runs: Sequence[Run], heads: Sequence[Head], blocks: list[int] | None) -> pd.DataFrame:
    """How each run's head weighs the blocks: `block_shares` of all of them, with xi, q, proj_dim and seed."""
    parts = [
        block_shares(head, blocks).assign(xi=run.xi, q=run.q, proj_dim=run.proj_dim, seed=run.seed)
        for run, head in zip(runs, heads, strict=True)
    ]
    return pd.concat(parts)[["xi", "q", "proj_dim", "seed", "block", "share"]]
