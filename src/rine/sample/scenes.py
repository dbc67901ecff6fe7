"""Procedural scenes that stand for what photographs show: dead leaves.

Shapes with power-law sizes that hide one another (Lee, Mumford and Huang, IJCV 2001), painted with a texture whose
spectrum falls as 1/f, have much of the statistics of natural images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rine.sample.pixels import Pixels, between, texture


@dataclass(frozen=True)
class Scene:
    """What a class looks like: colours above and below the horizon, and the statistics of its shapes."""

    upper: tuple[str, ...]
    lower: tuple[str, ...]
    leaves: int = 100
    radius: tuple[float, float] = (4.0, 70.0)
    aspect: tuple[float, float] = (1.0, 1.6)  # square root of length to breadth
    power: int = 2  # of the outline |u|^p + |v|^p < 1: 2 is an ellipse, 8 nearly a rectangle
    upright: float = 0.0  # share of the shapes that stand straight
    texture: float = 0.12
    light: float = 1.0  # exposure, as a share of that of a picture by day


SCENES: dict[str, Scene] = {
    "car": Scene(
        ("#9fb8cc", "#5d7d9a", "#c9d3d8", "#31506b"),
        ("#4a4d52", "#a3342c", "#22272e", "#86898c", "#d8a13b"),
        aspect=(1.1, 1.7), power=4, upright=0.7, texture=0.07,
    ),
    "cat": Scene(
        ("#d8c3a5", "#b98b60", "#efe3d0", "#8a9a8b"),
        ("#6b4a32", "#c0875a", "#2f2723", "#dcb58c", "#7d6f66"),
        aspect=(1.0, 1.35), texture=0.2,
    ),
    "chair": Scene(
        ("#e8e2d6", "#c4cfc8", "#9fb0ae", "#dcc9a8"),
        ("#7a4e2b", "#a9743f", "#4f5b57", "#c9b79a", "#8e3b2f"),
        aspect=(1.5, 2.6), power=8, upright=0.85, texture=0.08,
    ),
    "horse": Scene(
        ("#a9c9e2", "#d9e6ee", "#6f93b3", "#e9dcc3"),
        ("#6f7a44", "#a3985a", "#7d5638", "#4d5a33", "#b58a55"),
        aspect=(1.0, 1.9), texture=0.16,
    ),
    "bedroom": Scene(
        ("#efe6dc", "#d7c7bb", "#b7c4cf", "#f3efe9"),
        ("#a8866b", "#c7a9a0", "#6e7f8f", "#e2d3c0", "#5b4438"),
        leaves=80, radius=(6.0, 90.0), aspect=(1.1, 1.8), power=8, upright=0.9, texture=0.06,
    ),
    "church": Scene(
        ("#8fb3d4", "#c6d8e6", "#e5e9ea", "#6d8fae"),
        ("#a89a85", "#d1c4ad", "#6f6657", "#7d8a55", "#8c5a44"),
        aspect=(1.4, 2.3), power=8, upright=0.95, texture=0.1,
    ),
    "face": Scene(
        ("#cdb9a6", "#8a7a70", "#b3c0c7", "#4a3a33"),
        ("#e3b796", "#c98f6d", "#8d5a41", "#f0d3bb", "#3a2a25"),
        leaves=70, radius=(6.0, 90.0), aspect=(1.0, 1.3), texture=0.07,
    ),
    "street": Scene(
        ("#b9cfdf", "#8e9ba6", "#d5d2c8", "#70808f"),
        ("#55585c", "#7b7f83", "#3f6a45", "#a2563f", "#c9c2b2"),
        aspect=(1.1, 2.0), power=4, upright=0.8, texture=0.1,
    ),
    "night": Scene(
        ("#1f2a44", "#2f3b57", "#10161f", "#4b4a5e"),
        ("#3b2f2a", "#6a5132", "#1c2520", "#c99a4b", "#55443f"),
        texture=0.14, light=0.7,
    ),
    "fruit": Scene(
        ("#7fa05a", "#a9c178", "#d9d3b0", "#5d7f48"),
        ("#c23b2e", "#e0a03a", "#8f2a2c", "#e7cf6a", "#4c6b33"),
        leaves=80, radius=(7.0, 60.0), aspect=(1.0, 1.15), texture=0.1,
    ),
    "anything": Scene(
        ("#9cc0d9", "#e6ddcb", "#7f9c8c", "#c7a8a0"),
        ("#5f7d4e", "#8d6a4b", "#3f566b", "#c58a4a", "#a45a55"),
        aspect=(1.0, 2.0), power=4, upright=0.4, texture=0.13,
    ),
}  # fmt: skip


def palette(colours: tuple[str, ...]) -> Pixels:
    """(n, 3) in 0..1 of #rrggbb."""
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours], dtype=np.float32)


