"""What each picture moves of a metric: the jackknife, by class, of accuracy, AP, ROC AUC and TPR at a fixed FPR.

The sum of the squared influences of all pictures estimates the variance of the metric (Efron and Stein, Annals of
Statistics 1981); of ROC AUC it is DeLong's (Biometrics 1988). Influences add up: those of a mean over test sets are the
means of theirs, and a picture that several sets share has the sum of what it moves in each. Metrics whose estimate is
biased are corrected, for intervals alone: the figure that is reported stays scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from rine.evaluation.roc_curve import curve_of

FEWEST = 3  # pictures of a class; of fewer there is nothing to leave out
_AT_ONCE = 250_000  # scores of runs that are ranked together


class Influence(NamedTuple):
    """Of K runs on n pictures: the metric without bias (K,), and what each picture moves of it (K, n); NaN for none."""

    value: np.ndarray
    pictures: np.ndarray


def accuracy(labels: np.ndarray, logits: np.ndarray) -> Influence:
    """Accuracy at 0.5 of labels (n,) by logits (K, n); the class sizes are fixed."""
    correct = ((logits > 0) == labels).astype(float)
    return Influence(correct.mean(axis=1), _centred(correct, labels) / len(labels))


def rate(label: bool, labels: np.ndarray, logits: np.ndarray) -> Influence:
    """Accuracy on the pictures of one class; the others move nothing."""
    of_class = labels == label
    correct = ((logits > 0) == labels) * of_class
    n = max(of_class.sum(), 1)
    return Influence(correct.sum(axis=1) / n if of_class.any() else _none(logits)[0], _centred(correct, labels) / n)


def roc_auc(labels: np.ndarray, logits: np.ndarray) -> Influence:
    """ROC AUC; the influences are DeLong's structural components, equal scores count half."""
    if _too_few(labels):
        return _none(logits)
    from scipy.stats import rankdata

    # of a synthetic picture the share of reals below it; of a real one that of synthetic ones above it
    shares = np.empty(logits.shape)
    ranks = rankdata(logits, axis=1)
    for label in (False, True):
        of_class, n_others = labels == label, (labels != label).sum()
        below = (ranks[:, of_class] - rankdata(logits[:, of_class], axis=1)) / n_others
        shares[:, of_class] = below if label else 1 - below
    return Influence(shares[:, labels].mean(axis=1), _centred(shares, labels) / _class_size(labels) * _bessel(labels))


