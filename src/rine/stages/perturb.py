"""Score the stored models on perturbed test pictures, and along sweeps of growing strength."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rine.device import choose
from rine.features import Features
from rine.models.loaded import stored
from rine.params import Params
from rine.scores import ImageScores, summarise, write_scores
from rine.scores.publish import headline, publish, write_metrics
from rine.training import logits
from rine.training.experiment import IMAGE_COLUMNS


def perturb(params: Params, artifacts: Path, metrics: Path) -> str:
    """Write artifacts/perturb/ (each kind on all test pictures, half of them touched) and its degrade/."""
    device, features = choose(params.runtime.device), artifacts / "features" / params.encoder
    heads, runs = stored(artifacts / "best", params.best.models, "train")
    test, touched = Features.open(features / "test"), Features.open(features / "perturb")
    plain, changed = logits(heads, test, device), logits(heads, touched, device)

    runs = runs.assign(study="perturb")
    images = test.rows[IMAGE_COLUMNS].reset_index(drop=True)
    parts = []
    for kind in params.perturb.kinds:
        scores = replaced(plain, images, changed, touched.rows, kind)
        parts.append(ImageScores(runs.assign(variant=f"perturb:{kind}"), images, scores))
    table = publish(parts, artifacts / "perturb", metrics / "perturb.json", artifacts)
    by_kind = {str(kind): headline(part) for kind, part in table.groupby("variant", sort=False)}
    write_metrics(by_kind, metrics / "perturb.json")

    sweeps = degraded(changed, touched.rows, runs)
    if sweeps is not None:
        out = artifacts / "perturb" / "degrade"
        sweeps.write(out)
        test_sets = pd.read_csv(artifacts / "index" / "test_sets.csv")
        write_scores(summarise(sweeps, test_sets), out / "scores.csv")
    return f"{len(heads)} models under {', '.join(params.perturb.kinds)} ({params.perturb.mode} mode)"


def replaced(plain: np.ndarray, images: pd.DataFrame, changed: np.ndarray, rows: pd.DataFrame, kind: str) -> np.ndarray:
    """Logits (K, N) of the untouched pictures with those of the perturbed ones in their places.

    `changed` (K, M) belongs to `rows`, of which those whose view is `kind` count.
    """
    place = pd.Series(range(len(images)), index=pd.MultiIndex.from_frame(images[["source", "label", "path"]]))
    mine = np.flatnonzero((rows["view"] == kind).to_numpy())
    at = place.loc[pd.MultiIndex.from_frame(rows.iloc[mine][["source", "label", "path"]])].to_numpy()
    scores = plain.copy()
    scores[:, at] = changed[:, mine]
    return scores


def degraded(changed: np.ndarray, rows: pd.DataFrame, runs: pd.DataFrame) -> ImageScores | None:
    """Scores along the sweeps (views named `name:strength`), all on the same pictures; None where there are none."""
    views = [view for view in rows["view"].unique() if ":" in view]
    parts, images = [], None
    for view in views:
        mine = np.flatnonzero((rows["view"] == view).to_numpy())
        images = rows.iloc[mine][IMAGE_COLUMNS].reset_index(drop=True)
        parts.append(ImageScores(runs.assign(variant=f"degrade:{view}"), images, changed[:, mine]))
    if not parts:
        return None
    table = pd.concat([part.runs for part in parts], ignore_index=True)
    return ImageScores(table, parts[0].images, np.concatenate([part.logits for part in parts]))
