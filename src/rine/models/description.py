"""What a model file says of a model that a study trained: the `meta` of `rine.models.checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from rine.features.sets import Sets
from rine.params import Params
from rine.scores.calibration import Calibration


def trained_meta(
    name: str,
    study: Params,
    sets: Sets,
    choice: Mapping[str, Any],
    run: Mapping[Any, Any],
    calibration: Calibration,
) -> dict[str, Any]:
    """`meta` of the model `name`: `sets` it was trained on, `choice` of `select`, `run`, its row of the run table."""
    encoder, augmented = sets.train.about["encoder"], sets.train.about["transforms"].get("augment", {})
    made_by = {key: encoder[key] for key in ("weights", "arithmetic", "library") if key in encoder}
    small = {"small": augmented["small"]} if "small" in augmented else {}
    return {
        "name": name,
        "encoder": study.encoders[study.encoder].entry() | made_by,
        "transform": {"crop": encoder["image_size"], **small},
        "training": {key: None if pd.isna(value) else value for key, value in run.items()},
        "classes": list(sets.classes),
        "pictures": int(sets.train.rows["digest"].nunique()),
        "sources": sorted(sets.train.rows.loc[sets.train.rows["label"] == 1, "source"].unique()),
        "profile": study.profile,
        "about": study.about,
        "choice": {key: choice[key] for key in ("rule", "words", "acc", "ap") if key in choice},
        "calibration": asdict(calibration),
    }
