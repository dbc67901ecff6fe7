"""What stored models say of perturbed pictures: each kind among the untouched, and sweeps of growing strength."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rine.features import Features
from rine.features.table import places
from rine.heads import Head
from rine.heads.scoring import logits, mean_over_views
from rine.scores import IMAGE_COLUMNS, ImageScores


def score_perturbed(
    heads: Sequence[Head], runs: pd.DataFrame, test: Features, perturbed: Features, kinds: Sequence[str], device: str
) -> tuple[list[ImageScores], list[ImageScores]]:
    """Scores of all test pictures for each of `kinds`, and those of each sweep; `runs` has a row for each head.

    `perturbed` holds the pictures that were changed: its views are the kinds, and `name:strength` of the sweeps.
    """
    rows, plain = mean_over_views(test.rows, logits(heads, test, device))
    changed = logits(heads, perturbed, device)
    runs, images = runs.assign(study="perturb"), rows[IMAGE_COLUMNS]
    by_kind = [
        ImageScores(
            runs.assign(variant=f"perturb:{kind}"), images, replaced(plain, images, changed, perturbed.rows, kind)
        )
        for kind in kinds
    ]
    return by_kind, degraded(changed, perturbed.rows, runs)


def replaced(plain: np.ndarray, images: pd.DataFrame, changed: np.ndarray, rows: pd.DataFrame, kind: str) -> np.ndarray:
    """Logits (K, N) of the untouched pictures with those of the perturbed ones in their places.

    `changed` (K, M) belongs to `rows`, of which those whose view is `kind` count.
    """
    of_kind = np.flatnonzero((rows["view"] == kind).to_numpy())
    scores = plain.copy()
    scores[:, places(rows.iloc[of_kind], images)] = changed[:, of_kind]
    return scores


def degraded(changed: np.ndarray, rows: pd.DataFrame, runs: pd.DataFrame) -> list[ImageScores]:
    """Scores along the sweeps (views named `name:strength`), one for each, all on the same pictures."""
    parts = []
    for view in rows["view"].unique():
        if ":" in view:
            of_view = np.flatnonzero((rows["view"] == view).to_numpy())
            images = rows.iloc[of_view][IMAGE_COLUMNS].reset_index(drop=True)
            parts.append(ImageScores(runs.assign(variant=f"degrade:{view}"), images, changed[:, of_view]))
    return parts
