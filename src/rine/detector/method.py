"""A stored model, an imported one say, as one of a study's `detectors`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rine.detector import Detector
from rine.pixels.crops import CropRule, crops_of


def load(config: Any) -> Callable[[list[np.ndarray], CropRule], np.ndarray]:
    """Logits of pictures (H, W, 3) by the model file `config.target`, on the device that there is."""
    detector = Detector.load(config.target)
    size = detector.encoder.image_size

    def score(pictures: list[np.ndarray], crops: CropRule) -> np.ndarray:
        views = [crops_of(picture, crops, size) for picture in pictures]
        logits = detector.logits(np.concatenate(views))
        ends = np.cumsum([len(view) for view in views])
        return np.array([part.mean() for part in np.split(logits, ends[:-1])])

    return score
