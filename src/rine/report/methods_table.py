"""Every method side by side in one table: what each of its columns is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Interval
from rine.evaluation.metrics import evaluate
from rine.report import estimates
from rine.report.labels import METRICS
from rine.report.methods import Method, on_common
from rine.report.study import Study
from rine.report.table import CHANCE_NOTE, MISSING, Cell, Row, Table, difference, number, percent, text
from rine.scores import ImageScores
from rine.scores.test_sets import with_both_classes

DASH = "no threshold or calibration (reasons above), means alone without pictures, or seconds that were not measured"
COLUMNS = ["Method", "unseen", "Acc.", "AP", "AUC", "Acc.", "AP", "found", "false", "ECE", "pictures", "s"]
GROUPS = [("", 1), ("AP", 1), ("On these test sets", 3), ("Less the first of ours", 2), ("By validation pictures", 3),
          ("Scored", 2)]  # fmt: skip


def unseen(method: Method, sets: pd.DataFrame, name: str) -> float:
    """AP to expect on a generator that had no part in the choice of the model.

    Of a model that was chosen on these test sets what the test-blind rule reports; of any other its mean.
    """
    chosen = method.chosen.get((name, "ap"), math.nan)
    return chosen if not math.isnan(chosen) else float(method.by_generator(sets)["ap"].mean())


def methods_table(study: Study, name: str, words: str, methods: Sequence[Method], sets: pd.DataFrame) -> Table:
    """A row for each method, in the order of what to expect on an unseen generator."""
    base = next((each for each in methods if each.kind == "ours"), None)
    own = method_intervals(study, {each.name: each.scores for each in methods if each.scores}, sets)
    rows = []
    for method in methods:
        means = method.by_generator(sets).mean()
        cells = [text(method.name), percent(unseen(method, sets, name))]
        cells += [percent(means[metric], bounds(own, method, metric)) for metric in METRICS]
        cells += [percent(method.auc(sets)), *_against(study, method, base, sets)]
        cells += [percent(value) for value in method.at_threshold(sets)]
        cells += [percent(_calibrated_error(method, sets)), text(_counted(method)), number(method.seconds, 3)]
        rows.append(Row(cells, strong=method is base))
    notes = [
        "Sorted by AP to expect on an unseen generator: of ours what leaving each generator out of the choice reports; "
        "nothing was chosen on these test sets for the others. Differences: on the pictures that both have scored, in "
        "points. Found and false: synthetic and real test pictures above the threshold that 5 % of the real validation "
        "pictures pass; ECE: expected calibration error after calibration on them; both of the first run. s: seconds a "
        "picture on this machine, of ours not measured apart from the encoder.",
        CHANCE_NOTE,
        *dict.fromkeys(reasons(methods)),
    ]
    return Table(f"methods_{name}", f"Methods on {words} (%)", COLUMNS, rows, GROUPS, notes, DASH)


def method_intervals(study: Study, scores: dict[str, ImageScores], sets: pd.DataFrame) -> estimates.Intervals:
    def sets_of(name: str) -> pd.DataFrame:
        return with_both_classes(scores[name].images, sets)

    return estimates.intervals(scores, sets_of, study.params.report if study.params else None)


def bounds(intervals: estimates.Intervals, method: Method, metric: str) -> Interval | None:
    return None if metric == "acc" and method.no_threshold else intervals.of(method.name, metric)


def _against(study: Study, method: Method, base: Method | None, sets: pd.DataFrame) -> list[Cell]:
    """Differences of accuracy and AP from the first of ours, paired by picture."""
    if base is None or base.scores is None or method.scores is None or method is base:
        return [Cell("" if method is base else MISSING)] * len(METRICS)
    scores = dict(zip(("method", "base"), on_common(method.scores, base.scores), strict=True))
    intervals = method_intervals(study, scores, sets)
    means = [
        Method(name, "", each, no_threshold=method.no_threshold).by_generator(sets) for name, each in scores.items()
    ]
    cells = []
    for metric in METRICS:
        paired = intervals.paired_difference("method", metric, intervals, "base")
        value = float((means[0][metric] - means[1][metric]).mean())
        cells.append(difference(value, paired, bounds=True))
    return cells


def _calibrated_error(method: Method, sets: pd.DataFrame) -> float | None:
    if method.scores is None:
        return None
    logits = method.scores.logits[0]
    values = [evaluate(each.labels, logits[each.rows], method.calibration)["calibrated_ece"].value
              for each in method.sets(sets)]  # fmt: skip
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _counted(method: Method) -> str:
    if method.scores is None:
        return MISSING
    n = len(method.scores.images)
    return f"{n} of {method.asked}" if method.asked not in (None, n) else str(n)


def reasons(methods: Sequence[Method]) -> list[str]:
    """Why a method has a dash."""
    for_accuracy = [f"{each.name} has no accuracy: {each.no_threshold}." for each in methods if each.no_threshold]
    without = [each for each in methods if not each.calibration.fitted]
    grouped = {each.calibration.reason: [m.name for m in without if m.calibration.reason == each.calibration.reason]
               for each in without}  # fmt: skip
    return [*for_accuracy, *(f"Not calibrated: {', '.join(names)}: {reason}." for reason, names in grouped.items())]
