"""Baselines on the cached tokens that the heads are trained on: two linear probes and the nearest neighbour.

After UniversalFakeDetect (Ojha, Li and Lee, CVPR 2023), which classifies in the space of the encoder's last
block by a linear layer, or by whether the nearest training picture is a real or a synthetic one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from rine.features import Features, table
from rine.features.sets import Sets
from rine.heads.scoring import mean_over_views
from rine.heads.tokens import TokenSet, rows_by_picture
from rine.scores import IMAGE_COLUMNS, ImageScores

MOST = 20_000  # training pictures: scikit-learn wants the tokens of all of them in memory, as float32
_ITERATIONS = 1000  # at most, of the linear probes' solver
_ROWS_PER_BATCH = 2048


def baseline_scores(sets: Sets, test: Features, seed: int) -> Sequence[ImageScores]:
    """A run for each baseline, trained on `sets` and scored on its validation pictures, which calibrate it, and `test`.

    None where there is only one class to learn.
    """
    if sets.train.rows["label"].nunique() < 2:
        return []
    logits = scores(sets.train, sets.val, test)  # name -> (N,)
    none: dict[str, object] = dict.fromkeys(("xi", "q", "d", "batch_size", "lr", "epochs", "fraction"))
    shared: dict[str, object] = {"study": "validate", "training_set": "progan", "backbone": test.encoder_name}
    shared |= {"n_classes": len(sets.classes), "classes": " ".join(sorted(sets.classes))}
    runs = pd.DataFrame([shared | none | {"variant": f"baseline:{name}", "seed": seed} for name in logits])
    rows = table.joined(part.rows[IMAGE_COLUMNS] for part in (sets.val, test))
    rows, means = mean_over_views(rows, np.stack(list(logits.values())))
    return [ImageScores(runs, rows, means)]


def scores(learn: TokenSet, *tests: TokenSet) -> dict[str, np.ndarray]:
    """Train each baseline on `learn`, its first view of each picture, and score every row of `tests`, in their order.

    Returns name -> scores (N,) float32, above 0 is synthetic: `linear_last` and `linear_all` (log-odds of a
    logistic regression on the last block's token, on all blocks' tokens), `nearest` (cosine similarity of the
    last block's token to the nearest synthetic training picture, less that to the nearest real one).
    """
    rows = rows_by_picture(learn.rows)[:MOST, 0]  # sorted by digest: which are kept does not depend on the table
    labels = learn.rows["label"].to_numpy()[rows]
    if len(np.unique(labels)) < 2:
        raise ValueError(f"baselines need real and synthetic pictures; all {len(rows)} have label {labels[:1]}")
    tokens = _tokens(learn, rows)  # (N, L, D)
    all_, last = _probe().fit(tokens.reshape(len(rows), -1), labels), _probe().fit(tokens[:, -1], labels)
    real, fake = (NearestNeighbors(n_neighbors=1, metric="cosine").fit(tokens[labels == c, -1]) for c in (0, 1))

    scored: dict[str, list[np.ndarray]] = {"linear_last": [], "linear_all": [], "nearest": []}
    starts = [(test, start) for test in tests for start in range(0, len(test.rows), _ROWS_PER_BATCH)]
    for test, start in starts:
        part = _tokens(test, np.arange(start, min(start + _ROWS_PER_BATCH, len(test.rows))))
        scored["linear_last"].append(last.decision_function(part[:, -1]))
        scored["linear_all"].append(all_.decision_function(part.reshape(len(part), -1)))
        distances = [bank.kneighbors(part[:, -1])[0][:, 0] for bank in (real, fake)]
        scored["nearest"].append(distances[0] - distances[1])
    empty = [np.empty(0)]
    return {name: np.concatenate(parts or empty).astype(np.float32) for name, parts in scored.items()}


def _probe() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS))


def _tokens(features: TokenSet, rows: np.ndarray) -> np.ndarray:
    return features.tokens(rows).float().numpy()
