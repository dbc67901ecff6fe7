"""The table of means: every run on every test set."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rine.scores.images import ImageScores, with_validation
from rine.scores.of_runs import accuracy_of_runs, average_precision_of_runs
from rine.scores.table import COLUMNS
from rine.scores.test_sets import test_sets_of


def summarise(scores: ImageScores, test_sets: pd.DataFrame) -> pd.DataFrame:
    """The scores table: accuracy at 0.5 and average precision of every run on each test set with pictures.

    `test_sets` has the columns generator, family, real, fake; raises as `test_sets_of`.
    """
    runs = with_validation(scores)
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
