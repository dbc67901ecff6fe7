"""What a model is worth on pictures of one's own: rates, metrics and their intervals, by the report's own code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Interval, interval, scored
from rine.evaluation.metrics import evaluate
from rine.own.pictures import Judged
from rine.scores import TestSet
from rine.scores.calibration import Calibration, probability

CONFIDENCE = 0.95
ROUNDS = 1000  # of the bootstrap of the calibration error, for which no closed form is at hand
VERDICTS = ("real", "inconclusive", "synthetic")


@dataclass(frozen=True)
class Measured:
    """A value in 0..1 with its interval, or None and the reason."""

    name: str
    title: str
    value: float | None
    interval: Interval | None = None
    reason: str = ""


def measure(judged: Judged, calibration: Calibration) -> list[Measured]:
    """Every figure that these pictures allow; what one class alone, few pictures or no thresholds forbid says so."""
    rows = judged.rows
    labels, logits = rows["label"].to_numpy(bool), rows["logit"].to_numpy()
    found = [*_rates(rows, labels, logits, calibration)]
    values = evaluate(labels, logits, calibration)
    decided = calibration.scale * logits + calibration.bias
    for name, metric, title, scores in (
        ("accuracy", "acc", "Accuracy at a logit of 0", logits),
        ("calibrated_accuracy", "acc", "Accuracy at a probability of 0.5", decided),
        ("roc_auc", "roc_auc", "ROC AUC", logits),
        ("average_precision", "ap", "Average precision", logits),
    ):
        value, reason = values[name]
        found.append(Measured(name, title, value, None if value is None else _interval(rows, scores, metric), reason))
    name = "calibrated_ece" if calibration.fitted else "ece"
    title = "Expected calibration error" + ("" if calibration.fitted else " of uncalibrated probabilities")
    value, reason = values[name]
    one_class = "" if 0 < labels.sum() < len(labels) else "one class only"
    if one_class or value is None:
        return [*found, Measured(name, title, None, None, one_class or reason)]
    fitted = calibration if calibration.fitted else Calibration()
    return [*found, Measured(name, title, value, _of_calibration_error(labels, probability(fitted, logits), value))]


def _rates(rows: pd.DataFrame, labels: np.ndarray, logits: np.ndarray, fitted: Calibration) -> Iterator[Measured]:
    """False alarms and finds at each threshold of the model, and at the paper's."""
    thresholds = {
        "fpr1": ("the threshold for 1 % false alarms", fitted.threshold_fpr1),
        "fpr5": ("the threshold for 5 % false alarms", fitted.threshold_fpr5),
        "zero": ("a logit of 0", 0.0),
    }
    for name, (title, threshold) in thresholds.items():
        for label, kind, what in ((False, "false_alarms", "False alarms"), (True, "found", "Synthetic ones found")):
            full = f"{what} at {title}"
            if threshold is None or not (labels == label).any():
                reason = "the model has no thresholds" if threshold is None else f"no {_kind(label)} pictures"
                yield Measured(f"{kind}_{name}", full, None, None, reason)
                continue
            value = float((logits[labels == label] > threshold).mean())
            made = _interval(rows, logits - threshold, "accuracy_fake" if label else "accuracy_real")
            if made and not label:  # of the reals that pass, not of those that are right
                made = Interval(1 - made.high, 1 - made.low, made.few)
            yield Measured(f"{kind}_{name}", full, value, made)


def _kind(label: bool) -> str:
    return "synthetic" if label else "real"


def _interval(rows: pd.DataFrame, scores: np.ndarray, metric: str) -> Interval | None:
    labels = rows["label"].to_numpy(bool)
    own = TestSet("own", "own", "own", "own", np.arange(len(rows)), labels)
    return interval(scored(rows, [own], scores[None]).mean(metric, [0]), CONFIDENCE)


def _of_calibration_error(labels: np.ndarray, p: np.ndarray, value: float) -> Interval:
    """Bootstrap by class, reflected at the value: resampled copies raise the error, so its quantiles lie too high."""
    from rine.evaluation.metrics import ECE_BINS

    rng = np.random.default_rng(0)
    classes = [np.flatnonzero(labels == label) for label in (False, True)]
    bins = np.minimum((p * ECE_BINS).astype(int), ECE_BINS - 1)
    errors = []
    for _ in range(ROUNDS):
        drawn = np.concatenate([rng.choice(some, len(some)) for some in classes])
        off = np.bincount(bins[drawn], weights=p[drawn] - labels[drawn], minlength=ECE_BINS)
        errors.append(np.abs(off).sum() / len(drawn))
    low, high = np.quantile(errors, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(max(2 * value - float(high), 0.0), min(max(2 * value - float(low), value), 1.0))


def counts(judged: Judged) -> pd.DataFrame:
    """How many pictures of each truth and source got which verdict; `source` "" is all of a truth."""
    rows = []
    for label in (0, 1):
        part = judged.of(label)
        for source in ["", *dict.fromkeys(part["source"])]:
            some = part if source == "" else part[part["source"] == source]
            if len(some) and not (source and part["source"].nunique() == 1):
                numbers = [int((some["verdict"] == verdict).sum()) for verdict in VERDICTS]
                rows.append((label, source, len(some), *numbers))
    return pd.DataFrame(rows, columns=["label", "source", "pictures", *VERDICTS])
