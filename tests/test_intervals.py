"""Intervals: the fast bootstrap is the loop that anyone would write, only faster."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import average_precision_score

from rine.evaluation.intervals import (
    _ranking,
    _weighted_accuracy,
    _weighted_average_precision,
    bootstrap,
    difference,
    interval,
    resample,
)
from rine.scores import TestSet

CONFIDENCE = 0.95


def a_test_set(n_real: int, n_fake: int, start: int = 0, name: str = "g", real: str = "r") -> TestSet:
    labels = np.repeat([False, True], [n_real, n_fake])
    return TestSet(name, "gan", real, f"fake_{name}", np.arange(start, start + len(labels)), labels)


def some_logits(test_set: TestSet, k: int = 1, apart: float = 1.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(k, len(test_set.labels))) + apart * test_set.labels).astype(np.float32)


@pytest.mark.parametrize("decimals", [6, 1, 0])
def test_weighted_average_precision_is_that_of_repeated_pictures(decimals):
    test_set = a_test_set(40, 25)
    logits = some_logits(test_set)[0].round(decimals)
    counts = np.random.default_rng(1).integers(0, 4, (65, 7)).astype(np.uint8)
    for column in counts.T:  # both classes keep their size, as in a stratified draw
        column[:40] = np.bincount(np.random.default_rng(2).integers(0, 40, 40), minlength=40)
        column[40:] = np.bincount(np.random.default_rng(column[0]).integers(0, 25, 25), minlength=25)
    fast = _weighted_average_precision(_ranking(test_set.labels, logits), counts, test_set.labels)
    slow = [average_precision_score(test_set.labels.repeat(c), logits.repeat(c)) for c in counts.T]
    assert fast == pytest.approx(slow, abs=1e-6)
    correct = ((logits > 0) == test_set.labels)[None].astype(np.float32)
    means = [correct[0].repeat(c).mean() for c in counts.T]
    assert _weighted_accuracy(correct, counts)[0] == pytest.approx(means, abs=1e-6)


def test_interval_is_that_of_a_loop_over_rounds():
    test_set = a_test_set(60, 50)
    logits = some_logits(test_set)
    rng, slow = np.random.default_rng(3), []
    for _ in range(2000):
        drawn = np.concatenate([rng.integers(0, 60, 60), 60 + rng.integers(0, 50, 50)])
        slow.append(average_precision_score(test_set.labels[drawn], logits[0, drawn]))
    fast = interval(bootstrap([test_set], logits, 4000, seed=0).mean("ap", [0]), CONFIDENCE)
    expected = interval(np.array(slow), CONFIDENCE)
    assert (fast.low, fast.high) == pytest.approx((expected.low, expected.high), abs=0.012)
    assert fast.high - fast.low > 0.1


def test_accuracy_draws_are_binomial_by_class():
    test_set = a_test_set(300, 400)  # large enough for the short cut
    logits = np.where(np.arange(700) % 4 == 0, -1.0, 1.0)[None]
    draws = bootstrap([test_set], logits, 4000, seed=0).mean("acc", [0])
    variance = (binom.var(300, 0.25) + binom.var(400, 0.75)) / 700**2
    assert draws.mean() == pytest.approx((75 + 300) / 700, abs=0.002)
    assert draws.std() == pytest.approx(np.sqrt(variance), rel=0.06)


@pytest.mark.parametrize("n", [3, 255, 300, 5000])
def test_counts_are_those_of_draws_with_replacement(n):
    counts = resample(n, 400 if n > 1000 else 4000, np.random.Generator(np.random.SFC64(0)))
    assert (counts.sum(axis=0, dtype=int) == n).all()
    assert counts.mean(axis=1) == pytest.approx(np.ones(n), abs=0.3)
    share = np.bincount(counts.ravel(), minlength=4)[:4] / counts.size
    assert share == pytest.approx(binom.pmf(range(4), n, 1 / n), abs=0.01)
    # the columns must not move together: a mean over pictures varies as that of independent draws does
    half = counts[: n // 2].sum(axis=0, dtype=int)
    assert half.var() == pytest.approx(n // 2 * (1 - (n // 2) / n), rel=0.2)


def test_the_same_seed_gives_the_same_draws_whatever_else_is_scored():
    first, second = a_test_set(30, 20, name="a"), a_test_set(30, 25, start=50, name="b", real="s")
    logits = np.concatenate([some_logits(first, 2), some_logits(second, 2, seed=1)], axis=1)
    both, alone = bootstrap([first, second], logits, 50, 7), bootstrap([second], logits[1:], 50, 7)
    assert np.array_equal(both.ap[1, 1], alone.ap[0, 0])
    assert np.array_equal(both.acc[1, 1], alone.acc[0, 0])
    assert not np.array_equal(both.ap, bootstrap([first, second], logits, 50, 8).ap)


def test_test_sets_that_share_real_pictures_share_their_draws():
    apart = [a_test_set(200, 200, 400 * i, f"g{i}", real=f"r{i}") for i in range(4)]
    shared = [a_test_set(200, 200, 400 * i, f"g{i}", real="laion") for i in range(4)]
    # the real pictures alone are hard, and score alike in each test set
    hard = np.random.default_rng(0).normal(size=200)
    logits = np.tile(np.concatenate([hard, np.full(200, 3.0)]), 4)[None]
    widths = []
    for sets in (apart, shared):
        found = interval(bootstrap(sets, logits, 1000, 0).mean("acc", [0]), CONFIDENCE)
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.2)  # four that move as one: sqrt(4) times as wide


def test_paired_draws_find_a_small_difference_that_unpaired_intervals_hide():
    test_set = a_test_set(400, 400)
    good = some_logits(test_set, apart=1.5)[0]
    worse = good - 0.25 * test_set.labels  # a little lower for each synthetic picture
    draws = bootstrap([test_set], np.stack([good, worse]), 1000, 0)
    first, second = draws.mean("ap", [0]), draws.mean("ap", [1])
    assert interval(first, CONFIDENCE).low < interval(second, CONFIDENCE).high
    found = difference(first, second, CONFIDENCE)
    assert 0 < found.low < found.high
    assert not found.chance
    assert found.p == pytest.approx(2 / 1000)


def test_a_difference_of_nothing_could_be_chance():
    test_set = a_test_set(100, 100)
    one, two = bootstrap([test_set], some_logits(test_set, 2), 500, 0).ap[:, 0]
    assert difference(one, two, CONFIDENCE).chance
    same = difference(one, one, CONFIDENCE)
    assert (same.low, same.high, same.p, same.chance) == (0, 0, 1, True)


def test_means_are_over_runs_and_generators():
    sets = [a_test_set(30, 20, name="a"), a_test_set(30, 25, start=50, name="b", real="s")]
    logits = np.concatenate([some_logits(s, 3, seed=i) for i, s in enumerate(sets)], axis=1)
    draws = bootstrap(sets, logits, 20, 0)
    assert draws.mean("ap", [0, 2]) == pytest.approx(draws.ap[[0, 2]].mean(axis=(0, 1)))
    assert draws.mean("ap", [1], ["b"]) == pytest.approx(draws.ap[1, 1])


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds = 0: at least 1"):
        bootstrap([], np.zeros((1, 0)), 0, 0)