def paint(scene: Scene, height: int, width: int, rng: np.random.Generator) -> Pixels:
    """A picture (height, width, 3) of the scene, in 0..1, before any camera."""
    upper, lower = palette(scene.upper), palette(scene.lower)
    field = texture(rng, 384)
    horizon = between(rng, 0.35, 0.6) * height
    down = np.arange(height, dtype=np.float32)[:, None, None]
    mix = np.clip((down - horizon) / 12 + 0.5, 0, 1)
    sky = upper[rng.integers(len(upper))] + (1 - down / height) * np.float32(between(rng, -0.1, 0.15))
    ground = lower[rng.integers(len(lower))] * (0.6 + 0.5 * down / height)
    image = np.repeat(sky + mix * (ground - sky), width, axis=1).astype(np.float32)
    image += np.float32(scene.texture / 2) * field[:height, :width, None]

    smallest, largest = scene.radius
    for _ in range(scene.leaves):
        # sizes with density r^-3: the law under which the picture looks alike at every scale
        few, many = 1 / (largest * largest), 1 / (smallest * smallest)
        radius = 1 / math.sqrt(many - rng.random() * (many - few))
        y, x = rng.random() * height, rng.random() * width
        colours = upper if y < horizon and rng.random() < 0.6 else lower
        colour = colours[rng.integers(len(colours))] + np.float32(0.1) * (rng.random(3).astype(np.float32) - 0.5)
        _leaf(image, field, scene, (y, x), radius, colour, rng)
    return np.clip(image, 0, 1)


def _leaf(
    image: Pixels,
    field: Pixels,
    scene: Scene,
    at: tuple[float, float],
    radius: float,
    colour: Pixels,
    rng: np.random.Generator,
) -> None:
    """Paint one shape over the picture, in place: rounded, lit from one side, with texture, its edge a pixel wide."""
    stretch = between(rng, *scene.aspect)
    turn = 0.0 if rng.random() < scene.upright else between(rng, -1.0, 1.0)
    cos, sin = (1 - turn * turn) / (1 + turn * turn), 2 * turn / (1 + turn * turn)  # no sine needed
    if rng.random() < 0.5:
        cos, sin = -sin, cos
    oy, ox = (int(v) for v in rng.integers(0, len(field) - max(image.shape) + 1, 2))
    shade = between(rng, 0.05, 0.3)

    reach = radius * stretch * 1.5
    y0, y1 = max(0, int(at[0] - reach)), min(image.shape[0], int(at[0] + reach) + 2)
    x0, x1 = max(0, int(at[1] - reach)), min(image.shape[1], int(at[1] + reach) + 2)
    if y0 >= y1 or x0 >= x1:
        return
    dy = (np.arange(y0, y1) - at[0]).astype(np.float32)[:, None] / np.float32(radius)
    dx = (np.arange(x0, x1) - at[1]).astype(np.float32)[None, :] / np.float32(radius)
    u = np.float32(cos / stretch) * dx + np.float32(sin / stretch) * dy
    v = np.float32(-sin * stretch) * dx + np.float32(cos * stretch) * dy
    inside, p = u * u, 2
    across = v * v
    while p < scene.power:
        inside, across, p = inside * inside, across * across, 2 * p
    inside = 1 - inside - across
    opacity = np.clip(inside * np.float32(radius / scene.power / stretch), 0, 1)
    tone = 1 - np.float32(shade) * (v + u) * np.float32(0.5) + np.float32(0.12) * np.clip(inside, 0, 1)
    tone += np.float32(scene.texture) * field[y0 + oy : y1 + oy, x0 + ox : x1 + ox]
    part = image[y0:y1, x0:x1]
    part += opacity[:, :, None] * (tone[:, :, None] * colour - part)
