"""The sections of the params file that say what is done to pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from rine.values import STRICT, Count, Mode, Name, NonNegative, Probability, Quality, Real, Seed

Small = Literal["pad", "resize"]


@dataclass(frozen=True, config=STRICT)
class AlignConfig:
    """Make both classes alike before encoding: the same shorter side, then the same JPEG quality."""

    jpeg_quality: Quality | None
    size: Count | None


@dataclass(frozen=True, config=STRICT)
class AugmentationConfig:
    """The training augmentation: `views` draws of it for every training picture, which `seed` decides."""

    mode: Mode
    views: Count
    blur_p: Probability
    blur_sigma: tuple[NonNegative, NonNegative]
    jpeg_p: Probability
    jpeg_quality: tuple[Quality, Quality]
    seed: Seed

    @model_validator(mode="after")
    def _ordered(self) -> AugmentationConfig:
        for key in ("blur_sigma", "jpeg_quality"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key} is [lowest, highest], got [{low}, {high}]")
        return self


@dataclass(frozen=True, config=STRICT)
class DegradeConfig:
    """Sweeps of `rine.pixels.degradations.DEGRADATIONS`: name -> strengths; `pictures` of each source and class."""

    pictures: Count
    strengths: dict[Name, tuple[Real, ...]]


@dataclass(frozen=True, config=STRICT)
class PerturbConfig:
    """Kinds of `rine.pixels.perturbations.PERTURBATIONS`; `seed` decides which pictures, and how strongly."""

    mode: Mode
    kinds: tuple[Name, ...]
    seed: Seed
    degrade: DegradeConfig | None
