"""What there is to compute on: the device, chosen once and handed down, and the cores."""

from __future__ import annotations

import os

from rine import arithmetic


def choose(name: str) -> str:
    """Return the device for `runtime.device`: `auto` is CUDA where there is one, else Apple's MPS, else the CPU.

    With portable arithmetic it is the CPU, the only device that keeps its promise.
    """
    import torch

    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device {name!r} cannot be used here ({error}); choose cpu or auto") from error
        return name
    if arithmetic.mode() == "portable":
        return "cpu"
    if torch.cuda.is_available():
        # torchrun starts a process for each GPU of a machine, and all of them see all GPUs
        rank = os.environ.get("LOCAL_RANK", "")
        return f"cuda:{int(rank) % torch.cuda.device_count()}" if rank.isdigit() else "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def each_of(device: str) -> list[str]:
    """Every device that the name stands for: `cuda` all GPUs that this process sees, any other itself."""
    if device != "cuda":
        return [device]
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


_most_cores: int | None = None


def limit_cores(n: int) -> None:
    """Let this process use no more than n cores: the others of the machine are other workers'."""
    global _most_cores
    _most_cores = n


def usable_cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return there if _most_cores is None else min(there, _most_cores)


def usable_threads() -> int:
    """Threads for work that is cut into independent parts, one thread each.

    PyTorch's own number is for sharing a single product; with portable arithmetic that is one, whatever the machine.
    """
    if arithmetic.mode() == "portable":
        return usable_cores()
    import torch

    return torch.get_num_threads()
