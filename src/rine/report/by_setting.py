"""Tables with accuracy and AP of every setting side by side: rows are rules, variants, epochs, sizes of the head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from rine.report.estimates import Intervals
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.table import Cell, Row, Table, percent


def setting_table(
    key: str,
    heading: str,
    first: Sequence[str],
    settings: Sequence[str],
    rows: Mapping[Any, Sequence[Cell]],
    cells: Callable[[Any, str, str], Sequence[Cell]],
    beside: Sequence[str] = (),
    strong: Collection[Any] = (),
    notes: Sequence[str] = (),
    dash: str = "",
) -> Table:
    """A table of `rows`: a row's key -> its cells under the columns `first`.

    `cells(key, setting, metric)` are the others: the value, and one for each column `beside` it. The rows with the keys
    `strong` are set off.
    """
    pairs = [(setting, metric) for setting in settings for metric in PAPER_METRICS]
    shown = [
        Row([*head, *(cell for setting, metric in pairs for cell in cells(row, setting, metric))], strong=row in strong)
        for row, head in rows.items()
    ]
    columns = [*first, *["Acc.", *beside, "AP", *beside] * len(settings)]
    groups = [("", len(first)), *((setting, 2 + 2 * len(beside)) for setting in settings)]
    return Table(key, heading, columns, shown, groups, notes, dash)


def means_by(
    key: str,
    heading: str,
    first: Sequence[str],
    rows: Mapping[Any, Sequence[Cell]],
    scores: pd.DataFrame,
    by: str,
    intervals: Intervals,
) -> Table:
    """Means over generators by setting and by the column `by`, whose values are the keys of `rows`."""
    means = scores.groupby(["setting", by], sort=False)[list(PAPER_METRICS)].mean()

    def cells(value: Any, setting: str, metric: str) -> list[Cell]:
        interval = intervals.of(setting, metric, value=value)
        return [percent(means[metric].get((setting, value)), interval)]

    return setting_table(key, heading, first, settings_of(scores), rows, cells, dash="no run of that setting")
