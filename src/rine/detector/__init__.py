"""Pictures in, verdicts out; evidence for them, export, and models by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rine.detector.detector import Detector
    from rine.detector.verdict import Loaded, Verdict

__all__ = ["Detector", "Loaded", "Verdict"]
_HOMES = {"Detector": "detector", "Loaded": "verdict", "Verdict": "verdict"}


def __getattr__(name: str) -> Any:
    # where a model lies, and whether its encoder's weights are here, is told without torch's seconds
    if name in _HOMES:
        return getattr(import_module(f"rine.detector.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'rine.detector' has no attribute {name!r}")
