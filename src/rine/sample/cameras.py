"""Cameras: each image set has its own softness, grain, exposure and white balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rine.sample.pixels import Pixels, between, mean, noise, rng_of, smoothed
from rine.sample.scenes import Scene


@dataclass(frozen=True)
class Camera:
    """How an image set was taken."""

    softness: float  # weight of the neighbours in the blur
    grain: float  # standard deviation of the noise
    exposure: float  # mean brightness that the automatic exposure aims at
    balance: float  # share of a tint that the automatic white balance takes out


def camera_of(source: str, seed: int) -> Camera:
    """Every image set has its own camera, used for its real pictures and for what its generator has learned from."""
    rng = rng_of(seed, "camera", source)
    return Camera(
        softness=between(rng, 0.08, 0.18),
        grain=between(rng, 0.001, 0.002),
        exposure=between(rng, 0.44, 0.46),
        balance=between(rng, 0.5, 0.6),
    )


def taken(image: Pixels, scene: Scene, camera: Camera, rng: np.random.Generator) -> Pixels:
    """The picture as the camera gives it, with automatic exposure and a good part of an automatic white balance."""
    image = smoothed(image, camera.softness)
    red, green, blue = (mean(image[:, :, c]) for c in range(3))
    grey = (red + green + blue) / 3
    gain = camera.exposure * scene.light * between(rng, 0.97, 1.03) / grey
    gains = [gain * (1 - camera.balance + camera.balance * grey / level) for level in (red, green, blue)]
    image = image * np.array(gains, dtype=np.float32)
    # one grain for the three colours, as most of it is brightness once a camera has removed the colour noise
    image = image + np.float32(camera.grain) * noise(rng, image.shape[:2])[:, :, None]
    return np.clip(image, 0, 1)
