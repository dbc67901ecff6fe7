"""Sweeps: what happens to pictures on their way through the web, stronger and stronger.

Pictures are uint8 RGB (H, W, 3). A degradation is one record in `DEGRADATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from rine.pixels.perturbations import eight_bits, inner, resized
from rine.pixels.transforms import jpeg, recoded, rng_for

UPLOAD_SCALE = 0.75  # by which a social network makes a picture smaller, in the chains


def degrade(image: np.ndarray, name: str, strength: float, seed: int, digest: str) -> np.ndarray:
    """Degrade a picture by one of `DEGRADATIONS`, whose record says what its strength means.

    Any draw depends on the seed, the name and the picture's digest, not on the strength, the class or a
    model: along a sweep a picture meets the same noise, only stronger. Raises for an unknown name or an
    impossible strength.
    """
    if name not in DEGRADATIONS:
        raise ValueError(f"unknown degradation {name!r}; choose from {sorted(DEGRADATIONS)}")
    degradation = DEGRADATIONS[name]
    if reason := degradation.refuses(strength):
        raise ValueError(reason)
    return degradation.apply(image, strength, rng_for(seed, "degrade", name, digest))


def _shrink(image: np.ndarray, factor: float) -> np.ndarray:
    size = tuple(max(1, round(side * factor)) for side in (image.shape[1], image.shape[0]))
    return resized(image, size, Image.Resampling.LANCZOS)


def _rescale(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    return resized(_shrink(image, factor), (width, height), Image.Resampling.BICUBIC)


def _blur(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return eight_bits(gaussian_filter(image.astype(np.float32), (sigma, sigma, 0)))


def _noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return eight_bits(image + sigma * rng.standard_normal(image.shape))


def _crop(image: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    return resized(inner(image, fraction), (width, height), Image.Resampling.BICUBIC)


def _uploaded(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    return jpeg(_shrink(image, UPLOAD_SCALE), round(quality))


def _shared(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    # The second site cuts an edge off, so that its blocks do not fall on those of the first
    top, left = rng.integers(1, 8, size=2)
    return jpeg(_uploaded(image, quality, rng)[top:, left:], round(quality))


def _webp_jpeg(image: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    return jpeg(recoded(image, "WEBP", round(quality)), round(quality))


@dataclass(frozen=True)
class Degradation:
    """A sweep of growing strength: what it does, what tables call its strength, its lowest and highest value."""

    name: str
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    label: str
    lowest: float
    highest: float

    def refuses(self, strength: float) -> str:
        """Why a strength is impossible; empty where it is not."""
        if self.lowest <= strength <= self.highest:
            return ""
        return f"degradation {self.name!r}: {self.label} = {strength}; allowed: {self.lowest} to {self.highest}"


DEGRADATIONS: dict[str, Degradation] = {
    degradation.name: degradation
    for degradation in (
        Degradation("jpeg", lambda image, quality, rng: jpeg(image, round(quality)), "JPEG quality", 1, 100),
        Degradation("webp", lambda image, quality, rng: recoded(image, "WEBP", round(quality)), "WebP quality", 1, 100),
        # Down only, as a site that limits sizes does: the encoder's crop then shows more of the picture, coarser
        Degradation("downscale", lambda image, factor, rng: _shrink(image, factor), "scale (down)", 0.01, 1),
        # Down and up again: what is lost is detail alone, the crop shows the same part
        Degradation("rescale", _rescale, "scale (down and up)", 0.01, 1),
        Degradation("blur", _blur, "blur, sigma in pixels", 0, 100),
        Degradation("noise", _noise, "noise, sigma in grey levels", 0, 255),
        # and enlarged to the size before: the encoder's centre crop would not notice a mere cut
        Degradation("crop", _crop, "fraction of each side cut off", 0, 0.9),
        Degradation("upload", _uploaded, f"scale {UPLOAD_SCALE}, JPEG quality", 1, 100),
        Degradation("share", _shared, f"scale {UPLOAD_SCALE}, JPEG quality twice", 1, 100),
        Degradation("webp_jpeg", _webp_jpeg, "WebP and JPEG quality", 1, 100),
    )
}
