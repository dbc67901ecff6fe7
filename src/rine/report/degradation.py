"""How detection fades as pictures are degraded more and more."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rine.pixels.perturbations import STRENGTHS
from rine.report.study import Study
from rine.scores import ImageScores, TestSet, test_sets_of

COLUMNS = ["setting", "kind", "strength", "auc", "tpr"]


def degradation(study: Study) -> pd.DataFrame:
    """AUC and TPR at the fixed threshold by setting, degradation and strength: means over generators, first seed.

    The threshold is the one that `best` fitted for 5 % false alarms on validation pictures; where there is none, 0. The
    first row of a kind, strength "none", is the same pictures untouched.
    """
    rows = []
    for setting, scores in study.degraded.items():
        fitted = study.calibrations.get(setting)
        threshold = fitted.threshold_fpr5 if fitted and fitted.threshold_fpr5 is not None else 0.0
        sets = test_sets_of(scores.images, study.home_sets(setting))
        clean = _untouched(scores, study.models.get(setting))
        for kind, runs in _sweeps(scores).items():
            lines = [("none", clean)] if clean is not None else []
            lines += [(strength, scores.logits[run]) for strength, run in runs]
            rows += [(setting, _words(kind), s, *_means(sets, line, threshold)) for s, line in lines]
    return pd.DataFrame(rows, columns=COLUMNS)


def _sweeps(scores: ImageScores) -> dict[str, list[tuple[str, int]]]:
    """Degradation -> (strength, first run with it), from variants such as `degrade:jpeg:50`."""
    sweeps: dict[str, dict[str, int]] = {}
    for run, variant in enumerate(scores.runs["variant"]):
        _, kind, strength = variant.split(":")
        sweeps.setdefault(kind, {}).setdefault(strength, run)
    return {kind: list(found.items()) for kind, found in sweeps.items()}


def _untouched(scores: ImageScores, model: ImageScores | None) -> np.ndarray | None:
    """The first seed's logits of the same pictures, untouched; None where they are not all there."""
    if model is None:
        return None
    key = ["source", "label", "path"]
    place = pd.Series(range(len(model.images)), pd.MultiIndex.from_frame(model.images[key]))
    at = place.reindex(pd.MultiIndex.from_frame(scores.images[key]))
    return None if at.isna().any() else model.logits[0, at.to_numpy().astype(int)]


def _means(sets: list[TestSet], logits: np.ndarray, threshold: float) -> tuple[float, float]:
    """AUC and TPR, means over the test sets."""
    from sklearn.metrics import roc_auc_score

    if not sets:
        return float("nan"), float("nan")
    auc = [roc_auc_score(each.labels, logits[each.rows]) for each in sets]
    tpr = [np.mean(logits[each.rows][each.labels] > threshold) for each in sets]
    return float(np.mean(auc)), float(np.mean(tpr))


def _words(kind: str) -> str:
    """What the strength of a degradation is called."""
    return STRENGTHS[kind][0] if kind in STRENGTHS else kind
