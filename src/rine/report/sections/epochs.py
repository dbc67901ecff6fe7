"""Accuracy and AP against epochs, of the settings and of the LDM study."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.drawing import canvas, legend_below, line_style, percent_axis
from rine.report.by_setting import means_by
from rine.report.estimates import run_means
from rine.report.labels import PAPER_METRICS
from rine.report.section import Content, Figure, Section, long
from rine.report.study import Study
from rine.report.table import text


def make(study: Study) -> Content | None:
    scores = pd.concat([study.scores("epochs"), study.scores("ldm")], ignore_index=True)
    if scores["epochs"].nunique() < 2:
        return None
    intervals = study.intervals(study.images("epochs") | study.images("ldm"), "epochs")
    rows = {value: [text(f"{value:g}")] for value in sorted(scores["epochs"].dropna().unique())}
    heading = "Means over generators by epochs (%)"
    table = means_by("epochs", heading, ["Epochs"], rows, scores, "epochs", intervals)
    runs = run_means(scores)
    data = runs.groupby(["setting", "epochs"], sort=False)[list(PAPER_METRICS)].mean().reset_index()
    figure = Figure(
        "epochs",
        "Accuracy and AP against epochs",
        "Thick lines are means of a setting's configurations, thin ones single configurations.",
        lambda: draw_epochs(runs),
        long(data.assign(series=data["setting"]), ["series", "epochs"], "panel"),
    )
    return Content(tables=[table], figures=[figure])


def draw_epochs(runs: pd.DataFrame) -> Drawing:
    """The mean of each setting's configurations, and each of them thinly.

    `runs` has one row a run and epoch: setting, xi, q, d, seed, epochs, acc, ap (means over the generators, 0..1).
    """
    figure, axes = canvas(1, 2, 9, 3.6)
    ticks = sorted(set(runs["epochs"]))
    for (metric, label), panel in zip(PAPER_METRICS.items(), axes[0], strict=True):
        for i, (setting, rows) in enumerate(runs.groupby("setting", sort=False)):
            look = line_style(i)
            for _, one in rows.groupby(["xi", "q", "d"]):
                mean = one.groupby("epochs")[metric].mean()
                panel.plot(mean.index, mean, color=look["color"], linewidth=0.8, alpha=0.6)
            mean = rows.groupby("epochs")[metric].mean()
            panel.plot(mean.index, mean, label=setting, **look)
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("Epochs")
        panel.set_ylabel(f"{label} (%)")
        percent_axis(panel)
    legend_below(figure, axes[0, 0])
    return figure


SECTION = Section(
    "epochs",
    "Epochs",
    ("epochs", "ldm", "index"),
    make,
    "Nothing has been trained for different numbers of epochs yet.",
)
