"""RINE: synthetic-image detection from the CLS tokens of all blocks of a frozen CLIP encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rine.detector import Detector, Verdict

__version__ = "0.1.0"
__all__ = ["Detector", "Verdict", "__version__"]


def __getattr__(name: str) -> Any:
    # `import rine` must cost nothing: the detector pulls in torch, the stages that need none must not
    if name in {"Detector", "Verdict"}:
        from rine import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'rine' has no attribute {name!r}")
