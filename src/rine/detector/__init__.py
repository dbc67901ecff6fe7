"""Pictures in, verdicts out; evidence for them, export, and models by name."""

from rine.detector.detector import MAX_PIXELS, Detector
from rine.detector.verdict import Loaded, Verdict

__all__ = ["MAX_PIXELS", "Detector", "Loaded", "Verdict"]
