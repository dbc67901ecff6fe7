"""Which crops of a picture are judged: at native resolution, since resizing wipes out the traces of a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from rine.pixels.transforms import centre_crop, enlarged, fitted, pad, ten_crop
from rine.values import CropRule

GRID_SIDE = 5  # crops a side at most: 25 show a picture of 1,120 x 1,120 pixels whole


def crops_of(image: np.ndarray, rule: CropRule, size: int, small: str = "pad") -> np.ndarray:
    """Cut a picture (H, W, 3) to crops (V, size, size, 3): the centre, the ten-crop, a grid, or all of it small.

    `centre` is what heads are trained and tested with, `ten` the paper's rule on Synthbuster; `grid` shows the encoder
    parts that both may miss, and `resize` the whole, its shorter side brought to `size`, without its finest traces. A
    picture smaller than a crop is padded with black, or enlarged first where `small` is "resize". Raises `ValueError`
    for another rule.
    """
    if small == "resize":
        image = enlarged(image, size)
    if rule == "centre":
        return centre_crop(image, size)[None]
    if rule == "ten":
        return ten_crop(image, size)
    if rule == "grid":
        return cut(image, grid(image.shape[:2], size, GRID_SIDE), size)
    if rule == "resize":
        return centre_crop(fitted(image, size), size)[None]
    raise ValueError(f"crops = {rule!r}; choose from {list(get_args(CropRule))}")


def n_crops(shape: tuple[int, int], rule: CropRule, size: int) -> int:
    """How many crops `crops_of` cuts of a picture (H, W)."""
    return len(grid(shape, size, GRID_SIDE)) if rule == "grid" else 10 if rule == "ten" else 1


def grid(shape: tuple[int, ...], size: int, most: int) -> list[tuple[int, int]]:
    """Tops and lefts of crops that lie evenly over a picture (H, W), row by row; at most `most` a side.

    They touch the picture's borders. Where `most` suffices to cover it they overlap, else there are gaps between them.
    """
    tops, lefts = (_places(side, size, most) for side in shape[:2])
    return [(top, left) for top in tops for left in lefts]


def cut(image: np.ndarray, places: Sequence[tuple[int, int]], size: int) -> np.ndarray:
    """Crops (V, size, size, 3) at places of a picture, padded where it is smaller than a crop."""
    # crop by crop: a strip of a million pixels, padded whole, would fill the memory
    return np.stack([pad(image[top : top + size, left : left + size], size) for top, left in places])


def _places(side: int, size: int, most: int) -> list[int]:
    if side <= size:
        return [0]
    n = min(-(-side // size), most)
    return [(side - size) // 2] if n == 1 else [round(i * (side - size) / (n - 1)) for i in range(n)]
