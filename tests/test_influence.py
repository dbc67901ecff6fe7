"""What a picture moves of a metric is what leaving it out shows, and the sums are what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rine.evaluation.influence import (
    FEWEST,
    INFLUENCES,
    accuracy,
    average_precision,
    rate,
    roc_auc,
    tpr_at,
)


def some(n_real: int, n_fake: int, decimals: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the logits of two runs, with ties where there are few decimals."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([False, True], [n_real, n_fake]))
    return labels, (rng.normal(size=(2, len(labels))) + labels).round(decimals)


def self_excluded_ap(labels: np.ndarray, logits: np.ndarray, odds: float) -> float:
    """AP whose synthetic pictures stay out of their own precision, at `odds` of real to synthetic pictures."""
    total, n_fake, n_real = 0.0, labels.sum(), (~labels).sum()
    for i in np.flatnonzero(labels):
        above = logits >= logits[i]
        found = (labels & above).sum() - 1
        seen = found / (n_fake - 1) + odds * (~labels & above).sum() / n_real
        total += found / (n_fake - 1) / seen if seen else 1.0
    return total / n_fake


@pytest.mark.parametrize("decimals", [9, 1, 0])
@pytest.mark.parametrize("shape", [(14, 9), (7, 20)])
def test_average_precision_is_the_jackknife_written_out(shape: tuple[int, int], decimals: int) -> None:
    labels, logits = some(*shape, decimals)
    odds = shape[0] / shape[1]
    made = average_precision(labels, logits)
    for run, value, pictures in zip(logits, *made, strict=True):
        whole = self_excluded_ap(labels, run, odds)
        keep = ~np.eye(len(labels), dtype=bool)
        left_out = np.array([self_excluded_ap(labels[k], run[k], odds) for k in keep])
        bias = sum(((labels == y).sum() - 1) * (left_out[labels == y].mean() - whole) for y in (False, True))
        assert value == pytest.approx(whole - bias)
        for y in (False, True):
            n = (labels == y).sum()
            expected = (left_out[labels == y].mean() - left_out[labels == y]) * np.sqrt((n - 1) / n)
            assert pictures[labels == y] == pytest.approx(expected, abs=1e-12)


def test_average_precision_at_chance_has_no_bias_where_the_usual_estimate_has_one() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    labels = np.repeat([False, True], 20)
    logits = rng.normal(size=(4000, 40))
    usual = np.mean([average_precision_score(labels, run) for run in logits[:1000]])
    assert usual > 0.53
    assert average_precision(labels, logits).value.mean() == pytest.approx(0.5, abs=0.006)


@pytest.mark.parametrize("decimals", [9, 0])
def test_roc_auc_and_its_variance_are_delongs(decimals: int) -> None:
    labels, logits = some(30, 20, decimals)
    made = roc_auc(labels, logits)
    for run, value, pictures in zip(logits, *made, strict=True):
        assert value == pytest.approx(roc_auc_score(labels, run))
        psi = np.sign(run[labels][:, None] - run[~labels]) / 2 + 0.5  # DeLong et al. 1988, equations 3 to 5
        variance = psi.mean(axis=1).var(ddof=1) / 20 + psi.mean(axis=0).var(ddof=1) / 30
        assert (pictures**2).sum() == pytest.approx(variance)


def test_accuracy_and_rates_are_binomial_by_class() -> None:
    labels, logits = some(30, 20)
    made = accuracy(labels, logits)
    for run, value, pictures in zip(logits, *made, strict=True):
        shares = [np.mean((run > 0)[labels == y] == y) for y in (False, True)]
        assert value == pytest.approx((30 * shares[0] + 20 * shares[1]) / 50)
        assert (pictures**2).sum() == pytest.approx(
            sum(n * p * (1 - p) for n, p in zip((30, 20), shares, strict=True)) / 50**2
        )
        for y, n in ((False, 30), (True, 20)):
            one = rate(y, labels, run[None])
            assert one.value == pytest.approx(shares[y])
            assert (one.pictures**2).sum() == pytest.approx(shares[y] * (1 - shares[y]) / n)
            assert not one.pictures[0, labels != y].any()


@pytest.mark.parametrize(("n", "skill", "least"), [(100, 1, 0.95), (100, 2, 0.95), (50, 3, 0.88)])
def test_differences_of_tpr_vary_as_much_as_is_said(n: int, skill: int, least: float) -> None:
    """Two methods on the same pictures.

    With the whole of the bias taken off they would vary by a sixth more; of good ones on few, a slope with its noise in
    it would say a third too much.
    """
    rng, labels = np.random.default_rng(0), np.arange(2 * n) >= n
    noise = rng.normal(size=(3000, 2 * n))
    alike = 0.7 * noise + np.sqrt(1 - 0.7**2) * rng.normal(size=noise.shape)
    first, second = (tpr_at(0.05, labels, each + skill * labels) for each in (noise, alike))
    said = ((first.pictures - second.pictures) ** 2).sum(axis=1).mean()
    assert least <= np.std(first.value - second.value) / np.sqrt(said) <= 1.08


def test_tpr_is_unbiased_and_its_variance_is_that_of_many_samples() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    labels = np.repeat([False, True], 200)
    made = tpr_at(0.05, labels, rng.normal(size=(1500, 400)) + 1.5 * labels)
    assert made.value.mean() == pytest.approx(norm.sf(norm.isf(0.05) - 1.5), abs=0.006)
    assert np.sqrt((made.pictures**2).sum(axis=1).mean()) == pytest.approx(made.value.std(), rel=0.1)


@pytest.mark.parametrize("name", INFLUENCES)
def test_perfect_scores_have_no_influence_and_too_few_pictures_no_value(name: str) -> None:
    labels = np.repeat([False, True], 100)
    made = INFLUENCES[name](labels, np.where(labels, 2.0, -2.0)[None])
    assert made.value == pytest.approx([1])
    assert made.pictures == pytest.approx(np.zeros((1, 200)), abs=1e-12)
    labels = np.repeat([False, True], [FEWEST - 1, 9])
    few = INFLUENCES[name](labels, np.where(labels, 2.0, -2.0)[None])
    assert np.isnan(few.value[0]) == (name in {"ap", "roc_auc", "tpr_at_fpr1", "tpr_at_fpr5"})
