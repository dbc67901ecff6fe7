"""Sections that lay something beside the chosen models: ablations, baselines, perturbed pictures."""

from __future__ import annotations

import pandas as pd

from rine.plots import curves, studies
from rine.report.degradation import degradation
from rine.report.section import Figure, Section, long
from rine.report.study import Study
from rine.tables.estimates import METRICS, Intervals
from rine.tables.studies import KINDS, SHORT, VARIANTS, compared_table


def ablation(study: Study, ours: pd.DataFrame, found: Intervals) -> Section:
    """The method without one of its parts."""
    scores = study.of("ablate")
    if scores.empty:
        return Section("ablate", "Ablation", ["No part of the method has been left out yet."])
    full = ours[ours["setting"].isin(scores["setting"].unique())]
    apart = study.intervals(study.ablated, "variant")
    table = compared_table("ablate", "Without one part of the method (%)", scores, full, VARIANTS, found, apart)
    return Section(
        "ablate", "Ablation", tables=[table], figures=[_variant_figure("ablate", "Ablation", scores, full, SHORT)]
    )


def baselines(study: Study, ours: pd.DataFrame, found: Intervals) -> Section:
    """Other classifiers on the same tokens."""
    scores = study.of("validate")
    scores = scores[scores["variant"].str.startswith("baseline:")]
    if scores.empty:
        return Section("baselines", "Baselines")
    names = {variant: variant.removeprefix("baseline:").replace("_", " ") for variant in scores["variant"].unique()}
    full = ours[ours["setting"].isin(scores["setting"].unique())]
    scores = scores[scores["generator"].isin(full["generator"].unique())]
    apart = study.intervals(study.baselines, "variant")
    heading = "Other classifiers on the same cached tokens (%)"
    table = compared_table("baselines", heading, scores, full, names, found, apart, "This method")
    return Section("baselines", "Baselines", tables=[table])


def perturbations(study: Study, ours: pd.DataFrame, found: Intervals) -> Section:
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
        words = [f"Mode: {mode} ({meaning[mode]}). Each picture is perturbed with probability 0.5."]
    if len(scores):
        names = {f"perturb:{kind}": words for kind, words in KINDS.items()}
        full = ours[ours["setting"].isin(scores["setting"].unique())]
        apart = study.intervals(study.perturbed, "variant")
        tables = [
            compared_table("perturb", "Perturbed test pictures (%)", scores, full, names, found, apart, "Untouched")
        ]
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
    whole = full.assign(name="untouched" if key == "perturb" else "whole method")
    parts = [whole, *(scores[scores["variant"] == v].assign(name=words) for v, words in names.items())]
    means = pd.concat(parts).groupby(["setting", "name"], sort=False)[list(METRICS)].mean().reset_index()
    data = long(means.assign(panel=means["setting"]), ["panel", "name"], "series")
    return Figure(key, name, "One bar a setting, with its value.", lambda: studies.bars(means), data)
