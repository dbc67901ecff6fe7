"""Calibration on validation pictures: probabilities that mean something, thresholds, a verdict of three.

Never fitted on test pictures. The paper's decision is logit > 0; on new data that threshold means nothing, so
a temperature and a bias are fitted (Platt 1999), and thresholds for 1 % and 5 % false alarms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["real", "synthetic", "inconclusive"]
FEWEST = 10  # pictures; of fewer nothing is fitted, and no curve is drawn
FPR1, FPR5 = 0.01, 0.05  # false alarm rates of the two thresholds


@dataclass(frozen=True)
class Calibration:
    """Probability = sigmoid(scale * logit + bias); a logit above a threshold counts as an alarm.

    `scale` is one over the temperature. `n` counts the pictures of both classes that were fitted on; with `n` 0
    probabilities are not calibrated, and `reason` says why. Thresholds without them (`alarms_only`) come from real
    pictures alone. A `reason` beside a fit says what it lacks. Plain numbers: `asdict` is JSON.
    """

    scale: float = 1.0
    bias: float = 0.0
    threshold_fpr1: float | None = None
    threshold_fpr5: float | None = None
    n: int = 0
    reason: str = ""

    @property
    def fitted(self) -> bool:
        return self.n > 0

    @property
    def alarms_only(self) -> bool:
        """Thresholds from real pictures alone: what false alarms are is known, what is found is not."""
        return not self.fitted and self.threshold_fpr1 is not None


def fit(labels: np.ndarray, logits: np.ndarray) -> Calibration:
    """Fit on validation labels (M,) and logits (M,); where that cannot be done, the result says why.

    Maximum likelihood with Platt's smoothed targets, (n + 1) / (n + 2) for 1 and 1 / (n + 2) for 0: where the
    classes are apart, as a detector's validation pictures mostly are, labels of 0 and 1 would drive the scale
    to infinity.
    """
    labels, logits = np.asarray(labels).astype(bool), np.asarray(logits, dtype=np.float64)
    if labels.shape != logits.shape or labels.ndim != 1:
        raise ValueError(f"labels and logits are one number a picture each; got {labels.shape} and {logits.shape}")
    n, n_fake = len(labels), int(labels.sum())
    if n < FEWEST:
        return Calibration(
            reason=f"{n} validation pictures; at least {FEWEST} are needed" if n else "no validation set"
        )
    if n_fake in (0, n):
        return Calibration(reason=f"the validation pictures are all {'synthetic' if n_fake else 'real'}")
    if not np.isfinite(logits).all():
        return Calibration(reason="validation scores are not finite")
    if logits.std() == 0:
        return Calibration(reason="all validation scores are equal")
    scale, bias = _platt(labels, logits)
    if scale <= 0:
        return Calibration(reason="on the validation pictures, real ones score higher than synthetic ones")
    real = logits[~labels]
    return Calibration(scale, bias, _threshold(real, FPR1), _threshold(real, FPR5), n, _too_few(len(real)))


def fit_alarms(real: np.ndarray) -> Calibration:
    """Thresholds from logits (M,) of real pictures alone; nothing is then called real, since misses are unknown.

    Probabilities are not calibrated: 0.5 is put at the threshold for 1 % false alarms, and no more is meant by them.
    """
    real = np.asarray(real, dtype=np.float64)
    if len(real) < FEWEST:
        return Calibration(reason=f"{len(real)} real pictures; at least {FEWEST} are needed")
    if not np.isfinite(real).all():
        return Calibration(reason="scores are not finite")
    threshold = _threshold(real, FPR1)
    reason = "fitted on real pictures alone, so probabilities are not calibrated and nothing is called real"
    few = _too_few(len(real))
    return Calibration(1.0, -threshold, threshold, _threshold(real, FPR5), reason=f"{reason}; {few}" if few else reason)


def needed(level: float) -> int:
    """How many real pictures it takes to promise a false alarm rate: 99 for 1 %, 19 for 5 %."""
    return math.ceil(1 / level - 1e-9) - 1


def _too_few(n_real: int) -> str:
    """What so few real pictures cannot promise: a false alarm rate cannot be finer than one picture of the sample."""
    coarse = [level for level in (FPR1, FPR5) if n_real < needed(level)]
    if not coarse:
        return ""
    levels, numbers = (" and ".join(map(str, each)) for each in ([f"{x:.0%}" for x in coarse], map(needed, coarse)))
    return (
        f"{n_real} real validation pictures are too few for {levels} false alarms ({numbers} are needed); "
        f"the highest of them stands in, which promises {1 / (n_real + 1):.1%}"
    )


def probability(calibration: Calibration, logits: np.ndarray) -> np.ndarray:
    """Calibrated probability of being synthetic."""
    from scipy.special import expit

    return expit(calibration.scale * np.asarray(logits, dtype=np.float64) + calibration.bias)


def verdict(calibration: Calibration, logit: float) -> tuple[Verdict, float]:
    """`synthetic`, `real` or `inconclusive`, and the calibrated probability of being synthetic.

    Synthetic: above the threshold for 1 % false alarms, and the probability agrees. Real: below that for 5 %,
    and the probability agrees. All between is inconclusive, and so is everything where there are no
    thresholds; with thresholds from real pictures alone nothing is real.
    """
    z = min(max(calibration.scale * float(logit) + calibration.bias, -700.0), 700.0)
    p = 1 / (1 + math.exp(-z))
    if calibration.threshold_fpr1 is None or calibration.threshold_fpr5 is None:
        return "inconclusive", p
    if logit > calibration.threshold_fpr1 and p > 0.5:
        return "synthetic", p
    if logit <= calibration.threshold_fpr5 and p < 0.5 and not calibration.alarms_only:
        return "real", p
    return "inconclusive", p


def _platt(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Scale and bias that maximise the likelihood of smoothed targets: convex, with one finite solution."""
    from scipy.optimize import minimize

    n_fake = labels.sum()
    n_real = len(labels) - n_fake
    targets = np.where(labels, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    centre, spread = logits.mean(), logits.std()
    x = (logits - centre) / spread

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = w[0] * x + w[1]
        off = 0.5 * (1 + np.tanh(z / 2)) - targets
        return float(np.mean(np.logaddexp(0, z) - targets * z)), np.array([np.mean(off * x), np.mean(off)])

    a, b = minimize(loss, np.zeros(2), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    return float(a / spread), float(b - a * centre / spread)


def _allowed_above(n_real: int, level: float) -> int:
    """How many of n real pictures may lie above a threshold that a fresh one passes with probability `level`.

    Less than 0 where no threshold of the sample can promise that (one order statistic, as in conformal
    prediction).
    """
    return math.floor(level * (n_real + 1) + 1e-9) - 1


def _threshold(real: np.ndarray, level: float) -> float:
    """The logit above which a real picture lies with probability `level` at most."""
    return float(np.sort(real)[::-1][max(_allowed_above(len(real), level), 0)])
