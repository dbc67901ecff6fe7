"""Test sets of real pictures alone, or of synthetic ones alone: how many of them every method calls synthetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rine.evaluation.intervals import share
from rine.report.methods import Method, methods_of
from rine.report.section import Content, Section
from rine.report.standings import reasons
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import Cell, Row, Table, number, percent, text
from rine.scores import TestSet
from rine.scores.test_sets import one_class_of

WHAT = {
    "real": "False alarms on sets of real pictures (%)",
    "fake": "Found on sets of synthetic pictures (%)",
}
COLUMNS = ["Method", "Pictures", "at 0.5", "at 5 %", "at 1 %"]
NOTE = (
    "Share of the pictures that a method calls synthetic: at its own threshold (0.5), and at those that 5 % and 1 % "
    "of the real validation pictures pass; of the first run. In brackets Wilson's interval for independent pictures; a "
    "picture that is there twice counts once. These sets are in no mean of accuracy or AP."
)


def make(study: Study) -> Content | None:
    sets = study.test_sets
    if study.params is None or sets.empty or (sets[["real", "fake"]] != "").all(axis=None):
        return None
    methods = [method for method in methods_of(study) if method.scores is not None]
    tables = [_table(study, methods, side) for side in WHAT]
    return Content(tables=[table for table in tables if table.rows])


def _table(study: Study, methods: Sequence[Method], side: str) -> Table:
    """A row for each set and method."""
    wanted = study.test_sets[(study.test_sets[["real", "fake"]] != "").sum(axis=1) == 1]
    wanted = wanted[wanted[side] != ""]
    rows = []
    for name in wanted["generator"]:
        of_set = [_row(study, method, wanted[wanted["generator"] == name]) for method in methods]
        there = [row for row in of_set if row is not None]
        rows += [Row(row.cells, row.strong, study.title(name) if i == 0 else "") for i, row in enumerate(there)]
    notes = [NOTE, *dict.fromkeys(reasons(methods))]
    return Table(f"one_class_{side}", WHAT[side], COLUMNS, rows, notes=notes, dash="no such threshold (see above)")


def _row(study: Study, method: Method, one: pd.DataFrame) -> Row | None:
    assert method.scores is not None
    sets = one_class_of(method.scores.images, one)
    if not sets:
        return None
    fitted = method.calibration
    thresholds = [None if method.no_threshold else 0.0, fitted.threshold_fpr5, fitted.threshold_fpr1]
    cells = [_alarms(study, method.scores.logits[0], sets[0], threshold) for threshold in thresholds]
    return Row([text(method.name), number(len(sets[0].rows), 0), *cells])


def _alarms(study: Study, logits: np.ndarray, test_set: TestSet, threshold: float | None) -> Cell:
    if threshold is None:
        return percent(None)
    alarms = logits[test_set.rows] > threshold
    assert study.params is not None
    return percent(float(alarms.mean()), share(int(alarms.sum()), len(alarms), study.params.report.confidence))


SECTION = Section("one_class", "Sets of one class", ("detect", *REPORTED_FROM), make)
