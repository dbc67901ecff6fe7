"""From a study to files: figures and their data for DVC, metrics, the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.plots.style import png
from rine.report import comparisons, experiments, material, page, results
from rine.report.nested import nested_intervals
from rine.report.section import Section
from rine.report.study import PUBLISHED_ENCODER, Study
from rine.tables.estimates import METRICS, by_generator, chosen
from rine.tables.headline import HEADLINE


def sections_of(study: Study) -> list[Section]:
    """Everything that can be said of a study, in the order of the page; parts that nothing is known of are left out."""
    everywhere = chosen(study.scores, study.encoder)
    ours, known = at_home(study, everywhere), published_models(study)
    found, nested = study.intervals(study.models), nested_intervals(study)
    listed = [
        results.headline(study, nested),
        results.generators(study, ours, known, found, nested),
        results.metrics(study, ours, found),
        results.curve_section(study),
        comparisons.baselines(study, ours, found),
        comparisons.ablation(study, ours, found),
        comparisons.perturbations(study, ours, found),
        experiments.epochs(study),
        experiments.data_size(study),
        results.latent_diffusion(study, ours, everywhere, known, found, nested),
        experiments.hyper_parameters(study, ours),
        experiments.inside(study),
        material.pictures(study),
        material.making(study),
    ]
    return [section for section in listed if not section.empty]


def at_home(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of each setting on the test sets of its own study."""
    mine = [study.at_home(*pair) for pair in zip(scores["setting"], scores["generator"], strict=True)]
    return scores[np.array(mine, dtype=bool)]


def published_models(study: Study) -> pd.DataFrame:
    """Published scores of the paper's own choice: of the study's encoder where there is that, else of the paper's."""
    there = set(study.published["backbone"])
    return chosen(study.published, study.encoder if study.encoder in there else PUBLISHED_ENCODER)


def render(sections: Sequence[Section], notice: str = "") -> dict[str, bytes]:
    """Draw every figure: key -> PNG."""
    return {figure.key: png(figure.draw(), notice) for section in sections for figure in section.figures}


def write_plots(sections: Sequence[Section], images: dict[str, bytes], folder: Path) -> None:
    """Every figure as a picture and its data as a CSV, for people and for `dvc plots`."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.png"), *folder.glob("*.csv")]:
        old.unlink()  # of a stage that is there no more
    for key, picture in images.items():
        (folder / f"{key}.png").write_bytes(picture)
    for section in sections:
        for figure in section.figures:
            figure.data.to_csv(folder / f"{figure.key}.csv", index=False, float_format="%.6g", lineterminator="\n")


def write_page(
    title: str, notice: str, lead: Sequence[str], sections: Sequence[Section], images: dict[str, bytes], folder: Path
) -> None:
    """index.html, which needs nothing else, and report.md with its figures beside it."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for key, picture in images.items():
        (folder / "figures" / f"{key}.png").write_bytes(picture)
    (folder / "index.html").write_text(page.html(title, notice, lead, sections, images), encoding="utf-8")
    (folder / "report.md").write_text(page.as_markdown(title, notice, lead, sections), encoding="utf-8")


def write_latex(sections: Sequence[Section], folder: Path) -> None:
    """One file a table."""
    (folder / "latex").mkdir(parents=True, exist_ok=True)
    for key, words in page.as_latex(sections).items():
        (folder / "latex" / f"{key}.tex").write_text(words, encoding="utf-8")


def write_metrics(study: Study, folder: Path) -> None:
    """report.json: headline means by setting; generators.json: accuracy and AP by setting and generator."""
    ours, rules = at_home(study, chosen(study.scores, study.encoder)), study.rules
    means = by_generator(ours)
    headline: dict[str, Any] = {}
    generators: dict[str, Any] = {}
    for setting in dict.fromkeys(ours["setting"]):
        key = _key(study, setting)
        headline[key] = {metric: _rounded(means.loc[setting][metric].mean()) for metric in METRICS}
        for row in rules[(rules["setting"] == setting) & rules["rule"].isin(HEADLINE)].to_dict("records"):
            headline[key][row["rule"]] = {metric: _rounded(row[metric]) for metric in METRICS}
        generators[key] = {
            str(name): {metric: _rounded(value) for metric, value in row.items()}
            for name, row in means.loc[setting].to_dict("index").items()
        }
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in (("report", headline), ("generators", generators)):
        (folder / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n")


def _key(study: Study, setting: str) -> str:
    """The setting's name in the params file, so that `dvc metrics` shows names that a user wrote."""
    return next((name for name, label in study.labels.items() if label == setting), setting)


def _rounded(value: Any) -> float | None:
    return None if pd.isna(value) else round(float(value), 6)
