"""Sections on the single experiments: hyper-parameters, epochs, data, ablation, perturbations, embeddings."""

from __future__ import annotations

import pandas as pd

from rine.generators import title
from rine.plots import curves, embeddings, grid, studies
from rine.report.section import Figure, Section, long
from rine.report.degradation import degradation
from rine.report.study import Study
from rine.tables.estimates import METRICS, Intervals, draw, run_means
from rine.tables.studies import (
    KINDS,
    VARIANTS,
    compared_table,
    configurations_table,
    paired,
    sizes_table,
    steps_table,
    with_parameters,
)


def hyper_parameters(study: Study, ours: pd.DataFrame) -> Section:
    """The grid: box plots by parameter, accuracy against head size."""
    scores = study.of("grid")
    runs = with_parameters(scores, study.blocks)
    if runs.empty:
        return Section("grid", "Hyper-parameters", ["The grid has not been run yet."])
    tables = [configurations_table(ours, study.blocks)] if len(ours) else []
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
    return Section("grid", "Hyper-parameters", tables=[*tables, sizes_table(runs, study.encoder)], figures=figures)


def epochs(study: Study) -> Section:
    """Accuracy and AP against epochs, of the settings and of the LDM study."""
    scores = pd.concat([study.of("epochs"), study.of("ldm")], ignore_index=True)
    if scores["epochs"].nunique() < 2:
        return Section("epochs", "Epochs", ["Nothing has been trained for different numbers of epochs yet."])
    runs = run_means(scores)
    data = runs.groupby(["setting", "epochs"], sort=False)[list(METRICS)].mean().reset_index()
    data = long(data.assign(series=data["setting"]), ["series", "epochs"], "panel")
    table = steps_table("epochs", "Means over generators by epochs (%)", scores, "epochs", "Epochs")
    says = "Thick lines are means of a setting's configurations, thin ones single configurations."
    figure = Figure("epochs", "Accuracy and AP against epochs", says, lambda: studies.epochs(runs), data)
    return Section("epochs", "Epochs", tables=[table], figures=[figure])


def data_size(study: Study) -> Section:
    """Bars by generator for each share of the training pictures."""
    scores = study.of("dataset_size")
    if scores.empty:
        return Section("dataset_size", "Size of the training set", ["No share of the training pictures has been tried yet."])
    named = scores.assign(generator=scores["generator"].map(title)).sort_values("fraction", kind="stable")
    means = named.groupby(["setting", "generator", "fraction"], sort=False)[list(METRICS)].mean().reset_index()
    data = means.rename(columns={"setting": "panel"}).assign(series=[f"{100 * f:g} %" for f in means["fraction"]])
    shares = scores.assign(share=100 * scores["fraction"])
    table = steps_table(
        "dataset_size", "Means over generators by share of the training pictures (%)", shares, "share", "Share", "{:g} %"
    )
    figure = Figure(
        "dataset_size", "Accuracy and AP by generator and share of the training pictures",
        "One bar a share of the training pictures; the dashed line is chance.",
        lambda: studies.by_generator(_in_order(means, scores), "fraction", "Share of the training pictures"),
        data[["panel", "series", "generator", *METRICS]],
    )  # fmt: skip
    return Section("dataset_size", "Size of the training set", tables=[table], figures=[figure])


