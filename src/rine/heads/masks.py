"""Dropout masks that depend on a key alone: not on the device, nor on what else was drawn before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor


def dropout_masks(
    shapes: Sequence[tuple[int, ...]],
    p: float,
    key: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """Draw one factor for each shape: 0 with probability `p`, else 1 / (1 - p).

    With p = 0.5 the masks are random bits, 64 to a draw: PyTorch's own dropout draws a float for each
    element, which on a CPU takes longer than the matrix product that follows. The bits are drawn on the CPU
    (an eighth of a byte an element) and spread out on the device.
    """
    sizes = [math.prod(shape) for shape in shapes]
    bits = np.random.SFC64(np.random.SeedSequence(key))
    if p == 0.5:
        octets = torch.from_numpy(bits.random_raw(-(-sum(sizes) // 64)).view(np.uint8)).to(device)
        factors = _factors_of_octets(device, dtype).index_select(0, octets.to(torch.int32))  # (octets, 8)
        flat = factors.view(-1)[: sum(sizes)]
    else:
        kept = np.random.Generator(bits).random(sum(sizes), dtype=np.float32) >= p
        flat = torch.from_numpy(kept).to(device=device, dtype=dtype) / (1 - p)
    return [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]


@cache
def _factors_of_octets(device: torch.device, dtype: torch.dtype) -> Tensor:
    """For each of the 256 octets its eight bits, as factors 0 or 2."""
    octets = torch.arange(256)[:, None]
    return (2 * (octets >> torch.arange(8) & 1)).to(device=device, dtype=dtype)
