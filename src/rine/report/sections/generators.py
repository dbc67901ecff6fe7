"""The main tables: models trained on ProGAN, by generator."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from rine.report.by_generator import generator_figure, generator_table, means_table
from rine.report.labels import LDM, PAPER_METRICS, settings_of
from rine.report.section import Content, Section
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import CHANCE_NOTE, Row, Table, difference, text


def make(study: Study) -> Content | None:
    ours = study.reported[study.reported["setting"] != LDM]
    if ours.empty:
        return None
    tables = [means_table(study, "means", ours)]
    compared = [name for name in settings_of(ours) if study.model_intervals.of(name, "acc")]
    if len(compared) > 1:
        tables.append(pairs_table(study, ours, compared))
    tables += [generator_table(study, f"generators_{metric}", metric, ours) for metric in PAPER_METRICS]
    return Content(tables=tables, figures=[generator_figure(study, "generators", ours)])


def pairs_table(study: Study, ours: pd.DataFrame, settings: Sequence[str]) -> Table:
    """Every two settings compared on the same pictures."""
    rows, intervals = [], study.model_intervals
    means = {metric: ours.groupby("setting")[metric].mean().to_dict() for metric in PAPER_METRICS}
    for i, first in enumerate(settings):
        for second in settings[i + 1 :]:
            cells = [text(f"{second} less {first}")]
            for metric in PAPER_METRICS:
                paired = intervals.paired_difference(second, metric, intervals, first)
                value = means[metric][second] - means[metric][first]
                cells.append(difference(value, paired, bounds=True))
            rows.append(Row(cells))
    columns = ["", *PAPER_METRICS.values()]
    return Table("pairs", "Settings against each other (points)", columns, rows, notes=[CHANCE_NOTE])


SECTION = Section(
    "generators", "Generators", (*REPORTED_FROM, "select"), make, "No model has been scored on the test sets yet."
)
