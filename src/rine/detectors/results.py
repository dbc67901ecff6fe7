"""A detector's answers as the folders of scores that the study's own models leave, and the list of what it left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.detectors.config import DetectorConfig
from rine.detectors.method import Answer
from rine.detectors.scoring import logits_of
from rine.features.table import PICTURE
from rine.scores import IMAGE_COLUMNS, ImageScores, summarise, write_scores
from rine.scores.calibration import fit
from rine.scores.publish import headline
from rine.scores.test_sets import with_both_classes

_NO_HEAD = ("n_classes", "classes", "xi", "q", "d", "batch_size", "lr", "epochs", "fraction", "seed")


def write(
    name: str, config: DetectorConfig, rows: pd.DataFrame, answers: Sequence[Answer], test_sets: pd.DataFrame, out: Path
) -> dict[str, Any]:
    """Write scores, `perturb/`, `degrade/`, faults.csv and detector.json; return what a metrics file says of it.

    `rows` is what was asked. Unbounded scores become logits by the calibration on validation pictures; where that
    cannot be fitted they stay as they are, and there is no table of accuracies, since nothing says where 0 lies.
    """
    out.mkdir(parents=True, exist_ok=True)
    scored = np.array([isinstance(answer, float) for answer in answers], dtype=bool)
    scores = np.array([answer if isinstance(answer, float) else np.nan for answer in answers], dtype=np.float64)
    reasons = [answer for answer in answers if isinstance(answer, str)]
    faults = rows.loc[~scored, ["path", "source", "label", "view"]].assign(reason=reasons)
    faults.to_csv(out / "faults.csv", index=False, lineterminator="\n")

    logits, no_threshold = _as_logits(rows, scores, config.gives or "logit")
    plain = (rows["view"] == "").to_numpy()
    whole = _folder(name, config, rows[plain & scored], {"": logits[plain & scored]})
    whole.write(out)
    table = pd.DataFrame()
    if not no_threshold:
        table = summarise(whole, with_both_classes(whole.images, test_sets))
        write_scores(table, out / "scores.csv")
    for folder, images, views in _views(rows, logits):
        _folder(name, config, images, views).write(out / folder)
    about = {"kind": config.kind, "gives": config.gives or "logit", "no_threshold": no_threshold}
    (out / "detector.json").write_text(json.dumps(about, indent=2) + "\n")
    test = plain & (rows["split"] == "test").to_numpy()
    counts = {"test_pictures": int(test.sum()), "scored": int((test & scored).sum()), "left_out": len(faults)}
    return counts | {key: value for key, value in headline(table).items() if key == "mean"}


def _as_logits(rows: pd.DataFrame, scores: np.ndarray, gives: str) -> tuple[np.ndarray, str]:
    """Logits (N,) of scores (N,), NaN where there are none; and why nothing says which of them is above 0."""
    if gives != "unbounded":
        return logits_of(scores, gives), ""
    val = ((rows["split"] == "val") & (rows["view"] == "")).to_numpy() & np.isfinite(scores)
    fitted = fit(rows["label"].to_numpy()[val], scores[val])
    if not fitted.fitted:
        return scores, f"unbounded scores, and no threshold from validation pictures: {fitted.reason}"
    return fitted.scale * scores + fitted.bias, ""


def _views(rows: pd.DataFrame, logits: np.ndarray) -> list[tuple[str, pd.DataFrame, dict[str, np.ndarray]]]:
    """Folder, pictures, and logits by variant: `perturb` (all test pictures, some of them changed) and `degrade`.

    A picture that is not scored in one of the views is in none: runs of a folder have the same pictures.
    """
    place = pd.MultiIndex.from_frame(rows[list(PICTURE)])
    test = ((rows["table"] == "test") & (rows["view"] == "")).to_numpy()
    parts = []
    for family in ("perturb", "degrade"):
        views = [view for view in rows["view"].unique() if view.startswith(f"{family}:")]
        changed = {view: pd.Series(logits, place)[(rows["view"] == view).to_numpy()] for view in views}
        if not views:
            continue
        # a degraded picture is there in every strength; a perturbed one stands among the untouched
        pictures = test if family == "perturb" else test & place.isin(changed[views[0]].index)
        values = {}
        for view, some in changed.items():
            values[view] = pd.Series(logits[pictures], place[pictures])
            values[view].loc[some.index] = some
        whole = np.all([np.isfinite(value.to_numpy()) for value in values.values()], axis=0)
        if whole.any():
            kept = {view: value.to_numpy()[whole] for view, value in values.items()}
            parts.append((family, rows[pictures][whole], kept))
    return parts


def _folder(name: str, config: DetectorConfig, images: pd.DataFrame, logits: dict[str, np.ndarray]) -> ImageScores:
    """Runs by variant on the same pictures."""
    shared: dict[str, object] = {"study": "detect", "training_set": name, "backbone": config.kind}
    runs = pd.DataFrame([shared | dict.fromkeys(_NO_HEAD) | {"variant": variant} for variant in logits])
    runs = runs.assign(classes="")
    return ImageScores(runs, images[IMAGE_COLUMNS].reset_index(drop=True), np.stack(list(logits.values())))
