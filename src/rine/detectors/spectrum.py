"""A detector without weights: the radial power spectrum of a picture, and a linear classifier of training pictures.

What up-sampling layers leave lies in high frequencies (Durall, Keuper and Keuper, CVPR 2020, classify the azimuthal
mean of the power spectrum by a linear model). A detector that does not beat it has learnt little else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rine.detectors.config import DetectorConfig
from rine.detectors.method import Answer, Answers, DetectorError, Shown
from rine.detectors.pictures import Pictures
from rine.pixels.pictures import UnreadablePicture, open_rgb

SIDE = 224  # pixels of the crop in the middle, as the paper's heads see
BINS = 64  # of the radius, from 0 to the corner of the spectrum
MOST = 4000  # training pictures of a class, by digest
_GREY = np.array([0.299, 0.587, 0.114])
_LEAST = 1e-6  # power of what is flat


class Spectrum:
    """Trained when it is made, on the training pictures `learn` as they are. Raises `DetectorError` for one class."""

    def __init__(self, config: DetectorConfig, pictures: Pictures, learn: pd.DataFrame) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._max_pixels = pictures.max_pixels
        facts, labels = [], []
        with tempfile.TemporaryDirectory(prefix="rine-") as folder:
            rows = learn.sort_values("digest").groupby("label").head(MOST).assign(view="", crops="centre")
            for _, row in rows.iterrows():
                shown = pictures.show(row.to_dict(), Path(folder))  # type: ignore[arg-type]  # its keys are columns
                spectrum = shown if isinstance(shown, str) else self._spectrum(shown)
                if not isinstance(spectrum, str):
                    facts.append(spectrum)
                    labels.append(row["label"])
        if len(set(labels)) < 2:
            raise DetectorError(f"{len(labels)} training pictures of one class; it needs real and synthetic ones")
        self._model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(np.stack(facts), labels)

    def asks(self, view: str) -> bool:
        return True

    def score(self, pictures: Sequence[Shown]) -> Answers:
        return Answers({number: self._answer(self._spectrum(shown)) for number, shown in enumerate(pictures)})

    def close(self) -> None:
        pass

    def _answer(self, spectrum: np.ndarray | str) -> Answer:
        return spectrum if isinstance(spectrum, str) else float(self._model.decision_function(spectrum[None])[0])

    def _spectrum(self, shown: Shown) -> np.ndarray | str:
        try:
            return radial_spectrum(open_rgb(shown.file, self._max_pixels))
        except UnreadablePicture as error:
            return error.reason


def radial_spectrum(image: np.ndarray) -> np.ndarray:
    """Log power (BINS,) by distance from the middle of the spectrum, less its mean: of contrast it knows nothing.

    `image` is (H, W, 3); of a large one the middle counts. A radius that a small picture lacks is interpolated.
    """
    top, left = (max((size - SIDE) // 2, 0) for size in image.shape[:2])
    grey = image[top : top + SIDE, left : left + SIDE] @ _GREY  # (h, w)
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in grey.shape))  # no edges of the crop among frequencies
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1])[None])
    place = np.minimum((radius / np.sqrt(0.5) * BINS).astype(int), BINS - 1).ravel()
    n = np.bincount(place, minlength=BINS)
    mean = np.bincount(place, power.ravel(), BINS) / np.maximum(n, 1)
    logs = np.interp(np.arange(BINS), np.flatnonzero(n), np.log(mean[n > 0] + _LEAST))
    return logs - logs.mean()
