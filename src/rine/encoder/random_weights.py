"""Seeded random weights that have the same bits on every machine, which those that PyTorch draws have not."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from rine.pixels.transforms import rng_for

_DETAIL, _PLAIN = 1.5, 0.06  # weights of the two parts of a patch filter
_ADDED = 8.0  # times what a block adds: deep blocks then tell less of the fine detail, as those of trained towers do


@torch.no_grad()
def draw(module: nn.Module, seed: int) -> None:
    """Fill a tower with normal numbers of variance 1 / fan_in, for an embedding 1 / width.

    What a library sets to one number (norms to 1, biases to 0) stays. A tensor depends on the seed and its own name
    alone. The numbers are drawn in float64: what a processor's logarithm may differ by is lost in rounding them.
    """
    for name, parameter in module.named_parameters():
        if bool((parameter == parameter.flatten()[0]).all()):
            continue
        fan_in = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
        numbers = rng_for(seed, name).standard_normal(tuple(parameter.shape)) / math.sqrt(fan_in)
        if parameter.ndim == 4:  # of the patches
            numbers = _sees_detail(numbers)
        elif parameter.ndim == 2 and (".mlp." in name or ".out_proj." in name):
            numbers = _ADDED * numbers
        parameter.copy_(torch.from_numpy(numbers))


def _sees_detail(filters: np.ndarray) -> np.ndarray:
    """Patch filters (D, 3, p, p) that see fine detail, and the plain picture a little, as trained ones see both.

    The energy of natural pictures falls with the square of the frequency, so that a filter of independent random
    numbers sees hardly more than a patch's mean colour. Here each pixel counts by its difference from its neighbours.
    """
    detail = filters
    for axis in (2, 3):
        detail = detail - (np.roll(detail, 1, axis) + np.roll(detail, -1, axis)) / 2
    return _DETAIL * detail + _PLAIN * filters[::-1]