def average_precision(labels: np.ndarray, logits: np.ndarray) -> Influence:
    """Average precision, at the share of synthetic pictures that the set has.

    A synthetic picture at rank k stands among those that are counted down to its own rank, which raises AP by about
    log(n) / n at chance (Bestgen 2015). Left out of its own precision, as Haldane (1945) does where one samples until
    the k-th success, that is gone; the jackknife takes the rest.
    """
    if _too_few(labels):
        return _none(logits)
    parts = [_average_precision(labels, part) for part in np.array_split(logits, -(-logits.size // _AT_ONCE))]
    return Influence(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _average_precision(labels: np.ndarray, logits: np.ndarray) -> Influence:
    """Every picture is left out in turn, in one pass down the ranking of each run."""
    n_fake = int(labels.sum())
    n_real = len(labels) - n_fake
    order = np.argsort(-logits, axis=1, kind="stable")
    ranked, fake = np.take_along_axis(logits, order, axis=1), labels[order]  # (K, n), highest first
    first, last = _ties(ranked)
    # other pictures of each class that score as much or more
    above_fake = np.take_along_axis(np.cumsum(fake, axis=1), last, axis=1) - 1.0
    above_real = np.take_along_axis(np.cumsum(~fake, axis=1), last, axis=1) * 1.0

    def precision(fakes: np.ndarray, reals: np.ndarray, left_out_fake: int, left_out_real: int) -> np.ndarray:
        """At each synthetic picture, with the classes weighted as in the whole set."""
        a, b = fakes * (n_fake / (n_fake - 1 - left_out_fake)), reals * (n_real / (n_real - left_out_real))
        return np.where(fake, np.where(a + b > 0, a / np.maximum(a + b, 1e-300), 1.0), 0.0)

    def sums(same: np.ndarray, lost: np.ndarray) -> np.ndarray:
        """For each picture left out: those above it keep their precision, those from it on lose one before them."""
        kept, gone = (np.concatenate([np.zeros((len(logits), 1)), np.cumsum(x, axis=1)], axis=1) for x in (same, lost))
        return np.take_along_axis(kept, first, axis=1) + gone[:, -1:] - np.take_along_axis(gone, first, axis=1)

    value = precision(above_fake, above_real, 0, 0).sum(axis=1) / n_fake
    same = precision(above_fake, above_real, 0, 1)
    of_real = sums(same, precision(above_fake, np.maximum(above_real - 1, 0), 0, 1)) / n_fake
    same, lost = (precision(np.maximum(above_fake - one, 0), above_real, 1, 0) for one in (0, 1))
    left_out = np.empty(logits.shape)
    np.put_along_axis(left_out, order, np.where(fake, (sums(same, lost) - lost) / (n_fake - 1), of_real), axis=1)
    means = [left_out[:, labels == label].mean(axis=1) for label in (False, True)]
    bias = (n_real - 1) * (means[0] - value) + (n_fake - 1) * (means[1] - value)
    n = _class_size(labels)
    return Influence(value - bias, -_centred(left_out, labels) * np.sqrt((n - 1) / n))


def _ties(ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (K, n) of the first and the last of those that score as each of ranked scores (K, n) does."""
    place = np.arange(ranked.shape[1])
    new = np.ones(ranked.shape, bool)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    end = np.ones(ranked.shape, bool)
    end[:, :-1] = new[:, 1:]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    last = np.minimum.accumulate(np.where(end, place, len(place))[:, ::-1], axis=1)[:, ::-1]
    return first, last


def tpr_at(level: float, labels: np.ndarray, logits: np.ndarray) -> Influence:
    """Share of synthetic pictures above the threshold that a share `level` of real ones passes.

    The threshold is the real score at rank level * (n + 1), whose false alarm rate is `level` on average; how it would
    vary is known in closed form, for the rate of an order statistic has a beta distribution (Maritz and Jarrett, JASA
    1978; the bootstrap of Zhou and Qin, 2005, without its rounds). How far TPR moves with it is told by how many
    synthetic pictures stand between neighbouring reals: independent geometric numbers (Pyke 1965), whose own spread
    would be taken for slope.
    """
    real, fake, n_real, n_fake = logits[:, ~labels], logits[:, labels], int((~labels).sum()), int(labels.sum())
    rank = level * (n_real + 1)
    if _too_few(labels) or rank < 1:
        return _none(logits)
    curve = curve_of(n_real, rank)
    scores, ranked = -np.sort(-real, axis=1)[:, : len(curve.at)], np.sort(fake, axis=1)
    found = np.stack([np.searchsorted(r, s, side="right") for r, s in zip(ranked, scores, strict=True)])
    found = 1 - found / n_fake  # TPR where 1, 2, ... reals pass
    at_rank, threshold = found @ curve.at, scores @ curve.at
    above = _centred((logits > threshold[:, None]).astype(float), labels) / n_fake
    # the slope on a scale on which shares vary alike (Brown, Cai and Zhou 2010): near 1 the curve bends
    angles = 2 * np.arcsin(np.sqrt((n_fake * found + 0.25) / (n_fake + 0.5)))
    share = np.clip(at_rank, 0.5 / n_fake, 1 - 0.5 / n_fake)
    rise = n_fake * np.abs(angles @ curve.tilt) * np.sqrt(share * (1 - share))
    noise, whole = (curve.of_tilt**2).sum(), curve.of_tilt.sum() ** 2
    between = (np.sqrt(noise**2 + 4 * rise**2 * (whole + noise)) - noise) / (2 * (whole + noise)) / n_fake
    variance = [(above[:, labels == label] ** 2).sum(axis=1) for label in (False, True)]
    steps, plain = (curve.of_value**2).sum(), (np.cumsum(curve.at[::-1]) ** 2).sum()
    wanted = between**2 * steps, variance[1] + between * (steps - plain) / n_fake
    scale = [np.sqrt(np.divide(w, v, out=np.zeros(len(v)), where=v > 0)) for w, v in zip(wanted, variance, strict=True)]
    pictures = np.where(labels, above * scale[1][:, None], -above * scale[0][:, None])
    return Influence(np.clip(found @ curve.value, 0, 1), pictures * _bessel(labels))


def _centred(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Values (K, n) less the mean of their class."""
    centred = values.astype(float)
    for label in (False, True):
        if (labels == label).any():
            centred[:, labels == label] -= centred[:, labels == label].mean(axis=1, keepdims=True)
    return centred


def _class_size(labels: np.ndarray) -> np.ndarray:
    return np.where(labels, labels.sum(), (~labels).sum())


def _bessel(labels: np.ndarray) -> np.ndarray:
    n = _class_size(labels)
    return np.sqrt(n / np.maximum(n - 1, 1))


def _too_few(labels: np.ndarray) -> bool:
    return min(labels.sum(), (~labels).sum()) < FEWEST


def _none(logits: np.ndarray) -> Influence:
    return Influence(np.full(len(logits), np.nan), np.full(logits.shape, np.nan))


INFLUENCES: dict[str, Callable[[np.ndarray, np.ndarray], Influence]] = {
    "acc": accuracy,
    "accuracy_real": partial(rate, False),
    "accuracy_fake": partial(rate, True),
    "ap": average_precision,
    "roc_auc": roc_auc,
    "tpr_at_fpr1": partial(tpr_at, 0.01),
    "tpr_at_fpr5": partial(tpr_at, 0.05),
}
# shares of pictures: their variance follows from their value; the pictures of which class they count
RATES: dict[str, tuple[bool, ...]] = {"acc": (False, True), "accuracy_real": (False,), "accuracy_fake": (True,)}
