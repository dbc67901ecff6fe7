"""Figures of the grid: what each hyper-parameter does, what a larger head buys, ours beside what was published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, NullFormatter

from rine.plots.style import EDGE, canvas, fill, legend_below, line, percent, styled

METRICS = (("acc", "Accuracy (%)"), ("ap", "AP (%)"))
PARAMETERS = (("backbone", "Encoder"), ("xi", "ξ"), ("q", "q"), ("d", "P"))


@styled
def boxes(runs: pd.DataFrame, encoder: str) -> Figure:
    """Box plots of accuracy and AP by encoder, xi, q and P (figure 4 of the paper's programme).

    `runs` has one row a run: backbone, xi, q, d, setting, acc and ap (means over the generators, 0..1). The panels of
    xi, q and P hold the runs of `encoder` alone, since the gap between encoders would hide all else.
    """
    settings = list(dict.fromkeys(runs["setting"]))
    widths = [max(2, runs[key].nunique()) for key, _ in PARAMETERS]
    figure, axes = canvas(2, 4, 10, 5.2, sharey="row", width_ratios=widths)
    for row, (metric, label) in enumerate(METRICS):
        for column, (key, name) in enumerate(PARAMETERS):
            shown = runs if key == "backbone" else runs[runs["backbone"] == encoder]
            _box_panel(axes[row, column], shown, key, metric, settings)
            percent(axes[row, column])
            axes[1, column].set_xlabel(name if key == "backbone" else f"{name} ({encoder})")
        axes[row, 0].set_ylabel(label)
    handles = [Patch(label=setting, **fill(i)) for i, setting in enumerate(settings)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _box_panel(axes: Axes, runs: pd.DataFrame, key: str, metric: str, settings: Sequence[str]) -> None:
    """Boxes of one metric by one parameter, a box for each setting side by side."""
    values = sorted(runs[key].unique())
    width = 0.8 / len(settings)
    for i, setting in enumerate(settings):
        mine = runs[runs["setting"] == setting]
        data = [mine.loc[mine[key] == value, metric].to_numpy() for value in values]
        places = np.arange(len(values)) + (i - (len(settings) - 1) / 2) * width
        drawn = axes.boxplot(
            data, positions=places, widths=0.85 * width, patch_artist=True, manage_ticks=False,
            medianprops={"color": "#d62728", "linewidth": 1.4}, whiskerprops={"color": EDGE, "linewidth": 0.7},
            capprops={"color": EDGE, "linewidth": 0.7}, flierprops={"marker": ".", "markersize": 3},
        )  # fmt: skip
        for box in drawn["boxes"]:
            box.set(**fill(i))
    axes.set_xticks(range(len(values)), [v if isinstance(v, str) else f"{v:g}" for v in values])


@styled
def head_size(runs: pd.DataFrame, encoder: str) -> Figure:
    """Accuracy and AP against the number of trainable parameters, one point a run, for one encoder.

    `runs` as for `boxes`, with the column `parameters`. The line joins the medians.
    """
    runs = runs[runs["backbone"] == encoder]
    figure, axes = canvas(1, 2, 9, 3.6)
    for (metric, label), panel in zip(METRICS, axes[0], strict=True):
        for i, (setting, mine) in enumerate(runs.groupby("setting", sort=False)):
            look = line(i)
            middle = mine.groupby("parameters")[metric].median()
            panel.plot(middle.index, middle, color=look["color"], linestyle=look["linestyle"], linewidth=1.2)
            panel.plot(mine["parameters"], mine[metric], label=setting, **(look | {"linestyle": "none"}), alpha=0.8)
        _log_ticks(panel, sorted(runs["parameters"].unique()))
        panel.set_xlabel(f"Trainable parameters of the head ({encoder})")
        panel.set_ylabel(label)
        percent(panel)
    legend_below(figure, axes[0, 0])
    return figure


def _log_ticks(axes: Axes, sizes: Sequence[int]) -> None:
    """A log axis with words such as 300 k; over less than a decade the sizes themselves, since it has no round ones."""
    axes.set_xscale("log")
    words = EngFormatter(sep="\u2009")
    if sizes and sizes[-1] < 10 * sizes[0]:
        axes.set_xticks(sizes, [EngFormatter(places=0, sep="\u2009")(size) for size in sizes])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_formatter(words)
        axes.xaxis.set_minor_formatter(NullFormatter())


@styled
def beside(table: pd.DataFrame) -> Figure:
    """Ours and published by generator: a panel for each setting and metric.

    `table` has setting, generator (label for people), metric (acc, ap), ours, published (0..1, NaN where there is
    none).
    """
    settings = list(dict.fromkeys(table["setting"]))
    names = list(dict.fromkeys(table["generator"]))
    figure, axes = canvas(2, len(settings), 1.6 + 2.9 * len(settings), 1.4 + 0.32 * len(names), sharey=True)
    places = np.arange(len(names))[::-1]
    for column, setting in enumerate(settings):
        for row, (metric, label) in enumerate(METRICS):
            mine = table[(table["setting"] == setting) & (table["metric"] == metric)].set_index("generator")
            mine = mine.reindex(names)
            panel = axes[row, column]
            panel.hlines(places, mine["ours"], mine["published"], color="#999999", linewidth=1)
            panel.plot(mine["published"], places, "o", label="published", mfc="white", mec=EDGE)
            panel.plot(mine["ours"], places, "D", label="ours", mfc="#2c77b0", mec=EDGE, mew=0.4)
            panel.set_yticks(places, names)
            panel.set_ylim(-0.6, len(names) - 0.4)
            panel.grid(axis="x")
            panel.set_xlabel(label)
            percent(panel, "x")
            axes[0, column].set_title(setting)
    legend_below(figure, axes[0, 0])
    return figure
