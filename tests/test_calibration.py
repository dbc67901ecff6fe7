"""Calibration: it finds what was put in, survives classes that are apart, says so where it cannot be had."""

from __future__ import annotations

import numpy as np
import pytest

from rine.dataset import shortcuts
from rine.scores import calibration
from rine.scores.calibration import fit, probability, verdict


def drawn(n: int, scale: float, bias: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the probability sigmoid(scale * logit + bias)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=n) * 4
    return rng.random(n) < 1 / (1 + np.exp(-(scale * logits + bias))), logits


def test_scale_and_bias_that_made_the_labels_are_found():
    labels, logits = drawn(20000, 0.4, -1.2)
    found = fit(labels, logits)
    assert found.scale == pytest.approx(0.4, rel=0.05)
    assert found.bias == pytest.approx(-1.2, rel=0.05)
    assert found.n == 20000
    assert found.reason == ""


def test_calibrated_probability_is_right_on_pictures_that_were_not_fitted():
    found = fit(*drawn(4000, 0.4, -1.2))
    labels, logits = drawn(20000, 0.4, -1.2, seed=1)
    p = probability(found, logits)
    for low in np.arange(0, 1, 0.2):
        mine = (p >= low) & (p < low + 0.2)
        assert labels[mine].mean() == pytest.approx(p[mine].mean(), abs=0.04)


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_classes_that_are_apart_give_a_finite_fit(factor):
    labels = np.repeat([False, True], 50)
    logits = factor * (np.where(labels, 5.0, -5.0) + np.linspace(-1, 1, 100))
    found = fit(labels, logits)
    p = probability(found, logits)
    assert 0 < found.scale * factor < 5
    # as sure as 50 of 50 right lets one be: (n + 1) / (n + 2)
    assert p[labels].mean() == pytest.approx(51 / 52, abs=0.005)
    assert p[~labels].mean() == pytest.approx(1 / 52, abs=0.005)


@pytest.mark.parametrize(("n_real", "above"), [(1000, {1: 9, 5: 49}), (99, {1: 0, 5: 4}), (40, {1: 0, 5: 1})])
def test_no_more_real_pictures_lie_above_the_thresholds_than_allowed(n_real, above):
    real = np.random.default_rng(0).permutation(np.linspace(-2, 1, n_real))
    logits = np.concatenate([real, np.linspace(0, 3, 100)])
    found = fit(np.repeat([False, True], [n_real, 100]), logits)
    assert int((real > found.threshold_fpr1).sum()) == above[1]
    assert int((real > found.threshold_fpr5).sum()) == above[5]
    assert ("40 real validation pictures are too few for 1% false alarms" in found.reason) == (n_real == 40)


def test_false_alarms_on_new_pictures_keep_to_the_level():
    rng, rates = np.random.default_rng(0), []
    for _ in range(200):
        logits = np.concatenate([rng.normal(size=200), 2 + rng.normal(size=50)])
        found = fit(np.repeat([False, True], [200, 50]), logits)
        rates.append([np.mean(rng.normal(size=500) > t) for t in (found.threshold_fpr1, found.threshold_fpr5)])
    assert np.mean(rates, axis=0) == pytest.approx([2 / 201, 10 / 201], abs=0.003)


def test_verdicts_are_of_three_kinds_and_agree_with_the_probability():
    labels, logits = drawn(4000, 0.8, -1.0)
    found = fit(labels, logits)
    assert found.threshold_fpr5 < found.threshold_fpr1
    called = {
        name: [x for x in np.linspace(-10, 10, 201) if verdict(found, x)[0] == name]
        for name in ("real", "inconclusive", "synthetic")
    }
    assert max(called["real"]) < min(called["inconclusive"]) < max(called["inconclusive"]) < min(called["synthetic"])
    for name, low, high in (("real", 0, 0.5), ("synthetic", 0.5, 1)):
        assert all(low <= verdict(found, x)[1] <= high for x in called[name])
    assert verdict(found, 0.3)[1] == pytest.approx(probability(found, np.array([0.3]))[0])
    assert verdict(found, 1e9) == ("synthetic", pytest.approx(1.0))
    assert verdict(found, -1e9) == ("real", pytest.approx(0.0))


@pytest.mark.parametrize(
    ("labels", "logits", "reason"),
    [
        ([], [], "no validation set"),
        ([0, 1, 1], [0.0, 1.0, 2.0], "3 validation pictures; at least 10"),
        ([1] * 12, range(12), "all synthetic"),
        ([0] * 12, range(12), "all real"),
        ([0, 1] * 6, [1.0] * 12, "all validation scores are equal"),
        ([0, 1] * 6, [np.nan] * 12, "not finite"),
        ([1] * 6 + [0] * 6, range(12), "real ones score higher"),
    ],
)
def test_where_it_cannot_be_had_nothing_is_changed_and_the_reason_is_given(labels, logits, reason):
    found = fit(np.array(labels), np.array(list(logits), dtype=float))
    assert reason in found.reason
    assert not found.fitted
    assert probability(found, np.array([0.0, 2.0])) == pytest.approx([0.5, 1 / (1 + np.exp(-2))])
    assert verdict(found, 5.0)[0] == "inconclusive"


def test_the_stage_that_warns_of_few_pictures_and_the_fit_agree_on_how_few():
    assert calibration.FEWEST == shortcuts.FEWEST
