"""Means over generators along one column: epochs, the share of the training pictures, the size of the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from rine.report.estimates import Intervals
from rine.report.labels import METRICS, settings_of
from rine.report.table import Cell, Row, Table, percent, setting_groups


def steps_table(
    key: str,
    heading: str,
    scores: pd.DataFrame,
    by: str,
    rows: Mapping[object, Sequence[Cell]],
    columns: Sequence[str],
    intervals: Intervals,
) -> Table:
    """Accuracy and AP by setting, a row for each value of the column `by`.

    `rows` maps these values to the row's first cells, which stand under `columns`; `intervals` are grouped by `by`.
    """
    settings = settings_of(scores)
    means = scores.groupby(["setting", by], sort=False)[list(METRICS)].mean()
    shown = [
        Row([*first, *(
            percent(means[metric].get((setting, value)), intervals.of(setting, metric, value=value))
            for setting in settings for metric in METRICS
        )])
        for value, first in rows.items()
    ]  # fmt: skip
    names = [*columns, *["Acc.", "AP"] * len(settings)]
    return Table(key, heading, names, shown, setting_groups(settings, 2, len(columns)))
