"""Intervals of metrics over pictures: by test set, of means over sets and runs, of paired differences.

No random draws: what each picture moves (`influence`) gives the variance of every mean and difference, with pictures
that several test sets share, or two runs, counted as the one picture that they are. The interval of a value is
Wilson's, solved for a share of as many pictures as have that variance (Korn and Graubard 1998), with the quantile of
the t distribution for the degrees of freedom of the estimated variance. How often it covers is measured:
docs/statistics.md, `python -m benchmarks.coverage`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import pandas as pd

from rine.evaluation.influence import INFLUENCES, RATES, Influence
from rine.features.table import PICTURE, values_of
from rine.scores import TestSet

ENOUGH = 50  # pictures of each class in a test set: with fewer an interval was not seen to cover

_KEPT = 1 << 26  # bytes of influences: eight for each metric, run and picture of a test set
_FEWEST_DEGREES = {False: 3.0, True: 10.0}  # of a share the value itself tells much of the variance
_NOTHING = 1e-20  # a variance that is a sum's last digits


@dataclass(frozen=True)
class Interval:
    """An interval; `few`: it rests on test sets with too few pictures to be trusted."""

    low: float
    high: float
    few: bool = False


@dataclass(frozen=True)
class Difference:
    """A paired difference, as an `Interval`; `p` is two-sided; `chance` says that the interval holds 0."""

    low: float
    high: float
    p: float
    chance: bool
    few: bool = False


@dataclass(frozen=True)
class Estimate:
    """A metric, or a mean of it: its value without bias, and what each picture moves of it (N,).

    `weights` (2,) are sums over the pictures of a class, squared, of what share of its class (of all that count, where
    the metric is a `rate`, a share of pictures) each one is, over the sets that it is in. `few`: see `Interval`.
    `names` (N,) tell the pictures, in the order of those that are scored together.
    """

    value: float
    pictures: np.ndarray
    weights: np.ndarray
    rate: bool
    few: bool
    names: np.ndarray

    @property
    def variance(self) -> float:
        return float((self.pictures**2).sum())

    @property
    def n(self) -> float:
        """How many pictures the value rests on: of sets that share their reals fewer than there are rows.

        It is what the variance of a value near 0 or 1, where few or no pictures are wrong, is held against. Of a share
        it makes the interval Wilson's own; that of ranks was chosen by simulation.
        """
        return 1 / self.weights.sum() if self.rate else 8 / self.weights.max()

    def degrees(self, variance: float) -> float:
        """Degrees of freedom of a variance no less than the estimate's own (Satterthwaite 1946).

        Few where few pictures bring most of it; what is assumed beyond that is not estimated, and adds to them.
        """
        fewest = _FEWEST_DEGREES[self.rate]
        return max(2 * variance**2 / float((self.pictures**4).sum()), fewest) if self.variance > _NOTHING else fewest


@dataclass(frozen=True, eq=False)
class Scored:
    """K runs on G test sets. `ids` (N,) number the rows of the whole table by picture, each of which has a name."""

    test_sets: Sequence[TestSet]
    logits: np.ndarray
    ids: np.ndarray
    names: np.ndarray
    _made: dict[tuple[str, int], Influence] = field(default_factory=dict)

    @property
    def generators(self) -> list[str]:
        return [test_set.generator for test_set in self.test_sets]

    def mean(self, metric: str, runs: Sequence[int], generators: Sequence[str] | None = None) -> Estimate:
        """The mean of a metric of `INFLUENCES` over runs (seeds, say) and over generators, all of them by default."""
        names = self.generators if generators is None else generators
        return self.mean_of_chosen(metric, {name: runs for name in names})

    def mean_of_chosen(self, metric: str, runs: Mapping[str, Sequence[int]]) -> Estimate:
        """The mean over generators, each with the runs of its own."""
        value, pictures = 0.0, np.zeros(int(self.ids.max(initial=-1)) + 1)
        weights, few = np.zeros((2, len(pictures))), False
        for name, some in runs.items():
            g = self.generators.index(name)
            test_set = self.test_sets[g]
            ids, classes = self.ids[test_set.rows], RATES.get(metric, (False, True))
            made = self._influence(metric, g)
            value += made.value[list(some)].mean() / len(runs)
            np.add.at(pictures, ids, made.pictures[list(some)].mean(axis=0) / len(runs))
            n_counted = sum(int((test_set.labels == label).sum()) for label in classes)
            for label in classes:
                n_class = int((test_set.labels == label).sum())
                few |= n_class < ENOUGH
                share = 1 / (n_counted if metric in RATES else max(n_class, 1)) / len(runs)
                np.add.at(weights[int(label)], ids[test_set.labels == label], share)
        return Estimate(value, pictures, (weights**2).sum(axis=1), metric in RATES, few, self.names)

    def _influence(self, metric: str, g: int) -> Influence:
        """Of all runs on one test set: kept where there is room, else made each time that it is asked for."""
        if made := self._made.get((metric, g)):
            return made
        test_set = self.test_sets[g]
        made = INFLUENCES[metric](test_set.labels, self.logits[:, test_set.rows].astype(np.float64))
        if made.pictures.nbytes + sum(each.pictures.nbytes for each in self._made.values()) <= _KEPT:
            self._made[metric, g] = made
        return made


def scored(images: pd.DataFrame, test_sets: Sequence[TestSet], logits: np.ndarray) -> Scored:
    """Runs with logits (K, N) on the test sets of a table of N pictures; a picture is told by its content."""
    columns = (values_of(images[column]) for column in ("label", "digest", *PICTURE))
    named = np.fromiter((_name(*values) for values in zip(*columns, strict=True)), "S17", len(images))
    names, first, ids = np.unique(named, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they come: sums are made in that order
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    return Scored(test_sets, logits, place[ids], names[order])


def _name(label: int, digest: str, *place: object) -> bytes:
    """What tells a picture, in seventeen bytes: its content, or where none is known its place; and its label."""
    try:
        name = bytes.fromhex(digest)
    except ValueError:
        name = b""
    if len(name) != 16:
        name = blake2b((digest or "\n".join(map(str, place))).encode(), digest_size=16).digest()
    return name + bytes([label + 1])  # no zero, which would end it


def interval(estimate: Estimate, confidence: float) -> Interval | None:
    """The interval of a value from 0 to 1; None where a class has too few pictures for any."""
    if not np.isfinite(estimate.value):
        return None
    value, floor = min(max(estimate.value, 0.0), 1.0), 1 / estimate.n
    n = (value * (1 - value) + floor) / (estimate.variance + floor**2)
    q = _quantile(confidence, estimate.degrees(estimate.variance))
    centre, half = value + q * q / (2 * n), q * np.sqrt(value * (1 - value) / n + (q / (2 * n)) ** 2)
    low, high = (centre - half) / (1 + q * q / n), (centre + half) / (1 + q * q / n)
    return Interval(max(float(low), 0.0), min(float(high), 1.0), estimate.few)


def share(count: int, n: int, confidence: float) -> Interval:
    """Wilson's interval of `count` of n independent pictures; it holds for few pictures too (Brown et al. 2001)."""
    from scipy.stats import binomtest

    found = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return Interval(float(found.low), float(found.high))


