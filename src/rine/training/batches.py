"""Cuts a feature set into batches, and reads their tokens, from memory or from disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rine.heads.tokens import TokenSet

Read = Callable[[np.ndarray], Tensor]

_SHARE_OF_MEMORY = 0.5  # what resident tokens may take of the memory that is free
_ROWS_AT_A_TIME = 4096  # copied into memory, so that no second whole copy ever exists


def shuffled(n: int, size: int, key: Sequence[int]) -> list[np.ndarray]:
    """Numbers 0 to n - 1 in an order that the key decides, in batches of `size`; the last may be smaller."""
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).permutation(n)
    return [order[start : start + size] for start in range(0, n, size)]


def reader(features: TokenSet, needed: np.ndarray, device: str, budget: int | None = None) -> Read:
    """Give a function from row numbers (B,) to their tokens (B, L, D) on the device.

    Where the `needed` rows fit into `budget` bytes (default: half of what is free), on the device or else
    in main memory, they are loaded once and kept; otherwise every batch is read anew. What comes out is the
    same.
    """
    needed = np.unique(needed)
    n_bytes = len(needed) * features.n_blocks * features.width * 2
    for place in dict.fromkeys((device, "cpu")):
        if n_bytes <= (_free_bytes(place) * _SHARE_OF_MEMORY if budget is None else budget):
            return _resident(features, needed, place, device)
    return lambda index: features.tokens(index).to(device)


def _resident(features: TokenSet, needed: np.ndarray, place: str, device: str) -> Read:
    kept: Tensor | None = None
    for start in range(0, len(needed), _ROWS_AT_A_TIME):
        part = features.tokens(needed[start : start + _ROWS_AT_A_TIME])
        if kept is None:
            kept = torch.empty((len(needed), *part.shape[1:]), dtype=part.dtype, device=place)
        kept[start : start + len(part)] = part

    def read(index: np.ndarray) -> Tensor:
        assert kept is not None
        position = torch.from_numpy(np.searchsorted(needed, index)).to(place)
        return kept.index_select(0, position).to(device)

    return read


def _free_bytes(device: str) -> int:
    """Memory that is free on the device; assumed to be 4 GiB where the system does not say."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 4 * 2**30
