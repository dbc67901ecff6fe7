"""Why a picture got its verdict: where in it, by which blocks, and whether mild changes would have changed it.

Three questions, each answered by the detector itself: scores over a grid of crops at native resolution; the importance
of each block and the change of the logit when its token is replaced by the mean over the training pictures; and the
verdicts on the same picture after mild JPEG, WebP, resizing and cropping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from rine.detector import Detector, Verdict
from rine.detector.inputs import Picture, name_of
from rine.pixels.crops import CropRule, cut, grid
from rine.pixels.transforms import enlarged, recoded

CELLS = 8  # crops a side of the map at most
WINDOW = 2048  # pixels a side: changes are made to no more than this around the middle, in which the crops lie


@dataclass(frozen=True)
class Cell:
    """One crop of the map, in pixels of the picture, and its score."""

    left: int
    top: int
    size: int
    logit: float
    probability: float


@dataclass(frozen=True)
class Block:
    """One block of the encoder, by its number in the tower, from 1.

    `weight` is its mean one in the importance estimator; all sum to one.

    `change` is the logit minus the logit with the block's token at its mean over the training pictures: above zero, the
    block speaks for synthetic. None where the model file holds no mean.
    """

    block: int
    weight: float
    change: float | None


@dataclass(frozen=True)
class Change:
    """The verdict after one mild change of the picture."""

    name: str
    verdict: str
    probability: float
    logit: float


@dataclass(frozen=True)
class Explanation:
    """A verdict with its evidence; `same` of the changes left the verdict as it was."""

    verdict: Verdict
    width: int
    height: int
    map: list[Cell]
    blocks: list[Block]
    changes: list[Change]

    @property
    def same(self) -> int:
        return sum(change.verdict == self.verdict.verdict for change in self.changes)

    @property
    def stability(self) -> str:
        return f"stable in {self.same} of {len(self.changes)}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"same": self.same, "stability": self.stability}


def explain(
    detector: Detector, picture: Picture, crops: CropRule = "centre", cells: int = CELLS, name: str | None = None
) -> Explanation:
    """Judge a picture and gather the evidence; `cells` is the number of crops a side of the map at most.

    Costs cells² + 21 passes of the encoder at most. Raises `UnreadablePicture` for a file that has no pixels.
    """
    image = detector.pixels(picture)
    if detector.small == "resize":  # so that map and crops are of one picture
        image = enlarged(image, detector.encoder.image_size)
    loaded = detector.read(image, crops, name=name or name_of(picture))  # of the pixels: a file is decoded once
    [verdict] = detector.judge([loaded], crops)
    return Explanation(
        verdict,
        width=image.shape[1],
        height=image.shape[0],
        map=score_map(detector, image, cells),
        blocks=block_shares(detector, loaded.crops),
        changes=judge_changes(detector, image, crops),
    )


def score_map(detector: Detector, image: np.ndarray, cells: int = CELLS) -> list[Cell]:
    """Score a grid of crops that lie evenly over the picture, which is padded where it is smaller than a crop."""
    size = detector.encoder.image_size
    places = grid(image.shape, size, cells)
    logits = detector.logits(cut(image, places, size)).tolist()
    return [
        Cell(left, top, size, logit, detector.decide(logit)[1])
        for (top, left), logit in zip(places, logits, strict=True)
    ]


@torch.inference_mode()
def block_shares(detector: Detector, crops: np.ndarray) -> list[Block]:
    """Weight and effect of each block on crops (V, S, S, 3); effects are means over the crops."""
    weights = detector.head.importance().mean(dim=1).tolist()  # (L, P) -> L
    effects: list[float | None] = [None] * len(weights)
    if detector.mean_tokens is not None:
        tokens = detector.tokens(crops)  # (V, L, D)
        whole = detector.head(tokens)[0]  # (V,)
        for block in range(len(weights)):
            without = tokens.clone()
            without[:, block] = detector.mean_tokens[block].to(tokens)
            effects[block] = float((whole - detector.head(without)[0]).mean())
    return [Block(*each) for each in zip(detector.encoder.blocks, weights, effects, strict=True)]


def judge_changes(detector: Detector, image: np.ndarray, crops: CropRule = "centre") -> list[Change]:
    """The verdict after each of the mild changes, on the part of the picture around its middle."""
    image = _window(image)
    cut_out = [detector.crops(change(image), crops) for change in changes().values()]
    logits = detector.logits(np.concatenate(cut_out)).reshape(len(cut_out), -1).mean(axis=1).tolist()
    return [Change(name, *detector.decide(logit), logit) for name, logit in zip(changes(), logits, strict=True)]


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


def _window(image: np.ndarray) -> np.ndarray:
    """The middle of a very large picture; it starts on a multiple of 16, the grid on which JPEG codes blocks."""
    starts = [max(side - WINDOW, 0) // 2 // 16 * 16 for side in image.shape[:2]]
    return image[starts[0] : starts[0] + WINDOW, starts[1] : starts[1] + WINDOW]
