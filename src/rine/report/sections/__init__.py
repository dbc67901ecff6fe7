"""The sections of the page, a file each. A new one is a file with a `SECTION`, and its name here."""

from rine.report.section import Section
from rine.report.sections import (
    ablate,
    baselines,
    curves,
    dataset_size,
    detectors,
    encoders,
    epochs,
    generators,
    grid,
    headline,
    inside,
    ldm,
    left_out,
    making,
    metrics,
    one_class,
    perturb,
    pictures,
    released,
)

_IN_ORDER = (
    headline, generators, one_class, encoders, metrics, curves, released, baselines, detectors, ablate, left_out,
    perturb, epochs, dataset_size, ldm, grid, inside, pictures, making,
)  # fmt: skip
SECTIONS: list[Section] = [section.SECTION for section in _IN_ORDER]
