"""Detection against the date at which a generator was released."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from rine.dataset.generators import family_title
from rine.drawing import canvas, legend_below, line_style, percent_axis
from rine.evaluation.metrics import evaluate
from rine.report.labels import settings_of
from rine.report.section import Content, Figure, Section
from rine.report.study import REPORTED_FROM, Study
from rine.scores import test_sets_of

METRICS = {"acc": "accuracy", "roc_auc": "roc_auc"}  # of the intervals -> of `rine.evaluation.metrics`
TITLES = {"acc": "Accuracy (%)", "roc_auc": "AUC (%)"}
COLUMNS = ["setting", "metric", "generator", "family", "released", "value", "low", "high"]


def make(study: Study) -> Content | None:
    if not study.images("validate"):
        return None
    points = pd.DataFrame(_points(study), columns=COLUMNS)
    if points["released"].nunique() < 2:
        return None
    undated = sorted({name for name in study.test_sets["generator"] if not study.released(name)})
    lines = [f"Without a date of release, and not drawn: {', '.join(map(study.title, undated))}."] if undated else []
    says = "One point a generator, at the date of its release, with its interval: accuracy above, AUC below."
    data = points.assign(panel=points["setting"] + ", " + points["metric"], series=points["family"])
    return Content(lines, figures=[Figure("released", "Through time", says, lambda: draw_released(points), data)])


def _points(study: Study) -> Iterator[tuple[object, ...]]:
    """Rows of `COLUMNS`: means over seeds, as in the table by generator."""
    for setting, scores in study.images("validate").items():
        for each in test_sets_of(scores.images, study.sets_of(setting)):
            released = study.released(each.generator)
            if not released:
                continue
            runs = [evaluate(each.labels, logits[each.rows], names=METRICS.values()) for logits in scores.logits]
            for metric, name in METRICS.items():
                values = [run[name].value for run in runs]
                if None in values:
                    continue
                found = study.model_intervals.of(setting, metric, [each.generator])
                ends = (found.low, found.high) if found else (np.nan, np.nan)
                value = float(np.mean([value for value in values if value is not None]))
                about = study.title(each.generator), family_title(each.family), released
                yield setting, metric, *about, round(value, 6), *(round(end, 6) for end in ends)


def draw_released(points: pd.DataFrame) -> Drawing:
    """A column for each setting, accuracy above and AUC below; `points` has the columns `COLUMNS`, values in 0..1."""
    settings, families = settings_of(points), list(dict.fromkeys(points["family"]))
    points = points.assign(date=[_year(day) for day in points["released"]])
    figure, axes = canvas(2, len(settings), 1.2 + 2.6 * len(settings), 5.2, sharex=True, sharey="row")
    for column, setting in enumerate(settings):
        for row, metric in enumerate(METRICS):
            panel = axes[row, column]
            here = points[(points["setting"] == setting) & (points["metric"] == metric)]
            panel.vlines(here["date"], here["low"], here["high"], color="#999999", linewidth=1)
            for i, family in enumerate(families):
                some = here[here["family"] == family]
                panel.plot(some["date"], some["value"], label=family, **(line_style(i) | {"linestyle": "none"}))
            panel.axhline(0.5, color="#b00020", linewidth=0.8, linestyle=(0, (4, 3)))  # chance
            panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
            panel.xaxis.set_major_formatter(FormatStrFormatter("%d"))
            panel.margins(x=0.1)
            percent_axis(panel)
            axes[row, 0].set_ylabel(TITLES[metric])
        axes[0, column].set_title(setting)
    legend_below(figure, axes[0, 0])
    return figure


def _year(day: str) -> float:
    """2022-07-02 as 2022.5; of a month or a year alone its beginning."""
    year, month, of_month = (*map(int, day.split("-")), 1, 1)[:3]
    return year + (month - 1) / 12 + (of_month - 1) / 365


SECTION = Section("released", "Through time", REPORTED_FROM, make)
