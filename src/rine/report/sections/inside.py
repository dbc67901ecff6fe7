"""Which blocks the heads look at, and what the embeddings of the model in force look like."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.dataset.generators import family_title
from rine.drawing import COLOURS, EDGE, canvas, fill_style, legend_below, percent_axis
from rine.report.section import Content, Figure, Section
from rine.report.study import Study

REAL = "real"  # drawn first, below all families
_OF_REAL = 3  # its colour
MARKERS = ("^", "s", "D", "v", "P", "X", "<", ">")


def make(study: Study) -> Content | None:
    figures = []
    shares = {label: study.table(f"best/{name}/importance.csv") for name, label in study.labels.items()}
    shares = {label: table for label, table in shares.items() if len(table)}
    if shares:
        data = pd.concat([table.assign(panel="", series=name) for name, table in shares.items()])
        figures.append(
            Figure(
                "importance",
                "Share of the embedding's dimensions led by each block",
                "One bar a model and block: the share of dimensions whose largest importance lies in that block.",
                lambda: draw_importance(shares),
                data[["panel", "series", "block", "share"]],
            )
        )
    points = study.table("validate/embeddings.csv")
    if len(points):
        name = study.labels[study.params.best.default] if study.params else ""
        figures.append(
            Figure(
                "embeddings",
                "Embeddings on a plane (t-SNE)",
                "Some test pictures of each group.",
                lambda: draw_embeddings(points, name),
                points.assign(panel=name, series=points["group"])[["panel", "series", "x", "y"]],
            )
        )
    return Content(figures=figures) if figures else None


def draw_importance(shares: Mapping[str, pd.DataFrame]) -> Drawing:
    """Share of the embedding dimensions whose largest importance lies in each block, by model.

    Each table has block (1 is the first after the input) and share (0..1, sums to one).
    """
    blocks = sorted({int(block) for table in shares.values() for block in table["block"]})
    figure, axes = canvas(1, 1, max(5.0, 1.5 + 0.27 * len(blocks) * max(1, len(shares) / 2)), 3.2)
    panel, width = axes[0, 0], 0.84 / max(1, len(shares))
    for i, (model, table) in enumerate(shares.items()):
        share = table.set_index("block")["share"].reindex(blocks).fillna(0)
        places = np.arange(len(blocks)) + (i - (len(shares) - 1) / 2) * width
        panel.bar(places, share, width, label=model, **fill_style(i))
    panel.set_xticks(range(len(blocks)), [str(block) for block in blocks])
    panel.set_xlabel("Block of the encoder")
    panel.set_ylabel("Dimensions led by it (%)")
    percent_axis(panel)
    legend_below(figure, panel)
    return figure


def draw_embeddings(points: pd.DataFrame, model: str) -> Drawing:
    """Embeddings of one model on a plane; `points` has x, y and group: "real", or a family of generators."""
    figure, axes = canvas(1, 1, 4.0, 3.6)
    size = float(np.clip(6000 / max(1, len(points)), 5, 26))
    panel = axes[0, 0]
    colours = [colour for i, colour in enumerate(COLOURS) if i != _OF_REAL]
    families = sorted(set(points["group"]) - {REAL})
    looks = {family: (MARKERS[i % len(MARKERS)], colours[i % len(colours)]) for i, family in enumerate(families)}
    for group, (marker, colour) in ({REAL: ("o", COLOURS[_OF_REAL])} | looks).items():
        rows = points[points["group"] == group]
        if len(rows):
            panel.scatter(
                rows["x"], rows["y"], s=size, marker=marker, color=colour, edgecolors=EDGE, linewidths=0.25,
                alpha=0.85, label=family_title(group),
            )  # fmt: skip
    # t-SNE's axes have no unit and no direction
    panel.set(title=model, xticks=[], yticks=[], box_aspect=1)
    panel.grid(False)
    legend_below(figure, panel)
    return figure


SECTION = Section("inside", "Inside the heads", ("best", "validate"), make, "No model has been stored yet.")
