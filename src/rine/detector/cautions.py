"""What weakens every verdict of a model, in words; `verdict.remark` has what weakens one."""

from __future__ import annotations

from rine.scores.calibration import Calibration


def cautions_of(pretrained: str, calibration: Calibration, threshold: float | None) -> list[str]:
    found = []
    if pretrained == "random":
        found.append("the encoder has random weights: verdicts show that everything works, and no more")
    if calibration.reason and threshold is None:
        none = calibration.threshold_fpr1 is None
        what = "there are no thresholds, so all is inconclusive" if none else "the thresholds are weak"
        found.append(f"{what}: {calibration.reason}")
    return found
