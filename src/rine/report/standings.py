"""Where methods stand on some test sets: what to expect of each, its intervals, its differences from another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Difference, Interval
from rine.evaluation.metrics import evaluate
from rine.report import estimates
from rine.report.labels import PAPER_METRICS
from rine.report.methods import Method, on_common
from rine.report.study import TEST_SETS, Study
from rine.scores import test_sets_of
from rine.scores.test_sets import with_both_classes


def sets_of_methods(study: Study, methods: Sequence[Method], study_name: str) -> pd.DataFrame:
    """Test sets of one study; of a scores file the generators that it names."""
    if len(study.test_sets):
        return study.test_sets[study.test_sets["study"] == study_name]
    named = dict.fromkeys(name for method in methods for name in method.table.get("generator", []))
    generators = [generator for generator in named if study.in_study("LDM" if study_name == "ldm" else "", generator)]
    return pd.DataFrame({column: generators for column in TEST_SETS}, dtype=object)


def n_pictures(images: pd.DataFrame, sets: pd.DataFrame) -> int:
    """How many pictures of some test sets are there; one that several sets share is one."""
    found = test_sets_of(images, with_both_classes(images, sets))
    return len(np.unique(np.concatenate([each.rows for each in found]))) if found else 0


def by_expectation(methods: Sequence[Method], sets: pd.DataFrame, study_name: str) -> list[Method]:
    """The methods, those first of which most is to be expected on an unseen generator."""
    return sorted(methods, key=lambda method: -np.nan_to_num(unseen(method, sets, study_name), nan=-1.0))


def unseen(method: Method, sets: pd.DataFrame, study_name: str) -> float:
    """AP to expect on a generator that had no part in the choice of the model.

    Of a model that was chosen on these test sets what the test-blind rule reports; of any other its mean.
    """
    chosen = method.chosen.get((study_name, "ap"), math.nan)
    return chosen if not math.isnan(chosen) else float(method.by_generator(sets)["ap"].mean())


def intervals_of(study: Study, methods: Sequence[Method], sets: pd.DataFrame) -> estimates.Intervals:
    """Intervals, by name, of the methods that have scores of pictures."""
    scores = {method.name: method.scores for method in methods if method.scores}
    return estimates.intervals(
        scores,
        lambda name: with_both_classes(scores[name].images, sets),
        study.params.report if study.params else None,
    )


def interval_of(method: Method, metric: str, of_methods: estimates.Intervals) -> Interval | None:
    return None if metric == "acc" and method.no_threshold else of_methods.of(method.name, metric)


def differences_from(
    base: Method, method: Method, study: Study, sets: pd.DataFrame
) -> dict[str, tuple[float, Difference | None]] | None:
    """Metric -> the method's less that of `base`, and its interval, on the pictures that both have scored.

    None where one of them has no scores of pictures.
    """
    if method.scores is None or base.scores is None:
        return None
    common = zip(("method", "base"), on_common(method.scores, base.scores), strict=True)
    pair = [Method(name, "", scores, no_threshold=method.no_threshold) for name, scores in common]
    paired, means = intervals_of(study, pair, sets), [method.by_generator(sets) for method in pair]
    return {
        metric: (
            float((means[0][metric] - means[1][metric]).mean()),
            paired.paired_difference("method", metric, paired, "base"),
        )
        for metric in PAPER_METRICS
    }


def calibrated_error(method: Method, sets: pd.DataFrame) -> float | None:
    """Mean over the test sets of the expected calibration error of the first run."""
    if method.scores is None:
        return None
    logits = method.scores.logits[0]
    errors = [
        evaluate(test_set.labels, logits[test_set.rows], method.calibration, ["calibrated_ece"])["calibrated_ece"].value
        for test_set in method.sets(sets)
    ]
    measured = [error for error in errors if error is not None]
    return float(np.mean(measured)) if measured else None


def reasons(methods: Sequence[Method]) -> list[str]:
    """Why a method has a dash."""
    for_accuracy = [f"{each.name} has no accuracy: {each.no_threshold}." for each in methods if each.no_threshold]
    without = [each for each in methods if not each.calibration.fitted]
    grouped = {each.calibration.reason: [m.name for m in without if m.calibration.reason == each.calibration.reason]
               for each in without}  # fmt: skip
    return [*for_accuracy, *(f"Not calibrated: {'; '.join(names)}: {reason}." for reason, names in grouped.items())]
