"""Mild changes of a picture, to see whether its verdict would hold: twenty as evidence, three beside each verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from rine.pixels.crops import CropRule, crops_of
from rine.pixels.pictures import Source, open_rgb
from rine.pixels.transforms import recoded

WINDOW = 2048  # pixels a side: changes are made to no more than this around the middle, in which the crops lie


class Cut(NamedTuple):
    """Crops (V, S, S, 3) of a picture, and of its versions after them, `counts` of each; its own height and width."""

    crops: np.ndarray
    counts: tuple[int, ...]
    shape: tuple[int, int]


def cut(image: np.ndarray, rule: CropRule, size: int, small: str, stable: bool) -> Cut:
    """The crops of a picture (H, W, 3), and with `stable` of each version in `VERSIONS` too."""
    versions = [crops_of(image, rule, size, small)]
    if stable:
        around = window(image) if rule == "centre" else image
        versions += [crops_of(change(around), rule, size, small) for change in VERSIONS.values()]
    return Cut(np.concatenate(versions), tuple(map(len, versions)), (image.shape[0], image.shape[1]))


def cut_file(source: Source, max_pixels: int, rule: CropRule, size: int, small: str, stable: bool) -> Cut:
    """Decode a picture and cut its crops; raises as `open_rgb` does."""
    return cut(open_rgb(source, max_pixels), rule, size, small, stable)


def changes() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Twenty changes that a picture meets on its way through the web and that leave what it shows as it was."""
    all_: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    for quality in (95, 90, 85, 80, 75, 70):
        all_[f"JPEG quality {quality}"] = lambda image, q=quality: recoded(image, "JPEG", q)  # type: ignore[misc]
    for quality in (90, 80):
        all_[f"WebP quality {quality}"] = lambda image, q=quality: recoded(image, "WEBP", q)  # type: ignore[misc]
    for percent in (75, 80, 90, 95, 110, 125):
        all_[f"resized to {percent} %"] = lambda image, p=percent: _resized(image, p / 100)  # type: ignore[misc]
    for side in ("left", "right", "top", "bottom"):
        all_[f"5 % cut off the {side}"] = lambda image, s=side: _trimmed(image, s, 0.05)  # type: ignore[misc]
    for side in ("top left", "bottom right"):
        all_[f"10 % cut off the {side}"] = lambda image, s=side: _trimmed(image, s, 0.1)  # type: ignore[misc]
    return all_


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _trimmed(image: np.ndarray, sides: str, share: float) -> np.ndarray:
    """The picture without that share of its height or width at the named sides; at least a pixel remains."""
    height, width = image.shape[:2]
    rows, columns = min(int(height * share), height - 1), min(int(width * share), width - 1)
    if "top" in sides:
        image = image[rows:]
    if "bottom" in sides:
        image = image[: height - rows]
    if "left" in sides:
        image = image[:, columns:]
    if "right" in sides:
        image = image[:, : width - columns]
    return image


def window(image: np.ndarray) -> np.ndarray:
    """The middle of a very large picture; it starts on a multiple of 16, the grid on which JPEG codes blocks."""
    starts = [max(side - WINDOW, 0) // 2 // 16 * 16 for side in image.shape[:2]]
    return image[starts[0] : starts[0] + WINDOW, starts[1] : starts[1] + WINDOW]


# what `predict --stable` judges too; the crop moves by eight pixels, half of what is cut off
VERSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG quality 90": lambda image: recoded(image, "JPEG", 90),
    "scaled to 90 %": lambda image: _resized(image, 0.9),
    "a crop beside it": lambda image: image[min(16, len(image) - 1) :, min(16, image.shape[1] - 1) :],
}
