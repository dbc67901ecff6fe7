"""Grouped bars of accuracy and AP, as the figures of variants and of training-set sizes draw them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rine.drawing import canvas, fill_style, legend_below, percent_axis
from rine.report.labels import PAPER_METRICS, settings_of


def draw_bars(means: pd.DataFrame) -> Figure:
    """Accuracy and AP side by side: a group of bars for each `name`, a bar for each `setting`, with numbers.

    `means` has these two columns, acc and ap (0..1).
    """
    names, values = list(dict.fromkeys(means["name"])), settings_of(means)
    figure, axes = canvas(1, 2, max(6.0, 1.5 + 0.5 * len(names) * len(values)), 3.6)
    for (metric, label), panel in zip(PAPER_METRICS.items(), axes[0], strict=True):
        wide = means.pivot_table(index="name", columns="setting", values=metric, sort=False)
        grouped_bars(panel, wide.reindex(index=names, columns=values), label, numbers=True)
        panel.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor")
    legend_below(figure, axes[0, 0])
    return figure


def grouped_bars(axes: Axes, table: pd.DataFrame, label: str, numbers: bool = False) -> None:
    """Bars of values in 0..1: a group for each row, a bar for each column; `numbers` writes each above its bar.

    They start at nothing in every panel: a bar's length is its value.
    """
    width = 0.84 / max(1, table.shape[1])
    for i, column in enumerate(table.columns):
        places = np.arange(len(table)) + (i - (table.shape[1] - 1) / 2) * width
        name = f"{100 * column:g} %" if isinstance(column, float) else str(column)
        bars = axes.bar(places, table[column], width, label=name, **fill_style(i))
        if numbers:
            texts = ["" if np.isnan(value) else f"{100 * value:.1f}" for value in table[column]]
            axes.bar_label(bars, texts, fontsize=6.5, padding=1.5, rotation=90 if table.size > 8 else 0)
    axes.set_ylim(0, 1.12 if numbers else 1.0)
    axes.set_xlim(-0.6, len(table) - 0.4)
    axes.set_ylabel(f"{label} (%)")
    percent_axis(axes)
    axes.axhline(0.5, color="#b00020", linewidth=0.8, linestyle=(0, (4, 3)))  # chance
