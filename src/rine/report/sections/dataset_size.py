"""Accuracy and AP for each share of the training pictures."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.drawing import canvas, legend_below
from rine.report.bars import BANDS, grouped_bars, wide, with_bands
from rine.report.by_setting import means_by
from rine.report.estimates import Intervals
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.section import Content, Figure, Section
from rine.report.study import Study
from rine.report.table import text


def make(study: Study) -> Content | None:
    scores = study.scores("dataset_size")
    if scores.empty:
        return None
    intervals = study.intervals(study.images("dataset_size"), "fraction")
    rows = {value: [text(f"{100 * value:g} %")] for value in sorted(scores["fraction"].dropna().unique())}
    heading = "Means over generators by share of the training pictures (%)"
    table = means_by("dataset_size", heading, ["Share"], rows, scores, "fraction", intervals)
    return Content(tables=[table], figures=[_figure(scores, intervals, study.title)])


def _figure(scores: pd.DataFrame, intervals: Intervals, title: Callable[[str], str]) -> Figure:
    """Bars by generator, in the generators' order of the scores, shares rising in the legend."""
    rising, keys = scores.sort_values("fraction", kind="stable"), ["setting", "generator", "fraction"]
    means = rising.groupby(keys, sort=False)[list(PAPER_METRICS)].mean().reset_index()
    band = lambda row, metric: intervals.of(row["setting"], metric, [row["generator"]], row["fraction"])  # noqa: E731
    means = with_bands(means, band)
    means["generator"] = means["generator"].map(title)
    order = {title(name): i for i, name in enumerate(dict.fromkeys(scores["generator"]))}
    ordered = means.assign(order=means["generator"].map(order)).sort_values(["order", "fraction"], kind="stable")
    data = means.assign(panel=means["setting"], series=[f"{100 * f:g} %" for f in means["fraction"]])
    return Figure(
        "dataset_size",
        "Accuracy and AP by generator and share of the training pictures",
        f"One bar a share of the training pictures{BANDS}; the dashed line is chance.",
        lambda: draw_by_generator(ordered),
        data[["panel", "series", "generator", *PAPER_METRICS]],
    )


def draw_by_generator(scores: pd.DataFrame) -> Drawing:
    """Bars by generator, one for each share; `scores` has setting, generator (for people), fraction, acc, ap (0..1)."""
    settings, generators = settings_of(scores), list(dict.fromkeys(scores["generator"]))
    panels = [(setting, metric) for metric in PAPER_METRICS for setting in settings]
    width, height = max(6.0, 0.9 + 0.42 * len(generators)), 0.9 + 1.75 * len(panels)
    figure, axes = canvas(len(panels), 1, width, height, sharex=True)
    for panel, (setting, metric) in zip(axes[:, 0], panels, strict=True):
        rows = scores[scores["setting"] == setting]
        grouped_bars(panel, wide(rows, "generator", "fraction", metric), PAPER_METRICS[metric])
        panel.set_title(setting, loc="left")
    axes[-1, 0].set_xticks(range(len(generators)), generators, rotation=45, ha="right", rotation_mode="anchor")
    legend_below(figure, axes[0, 0], "Share of the training pictures")
    return figure


SECTION = Section(
    "dataset_size",
    "Size of the training set",
    ("dataset_size", "index"),
    make,
    "No share of the training pictures has been tried yet.",
)