def difference(first: Estimate, second: Estimate, confidence: float) -> Difference | None:
    """Compare two estimates on the same pictures: first less second.

    The variance is no less than that of one picture on which they differ, so that no difference is certain.
    """
    from scipy.special import stdtr

    names, ours, others = _side_by_side(first, second)
    few = first.few or second.few
    apart = Estimate(first.value - second.value, ours - others, first.weights, first.rate and second.rate, few, names)
    if not np.isfinite(apart.value):
        return None
    variance = max(apart.variance, 1 / apart.n**2)
    error, degrees = np.sqrt(variance), apart.degrees(variance)
    half = _quantile(confidence, degrees) * error
    p = float(2 * stdtr(min(degrees, 1e9), -abs(apart.value) / error))
    low, high = float(apart.value - half), float(apart.value + half)
    return Difference(low, high, p, chance=low <= 0 <= high, few=apart.few)


def _side_by_side(first: Estimate, second: Estimate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names of the pictures of either, and what each moves of the one and of the other: tables may differ in order."""
    if first.names is second.names:
        return first.names, first.pictures, second.pictures
    names = np.union1d(first.names, second.names)
    moved = np.zeros((2, len(names)))
    for row, estimate in zip(moved, (first, second), strict=True):
        row[np.searchsorted(names, estimate.names)] = estimate.pictures
    return names, moved[0], moved[1]


def _quantile(confidence: float, degrees: float) -> float:
    """Of the t distribution, two-sided."""
    from scipy.special import stdtrit

    return float(stdtrit(min(degrees, 1e9), (1 + confidence) / 2))
