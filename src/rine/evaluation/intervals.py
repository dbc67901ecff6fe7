"""Bootstrap intervals over pictures of accuracy and AP: by generator, of means, of differences.

Each round draws, for each test set, as many real and as many synthetic pictures as it has, with replacement
(stratified by class, within generator). All runs are scored on the same draws, so that two settings are
compared in pairs. Test sets that share their real pictures share their draws too: otherwise an interval of
their mean would be too narrow.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rine.scores import TestSet

_SMALL = 256  # pictures; below it drawing indices is fast enough, and the short cut below would save little
_STEP = 2048  # rounds at once: the vectors of one step fit the processor's cache
_BLOCK = 64  # pictures at once, for the same reason
_MARGIN = 4.0  # standard deviations by which the Poisson counts stay below the number wanted


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws of K runs over G test sets, the `generators`: `acc` and `ap` (K, G, rounds)."""

    generators: tuple[str, ...]
    acc: np.ndarray
    ap: np.ndarray

    def mean(self, metric: str, runs: Sequence[int], generators: Sequence[str] | None = None) -> np.ndarray:
        """Draws (rounds,) of the mean of "acc" or "ap" over runs (seeds, say) and generators."""
        names = self.generators if generators is None else tuple(generators)
        columns = [self.generators.index(name) for name in names]
        return getattr(self, metric)[np.ix_(list(runs), columns)].mean(axis=(0, 1))


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A paired difference; `p` is two-sided, by bootstrap; `chance` says that the interval holds 0."""

    low: float
    high: float
    p: float
    chance: bool


def bootstrap(test_sets: Sequence[TestSet], logits: np.ndarray, rounds: int, seed: int) -> Draws:
    """Draw accuracy and average precision of K runs, whose logits (K, N) cover all pictures, `rounds` times.

    The draws of a set of pictures depend on the seed, its source and its size, not on what else is scored.
    """
    if rounds < 1:
        raise ValueError(f"rounds = {rounds}: at least 1")
    shape = (len(logits), len(test_sets), rounds)
    acc, ap = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for g, test_set in enumerate(test_sets):
        _draw(test_set, logits[:, test_set.rows], seed, acc[:, g], ap[:, g])
    return Draws(tuple(test_set.generator for test_set in test_sets), acc, ap)


def interval(draws: np.ndarray, confidence: float) -> Interval:
    """The interval that holds the middle `confidence` of the draws (rounds,)."""
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def difference(draws: np.ndarray, others: np.ndarray, confidence: float) -> Difference:
    """Compare two settings by draws (rounds,) made on the same pictures with one seed: first less second."""
    apart = draws.astype(np.float64) - others
    found = interval(apart, confidence)
    tail = min(np.mean(apart <= 0), np.mean(apart >= 0))
    p = float(min(1.0, 2 * max(tail, 1 / len(apart))))
    return Difference(found.low, found.high, p, chance=found.low <= 0 <= found.high)


def _draw(test_set: TestSet, logits: np.ndarray, seed: int, acc: np.ndarray, ap: np.ndarray) -> None:
    """Fill acc and ap (K, rounds) for one test set, some rounds at a time."""
    labels = test_set.labels
    n, rounds = len(labels), acc.shape[1]
    rngs = [_generator(seed, label, source) for label, source in ((0, test_set.real), (1, test_set.fake))]
    # every test set takes the same steps, so that those that share real pictures share their draws
    step = min(rounds, _STEP)
    rankings = [_ranking(labels, run) for run in logits]
    correct = ((logits > 0) == labels).astype(np.float32)
    for start in range(0, rounds, step):
        stop = min(start + step, rounds)
        counts = np.empty((n, step), np.uint8)
        for label, rng in enumerate(rngs):
            counts[labels == label] = resample(int((labels == label).sum()), step, rng)
        counts = counts[:, : stop - start]
        acc[:, start:stop] = _weighted_accuracy(correct, counts)
        for k, ranking in enumerate(rankings):
            ap[k, start:stop] = _weighted_average_precision(ranking, counts, labels)


def _generator(seed: int, label: int, source: str) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64([seed, label, zlib.crc32(source.encode())]))


def resample(n: int, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n pictures is drawn, (n, rounds): a column adds up to n draws with replacement.

    Multinomial counts, made fast: Poisson counts of a little less than one each, then the few draws that are
    missing. A multinomial is what independent Poisson counts are, given their sum.
    """
    if n < _SMALL:
        return _exact(n, rounds, rng)
    rate = 1 - _MARGIN / np.sqrt(n)
    table, counts = _poisson_table(rate), np.empty((n, rounds), np.uint8)
    for rows in np.array_split(counts, -(-n // _BLOCK)):
        noise = np.frombuffer(rng.bytes(2 * rows.size), np.uint16).reshape(rows.shape)
        table.take(noise, out=rows, mode="clip")
    missing = n - counts.sum(axis=0, dtype=np.int64)  # (rounds,)
    over = missing < 0
    if over.any():
        counts[:, over] = _exact(n, int(over.sum()), rng)
        missing = np.maximum(missing, 0) * ~over
    column = np.repeat(np.arange(rounds), missing)
    row = rng.integers(0, n, len(column))
    # flat indices and a count of the same type: NumPy's fast path, thirty times faster than pairs of indices
    np.add.at(counts.reshape(-1), row * rounds + column, np.uint8(1))
    return counts


def _exact(n: int, rounds: int, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.integers(0, n, (n, rounds)) * rounds + np.arange(rounds)
    return np.bincount(drawn.ravel(), minlength=n * rounds).reshape(n, rounds).astype(np.uint8)


def _poisson_table(rate: float) -> np.ndarray:
    """65536 equally likely counts with a Poisson distribution."""
    from scipy.stats import poisson

    middles = (np.arange(65536) + 0.5) / 65536
    return np.searchsorted(poisson.cdf(np.arange(16), rate), middles).astype(np.uint8)


def _ranking(labels: np.ndarray, logits: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures by falling score, cut after each score that a synthetic one has: (real rows, synthetic rows).

    Real pictures between two synthetic ones stand together, since only the precision at synthetic ones
    counts; pictures of equal score share one threshold.
    """
    order = np.argsort(-logits, kind="stable")
    ranked, positive = logits[order], labels[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)  # last of its score
    starts = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    holds_fake = np.add.reduceat(positive.astype(np.int64), starts) > 0
    cuts = np.flatnonzero(ends)[holds_fake] + 1  # the real ones after the last synthetic one never count
    pieces = np.split(np.arange(len(order)), cuts)[:-1]
    return [(order[piece[~positive[piece]]], order[piece[positive[piece]]]) for piece in pieces]


def _weighted_accuracy(correct: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Accuracy (K, rounds) of pictures that count so often: correct (K, n), counts (n, rounds)."""
    total = np.zeros((len(correct), counts.shape[1]), np.float32)
    for start in range(0, len(counts), _BLOCK):
        total += correct[:, start : start + _BLOCK] @ counts[start : start + _BLOCK].astype(np.float32)
    return total / len(counts)


def _weighted_average_precision(
    ranking: list[tuple[np.ndarray, np.ndarray]], counts: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Average precision (rounds,) of pictures that count so often: one pass down the ranking."""
    rounds = counts.shape[1]
    found, seen, total = (np.zeros(rounds, np.float32) for _ in range(3))
    for real, fake in ranking:
        if len(real):
            seen += _sum(counts, real)
        drawn = _sum(counts, fake)
        found += drawn
        seen += drawn
        # where nothing was drawn yet nothing is added: 0 * (0 / 1)
        total += drawn * (found / np.maximum(seen, 1))
    return total / labels.sum()


def _sum(counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return counts[rows[0]] if len(rows) == 1 else counts[rows].sum(axis=0, dtype=np.float32)
