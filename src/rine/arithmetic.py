"""Which arithmetic a process computes with.

`portable`: the same bits on every x86-64 processor with AVX2, whoever made it, and with any number of cores.
`fast`: whatever the machine does best, so that the last digits of a result depend on the machine.

The libraries read the variables below when they are loaded. So `use` must be called before NumPy, SciPy and PyTorch are
imported; worker processes inherit what it sets. docs/reproducibility.md says what is promised and how it was shown.
"""

from __future__ import annotations

import os
import platform
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Literal

Mode = Literal["portable", "fast"]

_LIBRARIES = ("numpy", "scipy", "torch")
_mode: Mode = "fast"


def variables() -> dict[str, str]:
    """The environment that makes arithmetic portable; of it, only the names of NumPy's features depend on a version."""
    new_names = tuple(map(int, version("numpy").split(".")[:2])) >= (2, 4)
    return {
        # its other settings choose by the processor's maker
        "MKL_CBWR": "COMPATIBLE",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"
        if new_names
        else "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
        # a sum that is shared among threads is added up in an order that depends on their number
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def use(mode: Mode) -> None:
    """Make this process, and those that it starts, compute in a mode.

    Where `portable` cannot be had, since a library is loaded already or the processor is of another kind, a
    RuntimeWarning says what to do and the process computes in the mode `fast`. That one needs nothing to be set.
    """
    global _mode
    _mode = "fast"
    if mode == "fast":
        return
    wanted = variables()
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        if loaded := [name for name in _LIBRARIES if name in sys.modules]:
            warnings.warn(
                f"portable arithmetic was asked for after {', '.join(loaded)} had been imported, so this process "
                "computes with fast arithmetic and the last digits of its results may differ; call "
                "rine.arithmetic.use('portable') before anything else is imported",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        os.environ.update(wanted)
    if not supported():
        warnings.warn(
            "portable arithmetic needs Linux on an x86-64 processor with AVX2; here the last digits of results "
            "may differ from those of other machines",
            RuntimeWarning,
            stacklevel=2,
        )
        return
    _mode = "portable"


def mode() -> Mode:
    """The arithmetic of this process."""
    return _mode


def supported() -> bool:
    """Whether this machine is one of those on which `portable` promises the same bits."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return "avx2" in flags.split()
