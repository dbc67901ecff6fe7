"""The method without one of its parts."""

from __future__ import annotations

from rine.report.compared import compared_figure, compared_table
from rine.report.section import Content, Section
from rine.report.study import REPORTED_FROM, Study

# those of the paper: variant -> in the table, and in the figure, which has less room
VARIANTS = {
    "contrastive": ("without the contrastive loss", "no contrastive loss"),
    "importance": ("without the importance estimator (mean over blocks)", "no importance estimator"),
    "intermediate": ("without intermediate blocks (last block only)", "last block only"),
}


def make(study: Study) -> Content | None:
    scores = study.scores("ablate")
    if scores.empty:
        return None
    there = [*VARIANTS, *(name for name in scores["variant"].unique() if name not in VARIANTS)]
    names, short = ({name: VARIANTS.get(name, (name, name))[i] for name in there} for i in (0, 1))
    intervals = study.intervals(study.images("ablate"), "variant")
    table = compared_table(study, "ablate", "Without one part of the method (%)", scores, intervals, names)
    figure = compared_figure(study, "ablate", "Ablation", scores, intervals, short, "whole method")
    return Content(tables=[table], figures=[figure])


SECTION = Section(
    "ablate", "Ablation", ("ablate", *REPORTED_FROM), make, "No part of the method has been left out yet."
)
