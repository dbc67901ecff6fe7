"""Grouped bars of accuracy and AP, as the figures of variants and of training-set sizes draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from rine.drawing import EDGE, canvas, fill_style, legend_below, percent_axis
from rine.evaluation.intervals import Interval
from rine.report.labels import PAPER_METRICS, settings_of

# dark with a light edge: it crosses light and dark bars, and the page
LINE: dict[str, Any] = {
    "color": EDGE,
    "linewidth": 1,
    "path_effects": [withStroke(linewidth=2.4, foreground="#ffffff")],
}
NUMBER: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 6.5, "textcoords": "offset points"}
BANDS = "; its line is the interval that the table has"  # in the words beside a figure of bars


def with_bands(means: pd.DataFrame, band: Callable[[pd.Series, str], Interval | None]) -> pd.DataFrame:
    """`means` with acc_low, acc_high, ap_low and ap_high from `band(row, metric)`: what the bars' lines are."""
    bands = {metric: [band(row, metric) for _, row in means.iterrows()] for metric in PAPER_METRICS}
    ends = {
        f"{metric}_{end}": [getattr(found, end) if found else np.nan for found in bands[metric]]
        for metric in PAPER_METRICS
        for end in ("low", "high")
    }
    return means.assign(**ends)


def wide(rows: pd.DataFrame, by: str, across: str, metric: str) -> Iterator[pd.DataFrame]:
    """A metric, and the lower and upper ends of its intervals: a row for each `by`, a column for each `across`."""
    order = [list(dict.fromkeys(rows[column])) for column in (by, across)]
    for name in (metric, f"{metric}_low", f"{metric}_high"):
        there = rows.pivot_table(index=by, columns=across, values=name if name in rows else metric, sort=False)
        yield there.reindex(index=order[0], columns=order[1])


def draw_bars(means: pd.DataFrame) -> Figure:
    """Accuracy and AP side by side: a group of bars for each `name`, a bar for each `setting`, with numbers.

    `means` has these two columns, acc and ap (0..1), and may have what `with_bands` adds.
    """
    names, values = list(dict.fromkeys(means["name"])), settings_of(means)
    figure, axes = canvas(1, 2, max(6.0, 1.5 + 0.5 * len(names) * len(values)), 3.6)
    for (metric, label), panel in zip(PAPER_METRICS.items(), axes[0], strict=True):
        grouped_bars(panel, wide(means, "name", "setting", metric), label, numbers=True)
        panel.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor")
    legend_below(figure, axes[0, 0])
    return figure


def grouped_bars(axes: Axes, tables: Iterable[pd.DataFrame], label: str, numbers: bool = False) -> None:
    """Bars of values in 0..1, and their intervals, as `wide` gives them: a group for each row, a bar for each column.

    They start at nothing in every panel: a bar's length is its value. `numbers` writes each above its bar.
    """
    table, low, high = tables
    width = 0.84 / max(1, table.shape[1])
    for i, column in enumerate(table.columns):
        places = np.arange(len(table)) + (i - (table.shape[1] - 1) / 2) * width
        name = f"{100 * column:g} %" if isinstance(column, float) else str(column)
        axes.bar(places, table[column], width, label=name, **fill_style(i))
        axes.vlines(places, low[column], high[column], **LINE)
        for place, value, top in zip(places, table[column], high[column].fillna(0), strict=True):
            if numbers and not np.isnan(value):
                rotation = 90 if table.size > 8 else 0
                axes.annotate(f"{100 * value:.1f}", (place, max(value, top)), (0, 1.5), rotation=rotation, **NUMBER)
    axes.set_ylim(0, 1.12 if numbers else 1.0)
    axes.set_xlim(-0.6, len(table) - 0.4)
    axes.set_ylabel(f"{label} (%)")
    percent_axis(axes)
    axes.axhline(0.5, color="#b00020", linewidth=0.8, linestyle=(0, (4, 3)))  # chance
