"""Metrics: scikit-learn's where it has them, made by hand where not, empty with a reason where none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from rine.evaluation.means import metrics_table
from rine.evaluation.metrics import METRICS, evaluate
from rine.scores.calibration import Calibration
from rine.scores.of_runs import accuracy_of_runs, average_precision_of_runs, log_loss_of_runs, roc_auc_of_runs

LABELS = np.repeat([False, True], [30, 20])
FITTED = Calibration(scale=2.0, bias=-1.0, threshold_fpr1=1.0, threshold_fpr5=0.5, n=40)


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(size=50) + LABELS


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_fast_path_is_scikit_learn_with_and_without_ties(decimals):
    logits = (np.random.default_rng(1).normal(size=(5, 50)) + LABELS).round(decimals)
    expected = [average_precision_score(LABELS, run) for run in logits]
    assert average_precision_of_runs(LABELS, logits) == pytest.approx(expected, abs=1e-12)
    expected = [roc_auc_score(LABELS, run) for run in logits]
    assert roc_auc_of_runs(LABELS, logits) == pytest.approx(expected, abs=1e-12)
    p = 1 / (1 + np.exp(-logits))
    assert log_loss_of_runs(LABELS, logits) == pytest.approx([log_loss(LABELS, run) for run in p], abs=1e-9)
    assert accuracy_of_runs(LABELS, logits) == pytest.approx([np.mean((run > 0.5) == LABELS) for run in p])


def test_constant_scores_give_the_prevalence_in_the_fast_path():
    assert average_precision_of_runs(LABELS, np.zeros((1, 50))) == pytest.approx([20 / 50])


def test_loss_of_huge_logits_is_finite():
    assert log_loss_of_runs(np.array([True, False]), np.array([[-1e4, 1e4]])) == pytest.approx([1e4])


def test_all_metrics_of_ordinary_scores_are_there(logits):
    values = evaluate(LABELS, logits, FITTED)
    assert set(values) == set(METRICS)
    assert all(0 <= value.value < 5 and value.reason == "" for value in values.values())
    # a threshold chosen in hindsight is never worse than one that was given
    assert values["oracle_accuracy"].value >= max(values["accuracy"].value, values["calibrated_accuracy"].value)
    assert values["tpr_at_fpr1"].value <= values["tpr_at_fpr5"].value
    by_class = (values["accuracy_real"].value + values["accuracy_fake"].value) / 2
    assert values["balanced_accuracy"].value == pytest.approx(by_class)


def test_equal_error_rate_and_tpr_by_hand():
    # 10 real at 0..9, 10 synthetic at 5..14: above 6.5 are 3 false alarms, below it 2 misses
    labels = np.repeat([False, True], 10)
    logits = np.concatenate([np.arange(10), np.arange(5, 15)]).astype(float)
    values = evaluate(labels, logits)
    assert values["eer"].value == pytest.approx(0.25)
    assert values["tpr_at_fpr5"].value == pytest.approx(0.5)
    assert values["oracle_accuracy"].value == pytest.approx(0.75)


def test_perfect_scores():
    values = evaluate(LABELS, np.where(LABELS, 3.0, -3.0) + np.linspace(-1, 1, 50))
    for name in ("accuracy", "average_precision", "roc_auc", "tpr_at_fpr1", "oracle_accuracy"):
        assert values[name].value == pytest.approx(1.0), name
    assert values["eer"].value == pytest.approx(0.0)


def test_expected_calibration_error_by_hand():
    # all at p = 0.75, half of them synthetic: off by 0.25
    labels = np.tile([True, False], 10)
    assert evaluate(labels, np.full(20, np.log(3)))["ece"].value == pytest.approx(0.25)
    # calibration that says 0.5 is right
    right = Calibration(scale=1.0, bias=-np.log(3), n=20)
    assert evaluate(labels, np.full(20, np.log(3)), right)["calibrated_ece"].value == pytest.approx(0.0)
    assert evaluate(labels, np.full(20, np.log(3)), right)["calibrated_nll"].value == pytest.approx(np.log(2))


CURVE = {"average_precision", "roc_auc", "eer", "tpr_at_fpr1", "tpr_at_fpr5", "oracle_accuracy"}
CALIBRATED = {"calibrated_accuracy", "calibrated_ece", "calibrated_nll"}


@pytest.mark.parametrize(
    ("kept", "flat", "calibration", "empty", "reason"),
    [
        (
            slice(0, 30),
            False,
            FITTED,
            CURVE | {"balanced_accuracy", "accuracy_fake"},
            "no synthetic pictures",
        ),
        (slice(30, 50), False, FITTED, CURVE | {"balanced_accuracy", "accuracy_real"}, "no real pictures"),
        (slice(26, 34), False, FITTED, CURVE | {"ece", "calibrated_ece"}, "8 pictures; fewer than 10"),
        (slice(0, 50), True, FITTED, CURVE, "all scores are equal"),
        (slice(0, 50), False, None, CALIBRATED, "not calibrated"),
        (slice(0, 50), False, Calibration(reason="no validation set"), CALIBRATED, "no validation set"),
        (slice(0, 0), False, FITTED, set(METRICS), "no pictures"),
    ],
)
def test_what_cannot_be_had_is_empty_with_the_reason_and_the_rest_is_made(
    logits, kept, flat, calibration, empty, reason
):
    values = evaluate(LABELS[kept], np.zeros(50)[kept] if flat else logits[kept], calibration)
    assert {name for name, value in values.items() if value.value is None} == empty
    assert all(reason in values[name].reason for name in empty)


def test_means_count_each_generator_alike_and_say_which_are_missing(logits):
    few = slice(26, 34)
    sets = [
        ("a", "gan", LABELS, logits),
        ("b", "gan", LABELS[few], logits[few]),
        ("c", "own", LABELS, -logits),
    ]
    table = metrics_table(sets).set_index(["level", "name", "metric"])
    auc, accuracy = table.xs("roc_auc", level="metric"), table.xs("accuracy", level="metric")
    assert np.isnan(auc.loc[("generator", "b"), "value"])
    assert auc.loc[("family", "gan"), "value"] == auc.loc[("generator", "a"), "value"]
    assert auc.loc[("family", "gan"), "reason"].startswith("without b")
    assert auc.loc[("overall", ""), "value"] == pytest.approx(0.5)  # of a and its mirror image c
    expected = np.mean([accuracy.loc[("generator", name), "value"] for name in "abc"])
    assert accuracy.loc[("overall", ""), "value"] == pytest.approx(expected)
    assert metrics_table([]).empty


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="one number a picture"):
        evaluate(LABELS, np.zeros(3))
