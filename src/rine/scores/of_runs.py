"""The few metrics that every stage publishes, of many runs at once; the others are in `rine.evaluation.metrics`."""

from __future__ import annotations

import numpy as np


def accuracy_of_runs(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Accuracy at 0.5 (logit above 0) of labels (N,) by logits (K, N): (K,)."""
    return ((logits > 0) == labels.astype(bool)).mean(axis=1)


def log_loss_of_runs(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Mean binary cross-entropy of labels (N,) by logits (K, N): (K,). Safe for any finite logit."""
    away = np.where(labels.astype(bool), -logits, logits).astype(np.float64)
    return np.logaddexp(0, away).mean(axis=1)


def roc_auc_of_runs(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """ROC AUC of labels (N,) by logits (K, N): (K,); equal scores count half. Both classes are needed."""
    from scipy.stats import rankdata

    positive = labels.astype(bool)
    n_fake = positive.sum()
    ranks = rankdata(logits, axis=1)[:, positive].sum(axis=1)
    return (ranks - n_fake * (n_fake + 1) / 2) / (n_fake * (len(positive) - n_fake))


def average_precision_of_runs(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Average precision of labels (N,) by logits (K, N): (K,). Equals scikit-learn's, ties included.

    Both classes are needed. A run at a time, since a sort of them all takes many times their memory.
    """
    positive = labels.astype(bool)
    return np.array([_average_precision(positive, run) for run in logits])


def _average_precision(positive: np.ndarray, logits: np.ndarray) -> float:
    order = np.argsort(-logits)  # (N,), highest first
    hits, ranked = positive[order], logits[order]
    # equal scores share one threshold: the precision of each is that of the last of them
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    last = np.repeat(ends, np.diff(ends, prepend=-1))
    return (hits * np.cumsum(hits)[last] / (last + 1)).sum() / positive.sum()
