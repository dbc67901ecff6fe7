"""What a piece of evidence is of and how far it goes: it travels without the program that made it."""

from __future__ import annotations

import datetime
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rine import __version__
from rine.models.card import trained_on
from rine.scores.calibration import probability

if TYPE_CHECKING:
    from rine.detector import Detector

ALWAYS = (
    "a verdict is a hint, not proof: generators that the model has not met, edits, screenshots and strong compression "
    "can turn it round in either direction"
)


@dataclass(frozen=True)
class Origin:
    """Whose evidence it is. `sha256` is that of the file, None for pixels that came without one; `date` is UTC.

    `thresholds` are probabilities: `synthetic` above the one, `real` up to the other; empty where there are none.
    """

    sha256: str | None
    date: str
    version: str
    encoder: str
    trained_on: str
    thresholds: dict[str, float]
    cautions: list[str]


def origin_of(detector: Detector, sha256: str | None) -> Origin:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return Origin(
        sha256,
        now.strftime("%Y-%m-%d %H:%M UTC"),
        __version__,
        detector.encoder.config.name,
        trained_on(detector.meta),
        thresholds_of(detector),
        [*detector.cautions, ALWAYS],
    )


def thresholds_of(detector: Detector) -> dict[str, float]:
    """The probabilities at which verdicts begin."""
    calibration = detector.calibration
    if detector.threshold is not None:
        return {"synthetic": detector.threshold, "real": detector.threshold}
    if calibration.threshold_fpr1 is None or calibration.threshold_fpr5 is None:
        return {}
    high, low = probability(calibration, np.array([calibration.threshold_fpr1, calibration.threshold_fpr5])).tolist()
    found = {"synthetic": max(high, 0.5)}
    return found if calibration.alarms_only else found | {"real": min(low, 0.5)}


def digest_of(picture: Any) -> str | None:
    """SHA-256 of a file, which anyone can compute; None for what is no file."""
    if isinstance(picture, bytes):
        return hashlib.sha256(picture).hexdigest()
    if isinstance(picture, str | os.PathLike) and Path(picture).is_file():
        with Path(picture).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return None
