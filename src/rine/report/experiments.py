"""Sections on what is trained: hyper-parameters, epochs, size of the training set, what heads look at."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from rine.generators import title
from rine.plots import embeddings, grid, studies
from rine.report.section import Figure, Section, long
from rine.report.study import Study
from rine.tables.estimates import METRICS, run_means
from rine.tables.studies import configurations_table, sizes_table, steps_table, with_parameters


def hyper_parameters(study: Study, ours: pd.DataFrame) -> Section:
    """The grid: box plots by parameter, accuracy against head size."""
    scores = study.of("grid")
    runs = with_parameters(scores, study.blocks)
    if runs.empty:
        return Section("grid", "Hyper-parameters", ["The grid has not been run yet."])
    tables = [configurations_table(ours, study.blocks)] if len(ours) else []
    heads = {name: replace(one, runs=_with_head(one.runs)) for name, one in study.grid.items()}
    sized = study.intervals(heads, "head")
    data = runs.assign(series=runs["setting"], encoder=runs["backbone"], P=runs["d"])
    data = long(data, ["series", "encoder", "xi", "q", "P", "seed", "parameters"], "panel")
    figures = [
        Figure(
            "grid", "Accuracy and AP by encoder, ξ, q and P",
            "Box plots of the runs of the grid; a box spans the middle half of the runs, the line is their median.",
            lambda: grid.boxes(runs, study.encoder), data,
        ),
        Figure(
            "head_size", "Accuracy and AP against the size of the head",
            "One point a run of the grid; lines join the medians.",
            lambda: grid.head_size(runs, study.encoder), data[data["encoder"] == study.encoder],
        ),
    ]  # fmt: skip
    return Section(
        "grid", "Hyper-parameters", tables=[*tables, sizes_table(runs, study.encoder, sized)], figures=figures
    )


def _with_head(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with the column `head`, as the table of head sizes names its rows."""
    return runs.assign(head=[f"q {q}, P {proj_dim}" for q, proj_dim in zip(runs["q"], runs["d"], strict=True)])


def epochs(study: Study) -> Section:
    """Accuracy and AP against epochs, of the settings and of the LDM study."""
    scores = pd.concat([study.of("epochs"), study.of("ldm")], ignore_index=True)
    if scores["epochs"].nunique() < 2:
        return Section("epochs", "Epochs", ["Nothing has been trained for different numbers of epochs yet."])
    runs = run_means(scores)
    data = runs.groupby(["setting", "epochs"], sort=False)[list(METRICS)].mean().reset_index()
    data = long(data.assign(series=data["setting"]), ["series", "epochs"], "panel")
    found = study.intervals({**study.longer, **study.ldm}, "epochs")
    table = steps_table("epochs", "Means over generators by epochs (%)", scores, "epochs", "Epochs", found)
    says = "Thick lines are means of a setting's configurations, thin ones single configurations."
    figure = Figure("epochs", "Accuracy and AP against epochs", says, lambda: studies.epochs(runs), data)
    return Section("epochs", "Epochs", tables=[table], figures=[figure])


def data_size(study: Study) -> Section:
    """Bars by generator for each share of the training pictures."""
    scores = study.of("dataset_size")
    name = "Size of the training set"
    if scores.empty:
        return Section("dataset_size", name, ["No share of the training pictures has been tried yet."])
    named = scores.assign(generator=scores["generator"].map(title)).sort_values("fraction", kind="stable")
    means = named.groupby(["setting", "generator", "fraction"], sort=False)[list(METRICS)].mean().reset_index()
    data = means.rename(columns={"setting": "panel"}).assign(series=[f"{100 * f:g} %" for f in means["fraction"]])
    heading = "Means over generators by share of the training pictures (%)"
    found = study.intervals(study.shares, "fraction")
    table = steps_table("dataset_size", heading, scores, "fraction", "Share", found, 100, " %")
    figure = Figure(
        "dataset_size", "Accuracy and AP by generator and share of the training pictures",
        "One bar a share of the training pictures; the dashed line is chance.",
        lambda: studies.by_generator(_in_order(means, scores), "fraction", "Share of the training pictures"),
        data[["panel", "series", "generator", *METRICS]],
    )  # fmt: skip
    return Section("dataset_size", name, tables=[table], figures=[figure])


def _in_order(means: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows in the generators' order of the scores, fractions rising."""
    order = {title(name): i for i, name in enumerate(dict.fromkeys(scores["generator"]))}
    return means.assign(_at=means["generator"].map(order)).sort_values(["_at", "fraction"], kind="stable")


def inside(study: Study) -> Section:
    """Which blocks the heads look at, and what the embeddings of the model in force look like."""
    figures = []
    if study.importance:
        shares = pd.concat([table.assign(panel="", series=name) for name, table in study.importance.items()])
        says = "One bar a model and block: the share of dimensions whose largest importance lies in that block."
        figures.append(
            Figure(
                "importance", "Share of the embedding's dimensions led by each block", says,
                lambda: embeddings.importance(study.importance), shares[["panel", "series", "block", "share"]],
            )
        )  # fmt: skip
    if len(study.embeddings):
        name = study.labels[study.params.best.default] if study.params else ""
        points = study.embeddings.assign(panel=name, series=study.embeddings["group"])
        figures.append(
            Figure(
                "embeddings", "Embeddings on a plane (t-SNE)", "Some test pictures of each group.",
                lambda: embeddings.tsne({name: study.embeddings}), points[["panel", "series", "x", "y"]],
            )
        )  # fmt: skip
    return Section("inside", "Inside the heads", [] if figures else ["No model has been stored yet."], figures=figures)
