"""Why a picture got its verdict: where in it, by which blocks, and whether mild changes would have changed it.

Three questions, each answered by the detector itself: scores over a grid of crops at native resolution; the importance
of each block and the change of the logit when its token is replaced by the mean over the training pictures; and the
verdicts on the same picture after mild JPEG, WebP, resizing and cropping.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from rine.changes import changes, window
from rine.detector import Detector
from rine.detector.evidence import Block, Cell, Change, Explanation, Square
from rine.detector.inputs import Picture, name_of, provenance_of
from rine.detector.origin import digest_of, origin_of
from rine.pixels.crops import GRID_SIDE, CropRule, cut, grid
from rine.pixels.transforms import enlarged
from rine.provenance import Provenance

CELLS = 8  # crops a side of the map at most


def explain(
    detector: Detector,
    picture: Picture,
    crops: CropRule = "centre",
    cells: int = CELLS,
    name: str | None = None,
    sha256: str | None = None,
    provenance: Provenance | None = None,
) -> Explanation:
    """Judge a picture and gather the evidence; `cells` is the number of crops a side of the map at most.

    `sha256` and `provenance` are of the file where `picture` is its pixels. Costs cells² + 21 passes of the encoder at
    most. Raises `UnreadablePicture` for a file that has no pixels.
    """
    sha256, provenance = sha256 or digest_of(picture), provenance or provenance_of(picture)
    image = detector.pixels(picture)
    if detector.small == "resize":  # so that map and crops are of one picture
        image = enlarged(image, detector.encoder.image_size)
    loaded = detector.read(image, crops, name=name or name_of(picture))  # of the pixels: a file is decoded once
    [verdict] = detector.judge([loaded], crops)
    return Explanation(
        replace(verdict, provenance=provenance),
        width=image.shape[1],
        height=image.shape[0],
        judged=squares(image.shape, crops, detector.encoder.image_size),
        map=score_map(detector, image, cells),
        blocks=block_effects(detector, loaded.crops[: loaded.counts[0]]),
        changes=judge_changes(detector, image, crops),
        origin=origin_of(detector, sha256),
    )


def squares(shape: tuple[int, ...], rule: CropRule, size: int) -> list[Square]:
    """Where the crops of a rule lie in a picture (H, W), mirrored ones once; larger than it where it is small."""
    if rule == "resize":  # the shorter side whole
        side = min(shape[:2])
        return [Square((shape[1] - side) // 2, (shape[0] - side) // 2, side)]
    height, width = (max(side, size) for side in shape[:2])
    middle = (round((height - size) / 2), round((width - size) / 2))
    if rule == "grid":
        places = grid(shape, size, GRID_SIDE)
    elif rule == "ten":
        corners = [(top, left) for top in (0, height - size) for left in (0, width - size)]
        places = list(dict.fromkeys([*corners, middle]))
    else:
        places = [middle]
    return [Square(left, top, size) for top, left in places]


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
def block_effects(detector: Detector, crops: np.ndarray) -> list[Block]:
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
    image = window(image)
    cut_out = [detector.crops(change(image), crops) for change in changes().values()]
    logits = detector.logits(np.concatenate(cut_out)).reshape(len(cut_out), -1).mean(axis=1).tolist()
    return [Change(name, *detector.decide(logit), logit) for name, logit in zip(changes(), logits, strict=True)]
