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

    Both classes are needed. One sort of a matrix: 48 runs over 20 test sets of 8000 pictures take about a
    second.
    """
    positive = labels.astype(bool)
    n = len(positive)
    order = np.argsort(-logits, axis=1)  # (K, N), highest first
    ranked = np.take_along_axis(logits, order, axis=1)
    hits = positive[order]
    # equal scores share one threshold: the precision of each is that of the last of them
    last = np.full(logits.shape, n - 1)
    last[:, :-1][ranked[:, 1:] != ranked[:, :-1]] = np.broadcast_to(np.arange(n - 1), (len(logits), n - 1))[
        ranked[:, 1:] != ranked[:, :-1]
    ]
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    hits_above = np.take_along_axis(np.cumsum(hits, axis=1), last, axis=1)
    return (hits * hits_above / (last + 1)).sum(axis=1) / positive.sum()
