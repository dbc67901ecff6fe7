"""ROC and precision-recall curves by family, of the first seed's model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing
from sklearn.metrics import precision_recall_curve, roc_curve

from rine.dataset.generators import family_title
from rine.drawing import canvas, legend_below, line_style, percent_axis
from rine.report.labels import settings_of
from rine.report.section import Content, Figure, Section
from rine.report.study import Study
from rine.scores import test_sets_of

KINDS = {"roc": "ROC curves by family", "pr": "Precision-recall curves by family"}
POINTS = 201  # more than a figure has pixels would only make the CSV large


def make(study: Study) -> Content | None:
    if not study.images("validate") or study.test_sets.empty:
        return None
    tables = {kind: pd.DataFrame(_points(study, kind), columns=["setting", "family", "x", "y"]) for kind in KINDS}
    figures = [_figure(kind, points) for kind, points in tables.items() if len(points)]
    return Content(figures=figures) if figures else None


def _figure(kind: str, points: pd.DataFrame) -> Figure:
    says = "One line a family of generators, one panel a setting; the pictures of a family's generators taken together."
    data = points.rename(columns={"setting": "panel", "family": "series"})
    return Figure(kind, KINDS[kind], says, lambda: draw_curves(points, kind), data)


def _points(study: Study, kind: str) -> Iterator[tuple[str, str, float, float]]:
    """Rows of setting, family, x, y."""
    for setting, scores in study.images("validate").items():
        rows: dict[str, list[np.ndarray]] = {}
        for test_set in test_sets_of(scores.images, study.sets_of(setting)):
            rows.setdefault(test_set.family, []).append(test_set.rows)
        for family, pictures in rows.items():
            index = np.unique(np.concatenate(pictures))  # real ones that several sets share count once
            x, y = curve_points(kind, scores.images["label"].to_numpy()[index], scores.logits[0, index])
            yield from (
                (setting, family_title(family), round(a, 4), round(b, 5))
                for a, b in zip(x.tolist(), y.tolist(), strict=True)
            )


def curve_points(kind: str, labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of one curve on a fixed grid of x: `roc` (false against true alarms) or `pr` (recall against precision).

    Of a step of the ROC curve its upper end is taken. Precision is interpolated: the best at this recall or a higher
    one. Raises `ValueError` for pictures of one class, which have neither curve.
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


def draw_curves(points: pd.DataFrame, kind: str) -> Drawing:
    """A panel for each setting, a line for each family; `points` has setting, family, x, y as `curve_points`."""
    settings, families = settings_of(points), list(dict.fromkeys(points["family"]))
    figure, axes = canvas(1, len(settings), max(4.2, 3.3 * len(settings)), 4.4, sharey=True)
    for panel, setting in zip(axes[0], settings, strict=True):
        for i, family in enumerate(families):
            rows = points[(points["setting"] == setting) & (points["family"] == family)]
            if len(rows):
                panel.plot(rows["x"], rows["y"], label=family, **(line_style(i) | {"markevery": (i * 6, 40)}))
        if kind == "roc":
            panel.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
        panel.set(title=setting, xlim=(-0.02, 1.02), box_aspect=1)
        panel.set_xlabel("False alarms (%)" if kind == "roc" else "Recall (%)")
        percent_axis(panel)
        percent_axis(panel, "x")
    axes[0, 0].set_ylim(-0.02 if kind == "roc" else None, 1.02)
    axes[0, 0].set_ylabel("Detected (%)" if kind == "roc" else "Precision (%)")
    legend_below(figure, axes[0, 0])
    return figure


SECTION = Section("curves", "Curves", ("validate", "index"), make)
