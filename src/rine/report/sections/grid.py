"""The grid: what each hyper-parameter does, and what a larger head buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, NullFormatter

from rine.drawing import EDGE, canvas, fill_style, legend_below, line_style, percent_axis
from rine.evaluation.selection.grid import CONFIGURATION
from rine.report.by_setting import means_by
from rine.report.estimates import run_means
from rine.report.head_size import encoder_sizes, n_parameters
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.section import Content, Figure, Section, long
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import MISSING, Cell, Row, Table, number, text

PARAMETERS = {"backbone": "Encoder", "xi": "ξ", "q": "q", "d": "P"}


def make(study: Study) -> Content | None:
    sizes = encoder_sizes(study.params, study.all_scores, study.published)
    runs = _with_parameters(study.scores("grid"), sizes)
    if runs.empty:
        return None
    tables = [models_table(study.reported, sizes)] if len(study.reported) else []
    data = runs.assign(series=runs["setting"], encoder=runs["backbone"], P=runs["d"])
    data = long(data, ["series", "encoder", "xi", "q", "P", "seed", "parameters"], "panel")
    boxes = Figure(
        "grid",
        "Accuracy and AP by encoder, ξ, q and P",
        "Box plots of the runs of the grid; a box spans the middle half of the runs, the line is their median.",
        lambda: draw_boxes(runs, study.encoder),
        data,
    )
    size = Figure(
        "head_size",
        "Accuracy and AP against the size of the head",
        "One point a run of the grid; lines join the medians.",
        lambda: draw_head_size(runs, study.encoder),
        data[data["encoder"] == study.encoder],
    )
    return Content(tables=[*tables, sizes_table(study, runs)], figures=[boxes, size])


def _with_parameters(scores: pd.DataFrame, sizes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Run means with the columns `head` and `parameters`, of the runs whose encoder's size is known."""
    runs = _with_head(run_means(scores[scores["backbone"].isin(list(sizes))]))
    shapes = zip(runs["q"], runs["d"], runs["backbone"], strict=True)
    return runs.assign(parameters=[n_parameters(int(q), int(d), *sizes[encoder]) for q, d, encoder in shapes])


