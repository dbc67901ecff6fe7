"""What a part of the training data is worth: a family, or what came later, left out of it and then met in a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from rine.dataset.generators import family_title
from rine.evaluation.intervals import difference as paired
from rine.evaluation.intervals import interval
from rine.report.estimates import Intervals
from rine.report.labels import settings_of
from rine.report.reading import LEFT_OUT
from rine.report.section import Content, Section
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import CHANCE_NOTE, Cell, Row, Table, difference, percent, text
from rine.scores.left_out import COLUMNS, SLIDING

METRICS = {"acc": "Accuracy", "ap": "AP", "roc_auc": "AUC"}
GROUPS = [("", 2), *((title, 3) for title in METRICS.values())]
FEW = 3  # test sets that a row names
# kind -> title, name of the first column, what a row is
KINDS = {
    "family": (
        "A family left out of training (%)",
        "Family",
        "Scored on the family's test sets: trained with it, and without its training data.",
    ),
    "released": (
        "Trained on what was released before a date (%)",
        "Before",
        "Scored on what was released from that day on: trained on all, and on what there was before it. Training data "
        "without a date are in all alone. The last row scores each generator by what was released before it.",
    ),
}
NOTE = (
    "The chosen configuration of each setting, means over {} of the heads; all see the same batches, of which each "
    "learns from what is not left out. Differences: without less with, on the same pictures, in points."
)
NOTHING = (
    "Of the training data nothing could be left out: that takes two families (or two dates) in the training data of a "
    "setting, real pictures that remain, and a test set of both classes of what is left out."
)


def make(study: Study) -> Content | None:
    if study.params is None or study.params.ablate is None or not study.params.ablate.leave_out:
        return None
    scored = study.table(f"{LEFT_OUT}/scored.csv", ["setting", *COLUMNS]).fillna("")
    if scored.empty:
        return Content([NOTHING])
    scored = scored.assign(setting=scored["setting"].map(study.labels))
    intervals = study.intervals(study.images(LEFT_OUT), "variant")
    by_kind = scored.groupby("by", sort=False)
    return Content(tables=[_table(study, str(kind), part, intervals) for kind, part in by_kind])


def _table(study: Study, kind: str, scored: pd.DataFrame, intervals: Intervals) -> Table:
    """A row for each part that was left out, by setting."""
    title, column, words = KINDS[kind]
    rows = []
    for setting in settings_of(scored):
        section = setting if scored["setting"].nunique() > 1 else ""
        for name, part in scored[scored["setting"] == setting].groupby("left_out", sort=False):
            runs = dict(zip(part["generator"], part["rows"], strict=True))
            cells = [text(_called(kind, str(name))), text(_listed(study, [*runs]))]
            cells += [cell for metric in METRICS for cell in _compared(study, setting, metric, runs, intervals)]
            rows.append(Row(cells, strong=name == SLIDING, section=section))
            section = ""
    assert study.params is not None
    n_seeds = len(study.params.seeds)
    columns = [column, "Test sets", *["with", "without", "diff."] * len(METRICS)]
    notes = [words, NOTE.format(f"{n_seeds} seeds" if n_seeds > 1 else "one seed"), CHANCE_NOTE]
    return Table(f"left_out_{kind}", title, columns, rows, GROUPS, notes, "too few pictures of a class")


def _called(kind: str, name: str) -> str:
    return "its own date" if name == SLIDING else family_title(name) if kind == "family" else name


def _listed(study: Study, generators: Sequence[str]) -> str:
    return ", ".join(map(study.title, generators)) if len(generators) <= FEW else f"{len(generators)}"


def _compared(study: Study, setting: str, metric: str, runs: Mapping[str, str], intervals: Intervals) -> Iterator[Cell]:
    """A metric's mean over test sets by runs on all pictures, by each set's own `runs`, and the paired difference."""
    made, confidence = intervals.groups[setting, ""][0], intervals.confidence
    scores = study.scores("left_out")
    means = scores[scores["setting"] == setting].groupby(["generator", "variant"])[["acc", "ap"]].mean()
    estimates, values = [], []
    for variants in (dict.fromkeys(runs, ""), runs):
        chosen = {name: intervals.groups[setting, variant][1][name] for name, variant in variants.items()}
        estimates.append(made.mean_of_chosen(metric, chosen))
        each = [float(means[metric][key]) for key in variants.items()] if metric in means else []
        values.append(float(np.mean(each)) if each else estimates[-1].value)  # of AP an estimate has no bias
        yield percent(values[-1], interval(estimates[-1], confidence))
    yield difference(values[1] - values[0], paired(estimates[1], estimates[0], confidence), bounds=True)


SECTION = Section("left_out", "Without a part of the training data", ("ablate", *REPORTED_FROM), make)
