"""What a model file may say of itself: the schema of its `meta`, held when it is written and when it is read."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from rine.encoder.config import NAMES, EncoderConfig, of_entry
from rine.params_errors import explained
from rine.scores.calibration import Calibration

Scalar = StrictStr | StrictBool | StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)] | None


def _file_name(name: str) -> str:
    # `rine export` calls its file so
    if not name.isprintable() or "/" in name or "\\" in name or name.startswith("."):
        raise ValueError("a name without slashes and control characters, which does not begin with a dot, is allowed")
    return name


def _encoder(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        of_entry(entry)
    except ValidationError as error:
        raise ValueError("; ".join(explained(error.errors(), EncoderConfig))) from None
    beside = {key: value for key, value in entry.items() if key not in NAMES}
    if wrong := [key for key, value in beside.items() if not isinstance(value, str | None)]:
        raise ValueError(f"{', '.join(wrong)}: text is allowed")
    return entry


def _finite(calibration: Calibration) -> Calibration:
    values = asdict(calibration).items()
    if wrong := [key for key, value in values if isinstance(value, float) and not math.isfinite(value)]:
        raise ValueError(f"{', '.join(wrong)}: finite numbers are allowed")
    return calibration


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Pictures:
    """Of one class, on which a model was calibrated: where they lay, how many, the digest of theirs."""

    sources: tuple[str, ...]
    pictures: Annotated[int, Field(ge=0)]
    digest: str


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Calibrated:
    """On what, and when, `rine calibrate` has calibrated a model."""

    date: str
    crops: str
    real: Pictures | None = None
    synthetic: Pictures | None = None


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Meta:
    """The keys that `rine.models.checkpoint` names."""

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_file_name)]
    encoder: Annotated[dict[str, Any], AfterValidator(_encoder)]
    transform: dict[str, Scalar]
    training: dict[str, Scalar]
    classes: tuple[str, ...]
    pictures: Annotated[int, Field(ge=0)] | None = None
    sources: tuple[str, ...] = ()
    profile: str | None = None
    about: str | None = None
    choice: dict[str, Scalar] | None = None
    calibration: Annotated[Calibration, AfterValidator(_finite)] | None = None
    calibrated: Calibrated | None = None
    source: str | None = None
