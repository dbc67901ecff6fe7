"""The sections of the page, a file each, in their order. A new one is a file with a `SECTION`, and its name here."""

from rine.report.section import Section
from rine.report.sections import (
    ablate,
    baselines,
    curves,
    dataset_size,
    epochs,
    generators,
    grid,
    headline,
    inside,
    ldm,
    making,
    metrics,
    perturb,
    pictures,
)

SECTIONS: list[Section] = [
    headline.SECTION,
    generators.SECTION,
    metrics.SECTION,
    curves.SECTION,
    baselines.SECTION,
    ablate.SECTION,
    perturb.SECTION,
    epochs.SECTION,
    dataset_size.SECTION,
    ldm.SECTION,
    grid.SECTION,
    inside.SECTION,
    pictures.SECTION,
    making.SECTION,
]
