"""Curves: ROC and precision-recall by generator family, degradation against strength."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from rine.plots.style import canvas, legend_below, line, percent, styled

# more points than a figure has pixels only make the CSV large
POINTS = 201


def curve_points(kind: str, labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of one curve on a fixed grid of x: `roc` (false against true alarms) or `pr` (recall against precision).

    A step function is read off at its upper edge for ROC, and as interpolated precision (the best one that is to be had
    at this recall or more) for PR. One class only raises, since neither curve exists.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError("a curve needs real and synthetic pictures, got one class only")
    at = np.linspace(0, 1, POINTS)
    if kind == "roc":
        false, true, _ = roc_curve(labels, logits)
        return at, true[np.searchsorted(false, at, side="right") - 1]
    precision, recall, _ = precision_recall_curve(labels, logits)
    best = np.maximum.accumulate(precision)  # recall falls along the curve
    return at, best[np.searchsorted(-recall, -at, side="right") - 1]


@styled
def curves(points: pd.DataFrame, kind: str) -> Figure:
    """ROC or precision-recall curves by family, a panel for each setting.

    `points` has setting, family, x, y as `curve_points` gives them, and area (AUC or AP, 0..1).
    """
    settings = list(dict.fromkeys(points["setting"]))
    families = list(dict.fromkeys(points["family"]))
    figure, axes = canvas(1, len(settings), max(4.2, 3.3 * len(settings)), 4.4, sharey=True)
    for panel, setting in zip(axes[0], settings, strict=True):
        mine = points[points["setting"] == setting]
        for i, family in enumerate(families):
            one = mine[mine["family"] == family]
            if len(one):
                panel.plot(one["x"], one["y"], label=family, **(line(i) | {"markevery": (i * 6, 40)}))
        if kind == "roc":
            panel.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
        panel.set(title=setting, xlim=(-0.02, 1.02), box_aspect=1)
        panel.set_xlabel("False alarms (%)" if kind == "roc" else "Recall (%)")
        percent(panel)
        percent(panel, "x")
    axes[0, 0].set_ylim(-0.02 if kind == "roc" else None, 1.02)
    axes[0, 0].set_ylabel("Detected (%)" if kind == "roc" else "Precision (%)")
    legend_below(figure, axes[0, 0])
    return figure


DEGRADED = (("auc", "ROC AUC (%)"), ("tpr", "Found at fixed threshold (%)"))


@styled
def degradation(table: pd.DataFrame) -> Figure:
    """AUC and TPR at a threshold that was fixed beforehand, against strength: a column for each degradation.

    `table` has setting, kind, strength (a word; in the order of the rows), auc, tpr (0..1).
    """
    kinds = list(dict.fromkeys(table["kind"]))
    columns = min(4, len(kinds))
    rows = -(-len(kinds) // columns)
    figure, axes = canvas(2 * rows, columns, 2.5 * columns + 0.6, 3.9 * rows + 0.5)
    for number, kind in enumerate(kinds):
        for half, (metric, label) in enumerate(DEGRADED):
            panel = axes[2 * (number // columns) + half, number % columns]
            _degradation_panel(panel, table[table["kind"] == kind], metric)
            panel.set_xlabel(kind if half else "")
            panel.set_ylabel(label if number % columns == 0 else "")
    for spare in axes.flat:
        if not spare.has_data():
            spare.set_axis_off()
    legend_below(figure, axes[0, 0])
    return figure


def _degradation_panel(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    strengths = list(dict.fromkeys(table["strength"]))
    for i, (setting, mine) in enumerate(table.groupby("setting", sort=False)):
        places = [strengths.index(strength) for strength in mine["strength"]]
        axes.plot(places, mine[metric], label=setting, **line(i))
    # by rank: qualities, sigmas and factors have scales of their own, and a chain of steps has none
    axes.set_xticks(range(len(strengths)), [str(strength) for strength in strengths])
    axes.set_ylim(-0.03, 1.03)
    percent(axes)
