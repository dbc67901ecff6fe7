"""Other classifiers on the same tokens."""

from __future__ import annotations

from rine.report.compared import compared_table
from rine.report.section import Content, Section
from rine.report.study import REPORTED_FROM, Study


def make(study: Study) -> Content | None:
    scores = study.scores("validate")
    scores = scores[scores["variant"].str.startswith("baseline:")]
    if scores.empty:
        return None
    names = {variant: variant.removeprefix("baseline:").replace("_", " ") for variant in scores["variant"].unique()}
    full = study.reported[study.reported["setting"].isin(scores["setting"].unique())]
    scores = scores[scores["generator"].isin(full["generator"].unique())]
    heading = "Other classifiers on the same cached tokens (%)"
    intervals = study.intervals(study.images("validate/baselines"), "variant")
    table = compared_table(study, "baselines", heading, scores, intervals, names, "This method")
    return Content(tables=[table])


SECTION = Section("baselines", "Baselines", REPORTED_FROM, make)