def _with_head(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.assign(head=[f"q {q}, P {d}" for q, d in zip(runs["q"], runs["d"], strict=True)])


def models_table(models: pd.DataFrame, sizes: Mapping[str, tuple[int, int]]) -> Table:
    """What each reported model is: encoder, configuration, epochs, parameters, seeds."""
    rows = []
    for setting, scores in models.groupby("setting", sort=False):
        model = scores.iloc[0]
        size, sized = sizes.get(str(model["backbone"])), model[["q", "d"]].notna().all()
        count = n_parameters(int(model["q"]), int(model["d"]), *size) if size and sized else None
        configuration = [Cell(MISSING if pd.isna(model[name]) else f"{model[name]:g}") for name in CONFIGURATION]
        seeds = number(scores["seed"].nunique() or 1, 0)
        rows.append(Row([text(setting), text(model["backbone"]), *configuration, number(count, 0), seeds]))
    columns = ["Setting", "Encoder", "ξ", "q", "P", "Epochs", "Parameters", "Seeds"]
    dash = "not in the scores, or of a tower whose size is not known"
    return Table("models", "The models behind the figures", columns, rows, dash=dash)


def sizes_table(study: Study, runs: pd.DataFrame) -> Table:
    """Head sizes of the study's encoder: parameters by q and P, mean accuracy and AP over xi and seeds."""
    runs = runs[runs["backbone"] == study.encoder]
    heads = runs[["head", "parameters"]].drop_duplicates().sort_values("parameters")
    rows = {head: [text(head), number(size, 0)] for head, size in heads.itertuples(index=False)}
    images = {name: replace(scores, runs=_with_head(scores.runs)) for name, scores in study.images("grid").items()}
    heading, intervals = f"Size of the head ({study.encoder}), means over ξ", study.intervals(images, "head")
    return means_by("head_sizes", heading, ["Head", "Parameters"], rows, runs, "head", intervals)


def draw_boxes(runs: pd.DataFrame, encoder: str) -> Drawing:
    """Box plots of accuracy and AP by encoder, xi, q and P (figure 4 of the paper).

    `runs` has one row a run: backbone, xi, q, d, setting, acc and ap (means over the generators, 0..1). The panels of
    xi, q and P hold the runs of `encoder` alone, since the gap between encoders would hide all else.
    """
    settings = settings_of(runs)
    widths = [max(2, runs[key].nunique()) for key in PARAMETERS]
    figure, axes = canvas(2, 4, 10, 5.2, sharey="row", width_ratios=widths)
    for row, (metric, label) in enumerate(PAPER_METRICS.items()):
        for column, (key, name) in enumerate(PARAMETERS.items()):
            shown = runs if key == "backbone" else runs[runs["backbone"] == encoder]
            _draw_box_panel(axes[row, column], shown, key, metric, settings)
            percent_axis(axes[row, column])
            axes[1, column].set_xlabel(name if key == "backbone" else f"{name} ({encoder})")
        axes[row, 0].set_ylabel(f"{label} (%)")
    handles = [Patch(label=setting, **fill_style(i)) for i, setting in enumerate(settings)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_box_panel(axes: Axes, runs: pd.DataFrame, key: str, metric: str, settings: Sequence[str]) -> None:
    """Boxes of one metric by one parameter, a box for each setting side by side."""
    values = sorted(runs[key].unique())
    width = 0.8 / len(settings)
    for i, setting in enumerate(settings):
        rows = runs[runs["setting"] == setting]
        data = [rows.loc[rows[key] == value, metric].to_numpy() for value in values]
        places = np.arange(len(values)) + (i - (len(settings) - 1) / 2) * width
        drawn = axes.boxplot(
            data, positions=places, widths=0.85 * width, patch_artist=True, manage_ticks=False,
            medianprops={"color": "#d62728", "linewidth": 1.4}, whiskerprops={"color": EDGE, "linewidth": 0.7},
            capprops={"color": EDGE, "linewidth": 0.7}, flierprops={"marker": ".", "markersize": 3},
        )  # fmt: skip
        for box in drawn["boxes"]:
            box.set(**fill_style(i))
    axes.set_xticks(range(len(values)), [v if isinstance(v, str) else f"{v:g}" for v in values])


def draw_head_size(runs: pd.DataFrame, encoder: str) -> Drawing:
    """Accuracy and AP against the number of trainable parameters, one point a run, for one encoder.

    `runs` as for `draw_boxes`, with the column `parameters`. The line joins the medians.
    """
    runs = runs[runs["backbone"] == encoder]
    figure, axes = canvas(1, 2, 9, 3.6)
    for (metric, label), panel in zip(PAPER_METRICS.items(), axes[0], strict=True):
        for i, (setting, rows) in enumerate(runs.groupby("setting", sort=False)):
            look = line_style(i)
            medians = rows.groupby("parameters")[metric].median()
            panel.plot(medians.index, medians, color=look["color"], linestyle=look["linestyle"], linewidth=1.2)
            panel.plot(rows["parameters"], rows[metric], label=setting, **(look | {"linestyle": "none"}), alpha=0.8)
        _set_log_ticks(panel, sorted(runs["parameters"].unique()))
        panel.set_xlabel(f"Trainable parameters of the head ({encoder})")
        panel.set_ylabel(f"{label} (%)")
        percent_axis(panel)
    legend_below(figure, axes[0, 0])
    return figure


def _set_log_ticks(axes: Axes, sizes: Sequence[int]) -> None:
    """A log axis with ticks such as 300 k; the sizes themselves where they span less than a decade."""
    axes.set_xscale("log")
    if sizes and sizes[-1] < 10 * sizes[0]:
        axes.set_xticks(sizes, [EngFormatter(places=0, sep="\u2009")(size) for size in sizes])
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_formatter(EngFormatter(sep="\u2009"))
        axes.xaxis.set_minor_formatter(NullFormatter())


SECTION = Section("grid", "Hyper-parameters", REPORTED_FROM, make, "The grid has not been run yet.")
