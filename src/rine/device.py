"""Where tensors are computed: chosen once, handed down."""

from __future__ import annotations

import torch


def choose(name: str) -> str:
    """Return the device for `runtime.device`: `auto` is CUDA where there is one, else Apple's MPS, else the CPU."""
    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device {name!r} cannot be used here ({error}); choose cpu or auto") from error
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
