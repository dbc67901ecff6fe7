"""What a detector says of one picture, and a picture on its way to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What a detector says of one picture.

    `probability` is the calibrated one of being synthetic and `logit` the head's output, the mean over the crops.
    Of a picture that could not be read, `error` says why, and `verdict`, `probability` and `logit` are None: such a
    picture is neither real nor synthetic. `seconds` were spent on reading it and on its share of a batch.
    """

    path: str
    verdict: Literal["real", "synthetic", "inconclusive"] | None
    probability: float | None
    logit: float | None
    model: str
    crops: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Loaded:
    """One picture on its way: its crops (V, S, S, 3), or why there are none."""

    name: str
    crops: np.ndarray
    seconds: float
    error: str | None = None
