"""Metrics of scores, as scikit-learn names and defines them, by its functions.

A metric that cannot be had (one class, too few pictures, scores all equal, no calibration) is None with the
reason; the rest are made. Logits are compared, not probabilities: a sigmoid in single precision makes ties
near 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rine.scores.calibration import FEWEST, Calibration, probability
from rine.scores.of_runs import log_loss_of_runs

ECE_BINS = 15  # Guo et al., ICML 2017, "On calibration of modern neural networks"


class Value(NamedTuple):
    """A metric's value, or None and the reason why it cannot be had."""

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric: its name for people, its function of (labels, logits, calibration), and what it needs.

    `needs`: "classes" both of them, "real" or "fake" pictures, "number" of at least ten pictures, "spread" of
    scores, "calibration".
    """

    title: str
    function: Callable[[np.ndarray, np.ndarray, Calibration | None], float]
    needs: tuple[str, ...] = ()


def evaluate(
    labels: np.ndarray, logits: np.ndarray, calibration: Calibration | None = None, names: Iterable[str] | None = None
) -> dict[str, Value]:
    """Every metric of `METRICS`, or those of some names, for labels (N,) and logits (N,)."""
    from sklearn import config_context

    labels, logits = np.asarray(labels).astype(bool), np.asarray(logits, dtype=np.float64)
    if labels.shape != logits.shape or labels.ndim != 1:
        raise ValueError(f"labels and logits are one number a picture each; got {labels.shape} and {logits.shape}")
    lacking = _lacking(labels, logits, calibration)
    values = {}
    with config_context(assume_finite=True, skip_parameter_validation=True):  # they were looked at above
        for name in METRICS if names is None else names:
            metric = METRICS[name]
            reason = next((lacking[need] for need in ("any", *metric.needs) if need in lacking), "")
            values[name] = Value(None, reason) if reason else Value(float(metric.function(labels, logits, calibration)))
    return values


def _lacking(labels: np.ndarray, logits: np.ndarray, calibration: Calibration | None) -> dict[str, str]:
    """What these pictures cannot give: need -> reason."""
    n, n_fake = len(labels), int(labels.sum())
    lacking = {}
    if n == 0:
        lacking["any"] = "no pictures"
    elif not np.isfinite(logits).all():
        lacking["any"] = f"{int((~np.isfinite(logits)).sum())} of {n} scores are not finite"
    if n_fake == 0:
        lacking["fake"] = lacking["classes"] = "no synthetic pictures"
    if n_fake == n:
        lacking["real"] = lacking["classes"] = "no real pictures"
    if n < FEWEST:
        lacking["number"] = f"{n} pictures; fewer than {FEWEST}"
    if n and np.all(logits == logits[0]):
        lacking["spread"] = "all scores are equal"
    if calibration is None or not calibration.fitted:
        lacking["calibration"] = "not calibrated" + (f": {calibration.reason}" if calibration else "")
    return lacking


def _accuracy(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
    from sklearn.metrics import accuracy_score

    return accuracy_score(labels, logits > 0)


def _accuracy_of(label: bool) -> Callable[[np.ndarray, np.ndarray, Calibration | None], float]:
    def accuracy(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
        return float(np.mean((logits[labels == label] > 0) == label))

    return accuracy


def _balanced_accuracy(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
    from sklearn.metrics import balanced_accuracy_score

    return balanced_accuracy_score(labels, logits > 0)


def _average_precision(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
    from sklearn.metrics import average_precision_score

    return average_precision_score(labels, logits)


def _roc_auc(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(labels, logits)


def _roc(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(labels, logits, drop_intermediate=False)
    return fpr, tpr


def _eer(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
    """Where the ROC curve, straight between its points, has as many false alarms as misses."""
    fpr, tpr = _roc(labels, logits)
    gap = fpr + tpr - 1  # rises from -1 to 1
    at = int(np.argmax(gap >= 0))
    before, after = gap[at - 1], gap[at]
    share = -before / (after - before)
    return float(fpr[at - 1] + share * (fpr[at] - fpr[at - 1]))


def _tpr_at(level: float) -> Callable[[np.ndarray, np.ndarray, Calibration | None], float]:
    def tpr_at(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
        """The highest true positive rate at a threshold with no more false alarms than `level`."""
        fpr, tpr = _roc(labels, logits)
        return float(tpr[fpr <= level].max())

    return tpr_at


def _oracle_accuracy(labels: np.ndarray, logits: np.ndarray, _: Calibration | None) -> float:
    """Accuracy at the threshold that is best on these very pictures: what no one can have in advance."""
    fpr, tpr = _roc(labels, logits)
    return float(np.max(tpr * labels.sum() + (1 - fpr) * (~labels).sum()) / len(labels))


def _ece(labels: np.ndarray, logits: np.ndarray, calibration: Calibration | None) -> float:
    """Expected calibration error: |mean probability - share of synthetic| in bins of equal width."""
    p = probability(calibration or Calibration(), logits)
    bins = np.minimum((p * ECE_BINS).astype(int), ECE_BINS - 1)
    off = np.bincount(bins, weights=p - labels, minlength=ECE_BINS)
    return float(np.abs(off).sum() / len(labels))


def _nll(labels: np.ndarray, logits: np.ndarray, calibration: Calibration | None) -> float:
    # scikit-learn's log_loss clips the probability: a confident mistake would cost 36 at most
    at = calibration or Calibration()
    return float(log_loss_of_runs(labels, (at.scale * logits + at.bias)[None])[0])


def _raw(function: Callable[..., float]) -> Callable[[np.ndarray, np.ndarray, Calibration | None], float]:
    return lambda labels, logits, _: function(labels, logits, None)


def _calibrated_accuracy(labels: np.ndarray, logits: np.ndarray, calibration: Calibration | None) -> float:
    at = calibration or Calibration()
    return _accuracy(labels, at.scale * logits + at.bias, None)


_CURVE = ("classes", "number", "spread")
METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy at 0.5", _accuracy),
    "average_precision": Metric("Average precision", _average_precision, _CURVE),
    "roc_auc": Metric("ROC AUC", _roc_auc, _CURVE),
    "balanced_accuracy": Metric("Balanced accuracy", _balanced_accuracy, ("classes",)),
    "accuracy_real": Metric("Accuracy of real pictures", _accuracy_of(False), ("real",)),
    "accuracy_fake": Metric("Accuracy of synthetic pictures", _accuracy_of(True), ("fake",)),
    "eer": Metric("Equal error rate", _eer, _CURVE),
    "tpr_at_fpr1": Metric("TPR at 1 % FPR", _tpr_at(0.01), _CURVE),
    "tpr_at_fpr5": Metric("TPR at 5 % FPR", _tpr_at(0.05), _CURVE),
    "ece": Metric("Expected calibration error", _raw(_ece), ("number",)),
    "nll": Metric("Negative log-likelihood", _raw(_nll)),
    "calibrated_accuracy": Metric("Accuracy at the calibrated threshold", _calibrated_accuracy, ("calibration",)),
    "calibrated_ece": Metric("Expected calibration error, calibrated", _ece, ("calibration", "number")),
    "calibrated_nll": Metric("Negative log-likelihood, calibrated", _nll, ("calibration",)),
    "oracle_accuracy": Metric("Accuracy at the best threshold in hindsight", _oracle_accuracy, _CURVE),
}
