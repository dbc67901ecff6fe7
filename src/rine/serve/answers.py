"""What the HTTP API answers, as data; openapi.json is made of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from rine import __version__
from rine.detector import Detector, Verdict
from rine.detector.origin import thresholds_of
from rine.models.card import trained_on
from rine.serve.settings import ServeSettings


class Predictions(BaseModel):
    """A row for each file, in the order in which they were sent: the columns of `rine predict`."""

    results: list[Verdict]


class Model(BaseModel):
    """The model in use, its card's figures, and the server's limits."""

    name: str
    version: str
    encoder: str
    device: str
    crop: int
    about: str
    classes: list[str]
    trained_on: str
    training: dict[str, Any]
    calibration: dict[str, Any]
    threshold: float | None
    thresholds: dict[str, float]
    limits: dict[str, float]


class Health(BaseModel):
    """Whether the server answers, how many pictures wait, and how many it has judged since it started."""

    status: str
    model: str
    waiting: int
    served: int


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


def describe(detector: Detector, settings: ServeSettings) -> Model:
    """What GET /model says."""
    meta = detector.meta
    about = str(meta.get("about") or "")
    # once is enough
    cautions = [words for words in detector.cautions if not ("random weights" in words and "random weights" in about)]
    return Model(
        name=detector.name,
        version=__version__,
        encoder=detector.encoder.config.name,
        device=detector.encoder.device,
        crop=detector.encoder.image_size,
        about=" ".join([about, *(f"Caution: {words}." for words in cautions)]).strip(),
        classes=list(meta["classes"]),
        trained_on=trained_on(meta),
        training=dict(meta["training"]),
        calibration=asdict(detector.calibration),
        threshold=detector.threshold,
        thresholds=thresholds_of(detector),
        limits=asdict(settings),
    )


def identity(detector: Detector, settings: ServeSettings) -> str:
    """By which a page sees that the server was started again with another model, or as another of the same name."""
    known = [describe(detector, settings).model_dump(), detector.meta]
    return hashlib.blake2b(json.dumps(known, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