def _in_order(means: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows in the generators' order of the scores, fractions rising."""
    order = {title(name): i for i, name in enumerate(dict.fromkeys(scores["generator"]))}
    return means.assign(_at=means["generator"].map(order)).sort_values(["_at", "fraction"], kind="stable")


def ablation(study: Study, ours: pd.DataFrame, found: Intervals) -> Section:
    """The method without one of its parts."""
    scores = study.of("ablate")
    if scores.empty:
        return Section("ablate", "Ablation", ["No part of the method has been left out yet."])
    full = ours[ours["setting"].isin(scores["setting"].unique())]
    draws = {}
    if study.params is not None and len(study.test_sets):
        drawn = {key: draw(part, study.home_sets(key[1]), study.params.report) for key, part in study.ablated.items()}
        draws = {key: part for key, part in drawn.items() if part is not None}
    table = compared_table(
        "ablate", "Without one part of the method (%)", scores, full, VARIANTS, paired(found, draws)
    )
    return Section("ablate", "Ablation", tables=[table], figures=[_variant_figure("ablate", "Ablation", scores, full, VARIANTS)])


def baselines(study: Study, ours: pd.DataFrame, found: Intervals) -> Section:
    """Other classifiers on the same tokens."""
    scores = study.of("validate")
    scores = scores[scores["variant"].str.startswith("baseline:")]
    if scores.empty:
        return Section("baselines", "Baselines")
    names = {variant: variant.removeprefix("baseline:").replace("_", " ") for variant in scores["variant"].unique()}
    full = ours[ours["setting"].isin(scores["setting"].unique())]
    scores = scores[scores["generator"].isin(full["generator"].unique())]
    draws = {}
    if study.params is not None:
        for setting, scored in study.baselines.items():
            for variant in names:
                one = scored.take((scored.runs["variant"] == variant).to_numpy())
                drawn = draw(one, study.home_sets(setting), study.params.report)
                draws |= {(variant, setting): drawn} if drawn else {}
    heading = "Other classifiers on the same cached tokens (%)"
    table = compared_table("baselines", heading, scores, full, names, paired(found, draws), "This method")
    return Section("baselines", "Baselines", tables=[table])


def perturbations(study: Study, ours: pd.DataFrame) -> Section:
    """The paper's perturbations, and degradation against strength."""
    heading, scores = "Perturbations", study.of("perturb")
    figures, tables, words = [], [], []
    sweeps = degradation(study)
    if study.params is not None and (len(scores) or len(sweeps)):
        mode = study.params.perturb.mode
        meaning = {
            "paper": "as the paper describes them",
            "reference": "as the published code makes them, which is not what the paper says: its JPEG quality is "
            "always 95, its blur does not follow its kernel, its noise takes a variance as a standard deviation",
        }
        words = [f"Mode of the perturbations: {mode} ({meaning[mode]}). Each picture is perturbed with probability 0.5."]
    if len(scores):
        names = {f"perturb:{kind}": words for kind, words in KINDS.items()}
        full = ours[ours["setting"].isin(scores["setting"].unique())]
        tables = [compared_table("perturb", "Perturbed test pictures (%)", scores, full, names, {}, "Untouched")]
        figures = [_variant_figure("perturb", "Accuracy and AP on perturbed pictures", scores, full, names)]
    if len(sweeps):
        data = sweeps.rename(columns={"kind": "panel", "setting": "series"})
        says = (
            "ROC AUC, and the share of synthetic pictures found at the threshold that lets 5 % of the real validation "
            "pictures through: means over generators, one column a degradation."
        )
        figures.append(Figure("degradation", "Degradation", says, lambda: curves.degradation(sweeps), data))
    if not figures:
        return Section("perturb", heading, ["No perturbed picture has been scored yet."])
    return Section("perturb", heading, words, tables, figures)


def _variant_figure(key: str, name: str, scores: pd.DataFrame, full: pd.DataFrame, names: dict[str, str]) -> Figure:
    short = {variant: words.split(" (")[0] for variant, words in names.items()}
    whole = full.assign(name="untouched" if key == "perturb" else "whole method")
    parts = [whole, *(scores[scores["variant"] == v].assign(name=words) for v, words in short.items())]
    means = pd.concat(parts).groupby(["setting", "name"], sort=False)[list(METRICS)].mean().reset_index()
    data = long(means.assign(panel=means["setting"]), ["panel", "name"], "series")
    return Figure(key, name, "One bar a setting, with its value.", lambda: studies.bars(means), data)


def inside(study: Study) -> Section:
    """Which blocks the heads look at, and what their embeddings look like."""
    figures = []
    if study.importance:
        shares = pd.concat([table.assign(series=name) for name, table in study.importance.items()])
        figures.append(
            Figure(
                "importance", "Share of the embedding's dimensions led by each block",
                "One bar a model and block: the share of dimensions whose largest importance lies in that block.",
                lambda: embeddings.importance(study.importance), shares.assign(panel="")[["panel", "series", "block", "share"]],
            )
        )  # fmt: skip
    if len(study.embeddings):
        name = study.labels[study.params.best.default] if study.params else ""
        points = study.embeddings.assign(panel=name, series=study.embeddings["group"])[["panel", "series", "x", "y"]]
        figures.append(
            Figure(
                "embeddings", "Embeddings on a plane (t-SNE)", "Some test pictures of each group: real, GAN, diffusion.",
                lambda: embeddings.tsne({name: study.embeddings}), points,
            )
        )  # fmt: skip
    words = [] if figures else ["No model has been stored yet."]
    return Section("inside", "Inside the heads", words, figures=figures)
