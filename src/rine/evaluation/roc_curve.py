"""A TPR at a fixed FPR as a weighted sum of those where 1, 2, ... real pictures pass: the weights, and its slope."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

_UNBENT = 0.7  # of a TPR's bias that is taken off, by simulation: the whole would add more noise than it takes away


class Curve(NamedTuple):
    """Weights of the TPR (reach,) at ranks 1, 2, ..., and those of the steps between ranks in the last two.

    `at`: at the rank of the threshold; `value`: less the bias; `tilt`: its slope by rank, as the ranks that the
    threshold could have weigh it.
    """

    at: np.ndarray
    value: np.ndarray
    tilt: np.ndarray
    of_value: np.ndarray
    of_tilt: np.ndarray


@lru_cache(maxsize=64)
def curve_of(n: int, rank: float) -> Curve:
    """Of n real pictures. The mean over what the threshold could have been tells the bias: the ROC curve is bent."""
    weights = _beta_weights(n, rank)
    reach = int(np.flatnonzero(weights > 1e-9).max()) + 1
    weights = weights[:reach] / weights[:reach].sum()
    at, whole, part = np.zeros(reach), int(rank), rank - int(rank)
    at[whole] += 1 - part
    at[min(whole + 1, reach - 1)] += part
    value, tilt = at + _UNBENT * (at - weights), weights * (np.arange(reach) - np.arange(reach) @ weights)
    # where none pass nothing is known: straight on for the value, level for the slope, which would swing
    value[1:3] += value[0] * np.array([2, -1])
    tilt[1] += tilt[0]
    steps = [np.cumsum(each[:0:-1]) for each in (value, tilt)]
    return Curve(at[1:], value[1:], tilt[1:], *steps)


def _beta_weights(n: int, rank: float) -> np.ndarray:
    """Weights (n + 2,) of ranks 0 to n + 1 in a curve's mean over Beta(rank, n + 1 - rank), straight between them."""
    from scipy.stats import beta

    edges, left = np.arange(n + 2) / (n + 1), np.arange(n + 1)
    mass = np.diff(beta.cdf(edges, rank, n + 1 - rank))
    moment = rank * np.diff(beta.cdf(edges, rank + 1, n + 1 - rank))  # of the rank, not of the share
    weights = np.zeros(n + 2)
    weights[1:] += moment - left * mass
    weights[:-1] += (left + 1) * mass - moment
    return weights
