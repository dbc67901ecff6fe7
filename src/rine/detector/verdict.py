"""What a detector says of one picture, and a picture on its way to that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rine.pixels.crops import GRID_SIDE, CropRule
from rine.provenance import Provenance


@dataclass(frozen=True)
class Verdict:
    """What a detector says of one picture.

    `probability` is the calibrated one of being synthetic and `logit` the head's output, the mean over the crops.
    Of a picture that could not be read, `error` says why, and `verdict`, `probability` and `logit` are None: such a
    picture is neither real nor synthetic. `seconds` were spent on reading it and on its share of a batch. `remark` says
    what else weakens it: a picture far smaller or larger than a crop, versions that disagree. `low` and `high` are the
    least and the highest probability of the versions, where those were judged. `provenance` is what the file says of
    itself, where that was asked for; it changes nothing of the verdict.
    """

    path: str
    verdict: Literal["real", "synthetic", "inconclusive"] | None
    probability: float | None
    logit: float | None
    model: str
    crops: str
    seconds: float
    error: str | None = None
    remark: str | None = None
    low: float | None = None
    high: float | None = None
    provenance: Provenance | None = None


@dataclass(frozen=True)
class Loaded:
    """One picture on its way: its crops (V, S, S, 3), or why there are none; see `rine.changes.Cut`."""

    name: str
    crops: np.ndarray
    seconds: float
    error: str | None = None
    counts: tuple[int, ...] = ()
    shape: tuple[int, int] = (0, 0)


LITTLE = 0.1  # share of a picture under which it is worth a remark that no more was looked at


def remark(shape: tuple[int, int], crops: CropRule, size: int, small: str) -> str | None:
    """What a picture (H, W) far from a crop's size suffers; None where it does not."""
    height, width = shape
    if min(height, width) < size:
        done = "enlarged" if small == "resize" else "padded with black"
        return f"{width} x {height} is smaller than the {size} pixels that are judged: {done}"
    squares = {"centre": 1, "ten": 5, "grid": GRID_SIDE**2}.get(crops, 0)
    if not squares:  # all of it, made small
        return None
    share = squares * size * size / (height * width)
    return f"the verdict rests on {share:.1%} of its {width} x {height} pixels" if share < LITTLE else None


def agreed(verdict: Verdict, versions: Sequence[tuple[str, float]], names: Sequence[str]) -> Verdict:
    """The verdict with the interval of its versions' probabilities; inconclusive where one of them says otherwise."""
    probabilities = [float(verdict.probability or 0.0), *(probability for _, probability in versions)]
    made = replace(verdict, low=min(probabilities), high=max(probabilities))
    others = [f"{name} ({said})" for name, (said, _) in zip(names, versions, strict=True) if said != verdict.verdict]
    if not others:
        return made
    words = f"{verdict.verdict} as it is, but not after {', '.join(others)}"
    return replace(made, verdict="inconclusive", remark="; ".join(filter(None, [verdict.remark, words])))
