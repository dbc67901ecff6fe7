"""Pictures in, verdicts out; evidence for them, export, and models by name."""

from rine.detector.detector import Detector
from rine.detector.verdict import Loaded, Verdict

__all__ = ["Detector", "Loaded", "Verdict"]
