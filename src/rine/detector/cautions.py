"""What weakens every verdict of a model, in words; `verdict.remark` has what weakens one."""

from __future__ import annotations

from rine.scores.calibration import Calibration


def cautions_of(pretrained: str, calibration: Calibration, threshold: float | None) -> list[str]:
    found = []
    if pretrained == "random":
        found.append("the encoder has random weights: verdicts show that everything works, and no more")
    if calibration.reason and threshold is None:
        if calibration.threshold_fpr1 is None:
            found.append(
                f"there are no thresholds, so all is inconclusive ({calibration.reason}): `rine calibrate` fits some "
                "on pictures of yours"
            )
        else:
            found.append(f"the thresholds are weak: {calibration.reason}")
    return found
