"""How often intervals cover the truth: `python -m benchmarks.coverage [--quick]`, the table of docs/statistics.md.

With `--only 2000 --skill 2 --metric tpr_at_fpr5 --studies 10000` a part of it, from more studies.

Scores of real pictures are standard normal, those of synthetic ones normal with mean d'; the threshold lies at d' / 2.
Then the truth of every metric is known. `n` pictures of a class, one set or means over several, whose reals are their
own or the same ones. A paired difference is that of two detectors with d' and d' + 0.25, whose scores of a picture
correlate by 0.8.
"""

from __future__ import annotations

from rine import arithmetic

arithmetic.use("portable")

import argparse  # noqa: E402  the arithmetic must be set before NumPy is imported
import math  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from typing import NamedTuple  # noqa: E402

import numpy as np  # noqa: E402

from rine.evaluation.intervals import Scored, difference, interval  # noqa: E402
from rine.scores import TestSet  # noqa: E402

CONFIDENCE = 0.95
SKILLS = (0.0, 1.0, 2.0, 3.0)
SIZES = {20: 400, 50: 1000, 100: 1000, 500: 1000, 2000: 500}  # pictures of a class -> simulated studies
QUICK = {50: 100, 100: 100}
METRICS = {"acc": "accuracy", "ap": "AP", "roc_auc": "AUC", "tpr_at_fpr5": "TPR at 5 % FPR"}
DESIGNS = ((1, False), (6, False), (20, False), (6, True), (20, True))  # test sets, do they share their reals
BETTER, ALIKE = 0.25, 0.8
AT_ONCE = 20  # studies in memory


class Row(NamedTuple):
    """Coverage by skill, of one metric (or its paired difference), size and design; `studies` of each skill."""

    metric: str
    paired: bool
    n: int
    sets: int
    shared: bool
    covered: tuple[float, ...]
    studies: int


def truth(metric: str, skill: float) -> float:
    """The metric of normal scores; AP by quadrature."""
    from scipy.stats import norm

    if metric == "acc":
        return float(norm.cdf(skill / 2))
    if metric == "roc_auc":
        return float(norm.cdf(skill / math.sqrt(2)))
    if metric == "tpr_at_fpr5":
        return float(norm.sf(norm.isf(0.05) - skill))
    x = np.linspace(skill - 9, skill + 9, 20001)
    found, alarms = norm.sf(x - skill), norm.sf(x)
    return float(np.trapezoid(norm.pdf(x - skill) * found / (found + alarms), x))


def study(n: int, n_sets: int, shared: bool, skill: float, studies: int, rng: np.random.Generator) -> Scored:
    """`studies` runs of one detector, then as many of the other, on sets of n real and n synthetic pictures each."""
    reals = n if shared else n * n_sets
    labels = np.repeat([False, True], [reals, n * n_sets])
    first = rng.normal(size=(studies, len(labels)))
    second = ALIKE * first + math.sqrt(1 - ALIKE**2) * rng.normal(size=first.shape)
    logits = np.concatenate([scores + labels * d - d / 2 for scores, d in ((first, skill), (second, skill + BETTER))])
    sets = []
    for g in range(n_sets):
        start = 0 if shared else g * n
        rows = np.r_[start : start + n, reals + g * n : reals + (g + 1) * n]
        sets.append(TestSet(str(g), "", "real", str(g), rows, labels[rows]))
    return Scored(sets, logits, *[np.arange(len(labels))] * 2)


def coverage(
    n: int,
    skill: float,
    studies: int,
    seed: int = 0,
    designs: Sequence[tuple[int, bool]] = DESIGNS,
    metrics: Sequence[str] = tuple(METRICS),
) -> dict[tuple[str, bool, int, bool], float]:
    """Share of intervals that hold the truth, by (metric, paired, sets, shared)."""
    hits: dict[tuple[str, bool, int, bool], list[bool]] = {}
    rng = np.random.default_rng([seed, n, int(10 * skill)])
    truths = {(metric, d): truth(metric, d) for metric in metrics for d in (skill, skill + BETTER)}
    for start in range(0, studies, AT_ONCE):
        some = min(AT_ONCE, studies - start)
        for shared in sorted({shared for _, shared in designs}):
            sizes = [size for size, of in designs if of == shared]
            made = study(n, max(sizes), shared, skill, some, rng)
            for size in sizes:
                for k in range(some):
                    for metric in metrics:
                        one, two = (made.mean(metric, [run], made.generators[:size]) for run in (k, some + k))
                        own, apart = interval(one, CONFIDENCE), difference(two, one, CONFIDENCE)
                        true, better = truths[metric, skill], truths[metric, skill + BETTER]
                        hits.setdefault((metric, False, size, shared), []).append(_holds(own, true))
                        # two thresholds at half of d': the better one is better by that too
                        hits.setdefault((metric, True, size, shared), []).append(_holds(apart, better - true))
    return {key: float(np.mean(values)) for key, values in hits.items()}


def _holds(bounds: object, true: float) -> bool:
    low, high = getattr(bounds, "low", math.nan), getattr(bounds, "high", math.nan)
    return bool(low <= true <= high)


def rows(
    sizes: dict[int, int],
    seed: int = 0,
    skills: Sequence[float] = SKILLS,
    metrics: Sequence[str] = tuple(METRICS),
) -> Iterator[Row]:
    """Every metric, size and design; a size at a time, since large ones take their time."""
    for n, studies in sizes.items():
        by_skill = [coverage(n, skill, studies, seed, metrics=metrics) for skill in skills]
        for metric, paired, size, shared in sorted(by_skill[0], key=lambda key: (key[1], list(METRICS).index(key[0]))):
            key = (metric, paired, size, shared)
            yield Row(metric, paired, n, size, shared, tuple(each[key] for each in by_skill), studies)


def main() -> None:
    """Print the table in Markdown, as docs/statistics.md has it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two sizes, few studies: a minute")
    parser.add_argument("--only", type=int, choices=SIZES, help="one number of pictures a class")
    parser.add_argument("--skill", type=float, choices=SKILLS, help="one d'")
    parser.add_argument("--metric", choices=METRICS, help="one metric")
    parser.add_argument("--studies", type=int, help="so many simulated studies of each size and skill")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    start = time.perf_counter()
    skills = [skill for skill in SKILLS if asked.skill in (None, skill)]
    metrics = [metric for metric in METRICS if asked.metric in (None, metric)]
    print(
        "| interval of | pictures of a class | test sets | "
        + " | ".join(f"d' = {d:g}" for d in skills)
        + " | studies |"
    )
    print("|---|--:|---|" + "--:|" * (len(skills) + 1))
    sizes = QUICK if asked.quick else {n: studies for n, studies in SIZES.items() if asked.only in (None, n)}
    sizes = {n: asked.studies or studies for n, studies in sizes.items()}
    for row in rows(sizes, asked.seed, skills, metrics):
        what = METRICS[row.metric] + (", paired difference" if row.paired else "")
        sets = f"{row.sets}, shared reals" if row.shared else str(row.sets)
        shares = " | ".join(f"{100 * share:.1f}" for share in row.covered)
        print(f"| {what} | {row.n} | {sets} | {shares} | {row.studies} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
