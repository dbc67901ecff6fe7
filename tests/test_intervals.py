"""Intervals cover, of means over test sets that share pictures too, and never are a point."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from rine.evaluation import intervals
from rine.evaluation.intervals import ENOUGH, Estimate, Scored, difference, interval, scored
from rine.features import table
from rine.scores import TestSet

CONFIDENCE = 0.95


def sets_of(n: int, names: str = "a", shared: bool = False) -> tuple[list[TestSet], np.ndarray]:
    """Test sets of n real and n synthetic pictures each, and the labels of all."""
    labels = np.repeat([False, True], [n if shared else n * len(names), n * len(names)])
    reals = len(labels) - n * len(names)
    sets = []
    for g, name in enumerate(names):
        start = 0 if shared else g * n
        rows = np.r_[start : start + n, reals + g * n : reals + (g + 1) * n]
        sets.append(TestSet(name, "gan", "r" if shared else name, name, rows, labels[rows]))
    return sets, labels


def made(n: int, names: str = "a", shared: bool = False, d: float = 1.5, runs: int = 1, seed: int = 0) -> Scored:
    sets, labels = sets_of(n, names, shared)
    logits = np.random.default_rng(seed).normal(size=(runs, len(labels))) + (labels - 0.5) * d
    return Scored(sets, logits, *[np.arange(len(labels))] * 2)


def width(scores: Scored, metric: str) -> float:
    bounds = interval(scores.mean(metric, [0]), CONFIDENCE)
    assert bounds is not None
    return bounds.high - bounds.low


@pytest.mark.parametrize("metric", ["acc", "ap", "roc_auc"])
@pytest.mark.parametrize("shared", [False, True])
def test_intervals_of_a_mean_of_six_sets_cover(metric: str, shared: bool) -> None:
    """As often as 95 % does, give or take three standard errors; resampling gave 67 % for AP at chance."""
    from benchmarks.coverage import truth

    studies = 120
    for d in (0.0, 2.0):
        scores = made(100, "abcdef", shared, d, studies, seed=1)
        bounds = [interval(scores.mean(metric, [k]), CONFIDENCE) for k in range(studies)]
        covered = [b is not None and b.low <= truth(metric, d) <= b.high for b in bounds]
        assert 0.89 <= np.mean(covered) <= 0.995, d


def test_paired_differences_cover() -> None:
    sets, labels = sets_of(100)
    rng = np.random.default_rng(0)
    first = rng.normal(size=(200, len(labels))) + (labels - 0.5)
    second = first + 0.5 * rng.normal(size=first.shape)
    scores = Scored(sets, np.concatenate([first, second]), *[np.arange(len(labels))] * 2)
    true = norm.cdf(1 / np.sqrt(2)) - norm.cdf(1 / np.sqrt(2 * 1.25))
    found = [difference(scores.mean("roc_auc", [k]), scores.mean("roc_auc", [200 + k]), 0.95) for k in range(200)]
    assert 0.895 <= np.mean([f is not None and f.low <= true <= f.high for f in found]) <= 0.99


def test_accuracy_of_one_class_has_wilsons_interval() -> None:
    """Agresti and Coull, The American Statistician 1998; the degrees of freedom beside."""
    bounds = interval(Estimate(0.8, np.full(100, 0.004), np.array([0, 0.01]), True, False, np.arange(100)), CONFIDENCE)
    z = 1.9719  # of t with 200 degrees: all pictures move the value equally
    centre = (0.8 + z * z / 200) / (1 + z * z / 100)
    half = z / (1 + z * z / 100) * np.sqrt(0.16 / 100 + z * z / 40000)
    assert bounds is not None
    assert (bounds.low, bounds.high) == pytest.approx((centre - half, centre + half), abs=1e-4)


@pytest.mark.parametrize("metric", ["acc", "ap", "roc_auc", "accuracy_real", "tpr_at_fpr5"])
def test_a_perfect_result_has_an_interval_that_shrinks_with_the_pictures(metric: str) -> None:
    widths = []
    for n in (60, 600):
        bounds = interval(made(n, d=100).mean(metric, [0]), CONFIDENCE)
        assert bounds is not None
        assert bounds.high == pytest.approx(1)
        widths.append(1 - bounds.low)
    assert 0.01 < widths[0] < 0.15
    assert widths[1] == pytest.approx(widths[0] / 10, rel=0.2)


def test_sets_that_share_pictures_give_wider_intervals_of_their_mean() -> None:
    assert width(made(200, "abcd", shared=True, d=1), "acc") > 1.25 * width(made(200, "abcd", d=1), "acc")
    # a picture is told by its content, whatever its source or path
    sets, labels = sets_of(50, "ab")
    table = pd.DataFrame({"source": [f"s{i}" for i in range(200)], "label": labels.astype(int), "path": "p"})
    digests = np.arange(200)
    digests[50:100] = digests[:50]
    images = table.assign(digest=[f"{d:032x}" for d in digests])
    logits = np.random.default_rng(0).normal(size=(1, 200))
    logits[:, 50:100] = logits[:, :50]
    same = scored(images, sets, logits)
    apart = scored(images.assign(digest=""), sets, logits)
    assert width(same, "acc") > 1.15 * width(apart, "acc")
    assert same.mean("acc", [0]).value == apart.mean("acc", [0]).value


def test_means_are_over_runs_and_generators() -> None:
    scores = made(60, "abc", runs=3)
    each = {(name, k): scores.mean("ap", [k], [name]).value for name in "abc" for k in range(3)}
    assert scores.mean("ap", [0, 2]).value == pytest.approx(np.mean([each[n, k] for n in "abc" for k in (0, 2)]))
    chosen = scores.mean_of_chosen("ap", {"a": [1], "c": [0, 2]})
    assert chosen.value == pytest.approx((each["a", 1] + (each["c", 0] + each["c", 2]) / 2) / 2)


def test_a_paired_difference_finds_what_two_intervals_hide() -> None:
    sets, labels = sets_of(400)
    good = np.random.default_rng(0).normal(size=len(labels)) + 1.5 * labels
    scores = Scored(sets, np.stack([good, good - 0.25 * labels]), *[np.arange(len(labels))] * 2)
    first, second = (scores.mean("ap", [k]) for k in (0, 1))
    bounds = [interval(each, CONFIDENCE) for each in (first, second)]
    found = difference(first, second, CONFIDENCE)
    assert bounds[0] is not None
    assert bounds[1] is not None
    assert found is not None
    assert bounds[0].low < bounds[1].high
    assert 0 < found.low < found.high
    assert not found.chance
    assert found.p < 0.01


def test_a_difference_of_nothing_could_be_chance() -> None:
    scores = made(100, runs=2)
    first, second = (scores.mean("ap", [k]) for k in (0, 1))
    one, same = difference(first, second, CONFIDENCE), difference(first, first, CONFIDENCE)
    assert one is not None
    assert same is not None
    assert one.chance
    assert same.chance
    assert same.p == pytest.approx(1)
    assert same.low == pytest.approx(-same.high)
    assert same.high > 0


def test_a_difference_rests_on_one_picture_at_least_and_what_is_assumed_is_not_estimated() -> None:
    weights, names = np.array([0.005, 0.005]), np.arange(100)

    def apart(one: float) -> float:
        """Half of the interval, in standard errors of a single picture, where one moves so much of it."""
        moved = np.zeros((2, 100))
        moved[0, 0] = one
        found = difference(*[Estimate(0.9, each, weights, True, False, names) for each in moved], CONFIDENCE)
        assert found is not None
        return 100 * (found.high - found.low) / 2

    assert apart(0.01) == pytest.approx(2.228, abs=0.001)  # of t with the fewest degrees, 10
    assert apart(0.003) == pytest.approx(1.960, abs=0.01)


def test_an_interval_says_that_its_pictures_are_too_few() -> None:
    for n, few in ((ENOUGH - 1, True), (ENOUGH, False)):
        scores = made(n, runs=2)
        bounds = interval(scores.mean("ap", [0]), CONFIDENCE)
        paired = difference(scores.mean("ap", [0]), scores.mean("ap", [1]), CONFIDENCE)
        assert bounds is not None
        assert paired is not None
        assert bounds.few is paired.few is few
    assert interval(made(2).mean("ap", [0]), CONFIDENCE) is None
    assert difference(made(2).mean("ap", [0]), made(2).mean("ap", [0]), CONFIDENCE) is None


def test_a_hundred_thousand_scores_take_seconds() -> None:
    scores = made(50_000)
    start = time.process_time()
    for metric in ("acc", "ap", "roc_auc", "tpr_at_fpr5"):
        assert width(scores, metric) > 0
    assert time.process_time() - start < 10


def test_what_is_not_kept_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = made(60, "ab").mean("ap", [0])
    monkeypatch.setattr(intervals, "_KEPT", 0)
    scores = made(60, "ab")
    assert np.array_equal(scores.mean("ap", [0]).pictures, kept.pictures)
    assert not scores._made


def test_a_picture_more_takes_less_than_two_hundred_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_ROWS_AT_A_TIME", 256)
    peaks = []
    for n in (1_000, 1_000, 3_000):  # at first what is made but once
        paths = [f"{i:032x}" for i in range(n)]
        images = pd.DataFrame({"source": "a", "label": 0, "path": paths, "digest": paths})
        logits = np.zeros((1, n))
        tracemalloc.start()
        scored(images, [], logits)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / 2_000 < 200


def test_tables_in_another_order_and_with_more_pictures_are_paired_by_picture() -> None:
    sets, labels = sets_of(80)
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(1, len(labels))) + labels
    images = pd.DataFrame({"source": "a", "label": labels.astype(int), "path": [f"{i}" for i in range(len(labels))]})
    images["digest"] = images["path"] + "d"
    first = scored(images, sets, logits)
    order = rng.permutation(len(labels))
    extra = pd.DataFrame({"source": ["b"], "label": [0], "path": ["new"], "digest": ["new"]})
    rows = np.argsort(order)[sets[0].rows] + 1
    moved = [TestSet("a", "gan", "a", "a", rows, labels[sets[0].rows])]
    both = pd.concat([extra, images.iloc[order]], ignore_index=True)
    second = scored(both, moved, np.concatenate([[[0.0]], logits[:, order]], axis=1))
    apart = difference(first.mean("acc", [0]), second.mean("acc", [0]), CONFIDENCE)
    alike = difference(first.mean("acc", [0]), first.mean("acc", [0]), CONFIDENCE)
    assert apart is not None
    assert alike is not None
    assert (apart.low, apart.high) == pytest.approx((alike.low, alike.high))
