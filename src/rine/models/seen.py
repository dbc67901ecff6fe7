"""Which pictures a model has seen, by their digests, so that they are not taken for new ones; in the model file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

_PREFIX = "digests."


def tensors(digests: Mapping[str, Iterable[str]]) -> dict[str, Tensor]:
    """Digests (hex, 32 digits) of each kind as one tensor (n, 16), each once, sorted."""
    kinds = {kind: np.fromiter(map(bytes.fromhex, some), "S16") for kind, some in digests.items()}
    return {
        f"{_PREFIX}{kind}": torch.from_numpy(np.unique(some).view(np.uint8).reshape(-1, 16))
        for kind, some in kinds.items()
        if len(some)
    }


def take(file: dict[str, Tensor]) -> dict[str, frozenset[str]]:
    """Remove the digests from a file's tensors, and return them by kind; raises `ValueError` for what are none."""
    names = [name for name in file if name.startswith(_PREFIX)]
    for name in names:
        if file[name].dtype != torch.uint8 or file[name].ndim != 2:
            raise ValueError(f"{name} holds no digests: it is {file[name].dtype} of shape {tuple(file[name].shape)}")
    return {
        name.removeprefix(_PREFIX): frozenset(row.tobytes().hex() for row in file.pop(name).numpy()) for name in names
    }
