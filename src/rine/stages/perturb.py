"""Score the stored models on perturbed test pictures, and along sweeps of growing strength."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rine.device import choose
from rine.features import Features
from rine.features.table import PICTURE
from rine.heads.scoring import logits
from rine.models.loaded import stored
from rine.params import Params
from rine.paths import Paths
from rine.scores import IMAGE_COLUMNS, ImageScores
from rine.scores.publish import headline, publish, publish_nothing, write_metrics
from rine.scores.test_sets import read_test_sets

TRACKED = ("encoder", "best.models", "perturb")


def run(study: Params, paths: Paths) -> str:
    """Write artifacts/perturb/ (each kind on all test pictures, half of them touched) and its degrade/."""
    if study.perturb is None:
        return publish_nothing(paths.perturb(), paths.metric("perturb"), "perturb is null")
    device = choose(study.runtime.device)
    on_train = [model for model, training_set in study.best.models.items() if training_set == "train"]
    test, touched = (Features.open(paths.features(study.encoder, name)) for name in ("test", "perturb"))
    heads, runs = stored([paths.best(model) for model in on_train], test.about["encoder"])
    plain, changed = logits(heads, test, device), logits(heads, touched, device)

    runs = runs.assign(study="perturb")
    images = test.rows[IMAGE_COLUMNS].reset_index(drop=True)
    parts = []
    for kind in study.perturb.kinds:
        scores = replaced(plain, images, changed, touched.rows, kind)
        parts.append(ImageScores(runs.assign(variant=f"perturb:{kind}"), images, scores))
    test_sets = read_test_sets(paths.index("test_sets"))
    table = publish(parts, paths.perturb(), test_sets)
    by_kind = {str(kind): headline(part) for kind, part in table.groupby("variant", sort=False)}
    write_metrics(by_kind, paths.metric("perturb"))

    sweeps = degraded(changed, touched.rows, runs)
    if sweeps:
        publish(sweeps, paths.perturb() / "degrade", test_sets)
    return f"{len(heads)} models under {', '.join(study.perturb.kinds)} ({study.perturb.mode} mode)"


def replaced(plain: np.ndarray, images: pd.DataFrame, changed: np.ndarray, rows: pd.DataFrame, kind: str) -> np.ndarray:
    """Logits (K, N) of the untouched pictures with those of the perturbed ones in their places.

    `changed` (K, M) belongs to `rows`, of which those whose view is `kind` count.
    """
    place = pd.Series(range(len(images)), index=pd.MultiIndex.from_frame(images[list(PICTURE)]))
    of_kind = np.flatnonzero((rows["view"] == kind).to_numpy())
    at = place.loc[pd.MultiIndex.from_frame(rows.iloc[of_kind][list(PICTURE)])].to_numpy()
    scores = plain.copy()
    scores[:, at] = changed[:, of_kind]
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
