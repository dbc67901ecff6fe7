"""The shortcut baseline: how well the two classes are separated by facts about their files alone, without any pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from rine.pixels.config import AlignConfig

# The facts as findings name them. Of facts that separate the classes equally well, the first is named.
FACTS = {
    "format": "format",
    "mode": "colour mode",
    "jpeg_quality": "JPEG quality",
    "jpeg_standard": "JPEG tables of another encoder",
    "exif": "EXIF",
    "width": "width",
    "height": "height",
    "aspect": "aspect ratio",
    "bytes_per_pixel": "file size per pixel",
}
LOOKED_AT = ("format", "mode", "jpeg_quality", "jpeg_standard", "exif", "width", "height")  # columns
# Pictures: of fewer no average precision, calibration or curve is made. `rine.scores.calibration` has the number too,
# which `prepare` must not depend on; a test holds that they are equal.
FEWEST = 10
MOST = 5_000  # pictures of a class that are looked at, chosen by digest
FOLDS = 5


def fact_columns(rows: pd.DataFrame, file_size: bool) -> pd.DataFrame:
    """Facts of files as numbers, one row a file; `format` and `mode` become columns `name=value`.

    `file_size` adds the bytes a pixel. It is kept apart: how well pixels compress follows from the pixels
    themselves, so it may be a generator's own trace and not how the data set was put together.
    """
    columns = {
        f"{name}={value}": rows[name] == value for name in ("format", "mode") for value in sorted(rows[name].unique())
    }
    columns |= {
        "jpeg_quality": pd.to_numeric(rows["jpeg_quality"]).fillna(0),  # 0 for no JPEG: trees only compare
        "jpeg_standard": rows["jpeg_standard"].map({True: 1, False: -1}).fillna(0),
        "exif": rows["exif"],
        "width": rows["width"],
        "height": rows["height"],
        "aspect": rows["width"] / rows["height"],
    }
    if file_size:
        columns["bytes_per_pixel"] = rows["bytes"] / (rows["width"] * rows["height"])
    return pd.DataFrame(columns).astype(float)


def aligned(rows: pd.DataFrame, align: AlignConfig) -> pd.DataFrame:
    """The facts that are left when `rine.pixels.perturbations.align` has made the classes alike, but for file size.

    Without a JPEG quality the traces of the former coding stay in the pixels, and so its facts stay here.
    """
    if align.size is not None:
        rows = rows.assign(width=align.size, height=align.size)
    if align.jpeg_quality is not None:
        rows = rows.assign(format="JPEG", mode="RGB", jpeg_quality=align.jpeg_quality, jpeg_standard=True, exif=False)
    return rows


def why_not(label: np.ndarray) -> str:
    """Why the baseline cannot be had for these labels; "" where it can."""
    if len(label) < FEWEST:
        return f"{len(label)} pictures, fewer than {FEWEST}"
    n_real, n_fake = int((label == 0).sum()), int((label == 1).sum())
    if min(n_real, n_fake) == 0:
        return "one class only"
    return "" if min(n_real, n_fake) > 1 else "one picture of a class"


def looked_at(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the baseline uses: all, or `MOST` of a class; the same ones whatever their order."""
    return rows.sort_values(["digest", "path"], kind="stable").groupby("label").head(MOST)


def average_precision(rows: pd.DataFrame, file_size: bool = False) -> tuple[float, str]:
    """Cross-validated AP of gradient-boosted trees on the file facts, and the fact that separates the classes best.

    Chance is the share of fakes; files that do not differ score exactly that. Call it on what `looked_at`
    gives, where `why_not` says "".
    """
    label = rows["label"].to_numpy()
    facts = fact_columns(rows, file_size)
    facts = facts.loc[:, facts.nunique() > 1]
    if facts.empty:
        return float(label.mean()), ""
    return _cross_validated(facts.to_numpy(), label), _strongest(facts, label)


def trained(learn: pd.DataFrame, align: AlignConfig | None) -> Callable[[pd.DataFrame], np.ndarray]:
    """Gives log-odds (N,) that files are synthetic, by the facts of training files: what a detector has to beat.

    With `align` by those that are left. Zero for all where training files of one class are too few. Call it on what
    `looked_at` gives.
    """
    label = learn["label"].to_numpy()
    if why_not(label):
        return lambda rows: np.zeros(len(rows))

    def facts_of(rows: pd.DataFrame) -> pd.DataFrame:
        return fact_columns(rows if align is None else aligned(rows, align), file_size=False)

    facts = facts_of(learn)
    with _one_thread():
        trees = _trees(len(label)).fit(facts.to_numpy(), label)

    def score(rows: pd.DataFrame) -> np.ndarray:
        # a format that no training file has is none of the trees'
        columns = facts_of(rows).reindex(columns=facts.columns, fill_value=0.0)
        with _one_thread():
            return trees.decision_function(columns.to_numpy())

    return score


def _trees(n: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=8,
        min_samples_leaf=min(max(n // 20, 2), 20),
        early_stopping=False,
        # folds differ by a picture in their share of fakes: unbalanced, that alone would order the scores
        class_weight="balanced",
        random_state=0,
    )


def _one_thread() -> Any:
    from threadpoolctl import threadpool_limits

    # on cores that others use too, OpenMP's threads wait for each other a hundred times longer
    return threadpool_limits(1)


def _cross_validated(facts: np.ndarray, label: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(min(FOLDS, int(np.bincount(label).min())), shuffle=True, random_state=0)
    with _one_thread():
        scores = cross_val_predict(_trees(len(label)), facts, label, cv=folds, method="predict_proba")[:, 1]
    return float(average_precision_score(label, scores))


def _strongest(facts: pd.DataFrame, label: np.ndarray) -> str:
    """The fact that orders the classes best on its own, by ROC AUC either way round."""
    from sklearn.metrics import roc_auc_score

    strength = {name: abs(roc_auc_score(label, facts[name]) - 0.5) for name in map(str, facts)}
    name, _, value = max(strength, key=lambda key: round(strength[key], 6)).partition("=")
    return f"{FACTS[name]} {value}".strip()
