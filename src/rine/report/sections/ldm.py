"""The model trained on latent diffusion, on Synthbuster; and every model on the test sets of both studies."""

from __future__ import annotations

import pandas as pd

from rine.report import estimates
from rine.report.by_generator import generator_figure, generator_table, means_table
from rine.report.labels import LDM, PAPER_METRICS, settings_of
from rine.report.section import Content, Section
from rine.report.study import REPORTED_FROM, Study
from rine.report.table import Row, Table, percent, text

STUDIES = {"grid": "ForenSynths and diffusion", "ldm": "Synthbuster"}


def make(study: Study) -> Content | None:
    ours = study.reported[study.reported["setting"] == LDM]
    if ours.empty:
        return None
    tables = [means_table(study, "means_ldm", ours)]
    if len(study.everywhere) > len(study.reported):
        tables.append(across_table(study))
    tables += [generator_table(study, f"ldm_{metric}", metric, ours) for metric in PAPER_METRICS]
    return Content(tables=tables, figures=[generator_figure(study, "ldm", ours)])


def across_table(study: Study) -> Table:
    """Every model on the test sets of both studies: means over the generators of each."""
    scores, rows = study.everywhere, []
    synthbuster = pd.Series([study.in_study(LDM, name) for name in scores["generator"]], scores.index)
    halves = [scores[~synthbuster], scores[synthbuster]]
    bands = [_intervals_on(study, name) for name in STUDIES]
    for setting in settings_of(scores):
        cells = [text(setting)]
        for half, intervals in zip(halves, bands, strict=True):
            means = half.loc[half["setting"] == setting, list(PAPER_METRICS)].mean()
            cells += [percent(means[metric], intervals.of(setting, metric)) for metric in PAPER_METRICS]
        rows.append(Row(cells))
    groups = [("", 1), *((name, 2) for name in STUDIES.values())]
    columns = ["Model", *["Acc.", "AP"] * len(STUDIES)]
    return Table(
        "across", "Every model on the test sets of both studies (%)", columns, rows, groups, dash="not scored on these"
    )


def _intervals_on(study: Study, name: str) -> estimates.Intervals:
    """Intervals of every model over the test sets of one study, whichever is its own."""
    sets = study.test_sets[study.test_sets["study"] == name]
    return estimates.intervals(study.images("validate"), lambda _: sets, study.params.report if study.params else None)


SECTION = Section(
    "ldm",
    "Latent diffusion, on Synthbuster",
    (*REPORTED_FROM, "select"),
    make,
    "No model has been trained on latent diffusion yet.",
)
