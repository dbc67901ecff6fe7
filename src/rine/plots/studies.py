"""Figures of the single experiments: epochs, size of the training set, ablation, perturbations, selection rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rine.plots.grid import METRICS
from rine.plots.style import EDGE, canvas, fill, legend_below, line, percent, styled, ticks_at


@styled
def epochs(runs: pd.DataFrame) -> Figure:
    """Accuracy and AP against epochs: the mean of each setting's configurations, and each of them thinly.

    `runs` has one row a run and epoch: setting, xi, q, d, seed, epochs, acc, ap (means over the generators, 0..1).
    """
    figure, axes = canvas(1, 2, 9, 3.6)
    for (metric, label), panel in zip(METRICS, axes[0], strict=True):
        for i, (setting, mine) in enumerate(runs.groupby("setting", sort=False)):
            look = line(i)
            for _, one in mine.groupby(["xi", "q", "d"]):
                mean = one.groupby("epochs")[metric].mean()
                panel.plot(mean.index, mean, color=look["color"], linewidth=0.8, alpha=0.6)
            mean = mine.groupby("epochs")[metric].mean()
            panel.plot(mean.index, mean, label=setting, **look)
        ticks_at(panel, runs["epochs"])
        panel.set_xlabel("Epochs")
        panel.set_ylabel(label)
        percent(panel)
    legend_below(figure, axes[0, 0])
    return figure


@styled
def by_generator(scores: pd.DataFrame, series: str, title: str) -> Figure:
    """Bars by generator, one for each value of the column `series` (a data fraction, a variant, ...).

    `scores` has setting, generator (label for people), acc, ap (0..1) and `series`; rows of one bar are averaged.
    """
    settings = list(dict.fromkeys(scores["setting"]))
    names = list(dict.fromkeys(scores["generator"]))
    values = list(dict.fromkeys(scores[series]))
    panels = [(setting, metric, label) for metric, label in METRICS for setting in settings]
    figure, axes = canvas(len(panels), 1, max(6.0, 0.9 + 0.42 * len(names)), 0.9 + 1.75 * len(panels), sharex=True)
    for panel, (setting, metric, label) in zip(axes[:, 0], panels, strict=True):
        mine = scores[scores["setting"] == setting]
        wide = mine.pivot_table(index="generator", columns=series, values=metric, sort=False)
        _bars(panel, wide.reindex(index=names, columns=values), label)
        panel.set_title(setting, loc="left")
    axes[-1, 0].set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    legend_below(figure, axes[0, 0], title)
    return figure


@styled
def bars(means: pd.DataFrame, series: str = "setting", category: str = "name") -> Figure:
    """Accuracy and AP side by side: a group of bars for each `category`, a bar for each `series`, with numbers.

    `means` has the two columns, acc and ap (0..1) and may have acc_low, acc_high, ap_low, ap_high.
    """
    names, values = list(dict.fromkeys(means[category])), list(dict.fromkeys(means[series]))
    figure, axes = canvas(1, 2, max(6.0, 1.5 + 0.5 * len(names) * len(values)), 3.6)
    for (metric, label), panel in zip(METRICS, axes[0], strict=True):
        wide = means.pivot_table(index=category, columns=series, values=metric, sort=False)
        _bars(panel, wide.reindex(index=names, columns=values), label, numbers=True)
        panel.set_xticks(range(len(names)), names, rotation=25, ha="right", rotation_mode="anchor")
    legend_below(figure, axes[0, 0])
    return figure


def _bars(axes: Axes, wide: pd.DataFrame, label: str, numbers: bool = False) -> None:
    """Grouped bars of values in 0..1 from the base line that keeps their differences visible."""
    width = 0.84 / max(1, wide.shape[1])
    low = _floor(wide.to_numpy())
    for i, column in enumerate(wide.columns):
        places = np.arange(len(wide)) + (i - (wide.shape[1] - 1) / 2) * width
        drawn = axes.bar(places, wide[column] - low, width, bottom=low, label=_name(column), **fill(i))
        if numbers:
            texts = ["" if np.isnan(value) else f"{100 * value:.1f}" for value in wide[column]]
            axes.bar_label(drawn, texts, fontsize=6.5, padding=1.5, rotation=90 if wide.size > 8 else 0)
    axes.set_ylim(low, 1.0 if not numbers else 1.0 + 0.12 * (1 - low))
    axes.set_xlim(-0.6, len(wide) - 0.4)
    axes.set_ylabel(label)
    percent(axes)
    axes.axhline(0.5, color="#b00020", linewidth=0.8, linestyle=(0, (4, 3)))  # chance


def _floor(values: np.ndarray) -> float:
    """The base line of bars: chance, or the ten per cent below the lowest value."""
    lowest = np.nanmin(values) if np.isfinite(values).any() else 0.5
    return float(min(0.5, np.floor(10 * lowest) / 10))


def _name(value: object) -> str:
    return f"{100 * value:g} %" if isinstance(value, float) else str(value)


@styled
def rules(table: pd.DataFrame, order: Sequence[str]) -> Figure:
    """What each selection rule reports: a panel for each metric, a row for each rule, a marker for each setting.

    `table` has setting, rule, acc, ap (0..1).
    """
    names = [rule for rule in order if rule in set(table["rule"])]
    places = np.arange(len(names))[::-1]
    figure, axes = canvas(1, 2, 9, 1.3 + 0.34 * len(names), sharey=True)
    for (metric, label), panel in zip(METRICS, axes[0], strict=True):
        for i, (setting, mine) in enumerate(table.groupby("setting", sort=False)):
            values = mine.set_index("rule")[metric].reindex(names)
            look = line(i) | {"linestyle": "none", "markersize": 7, "markeredgecolor": EDGE}
            panel.plot(values, places, label=setting, **look)
        panel.set_yticks(places, [name.replace("_", " ") for name in names])
        panel.grid(axis="x")
        panel.set_xlabel(label)
        percent(panel, "x")
        panel.margins(x=0.08, y=0.12)
    legend_below(figure, axes[0, 0])
    return figure
