"""What the head looks at: the share of dimensions by block, and the embeddings on a plane."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rine.plots.style import COLOURS, EDGE, canvas, fill, legend_below, percent, styled

# drawn in this order, real pictures at the bottom: (group, label, marker, colour)
GROUPS = (
    ("real", "real", "o", COLOURS[3]),
    ("gan", "GAN", "^", COLOURS[0]),
    ("diffusion", "diffusion", "s", COLOURS[1]),
    ("own", "own data", "D", COLOURS[4]),
)


@styled
def importance(shares: Mapping[str, pd.DataFrame]) -> Figure:
    """Share of the embedding dimensions whose largest importance lies in each block, by model.

    Each table has block (1 is the first after the input) and share (0..1, sums to one).
    """
    blocks = sorted({int(block) for table in shares.values() for block in table["block"]})
    figure, axes = canvas(1, 1, max(5.0, 1.5 + 0.27 * len(blocks) * max(1, len(shares) / 2)), 3.2)
    panel, width = axes[0, 0], 0.84 / max(1, len(shares))
    for i, (model, table) in enumerate(shares.items()):
        share = table.set_index("block")["share"].reindex(blocks).fillna(0)
        places = np.arange(len(blocks)) + (i - (len(shares) - 1) / 2) * width
        panel.bar(places, share, width, label=model, **fill(i))
    panel.set_xticks(range(len(blocks)), [str(block) for block in blocks])
    panel.set_xlabel("Block of the encoder")
    panel.set_ylabel("Dimensions led by it (%)")
    percent(panel)
    legend_below(figure, panel)
    return figure


@styled
def tsne(embeddings: Mapping[str, pd.DataFrame]) -> Figure:
    """Embeddings on a plane, a panel for each model; each table has x, y and group (real, gan, diffusion)."""
    figure, axes = canvas(1, len(embeddings), max(4.0, 3.1 * len(embeddings)), 3.6)
    for panel, (model, table) in zip(axes[0], embeddings.items(), strict=True):
        size = float(np.clip(6000 / max(1, len(table)), 5, 26))
        for group, label, marker, colour in GROUPS:
            mine = table[table["group"] == group]
            if len(mine):
                panel.scatter(
                    mine["x"], mine["y"], s=size, marker=marker, color=colour, edgecolors=EDGE, linewidths=0.25,
                    alpha=0.85, label=label,
                )  # fmt: skip
        # t-SNE's axes have no unit and no direction
        panel.set(title=model, xticks=[], yticks=[], box_aspect=1)
        panel.grid(False)
    legend_below(figure, axes[0, 0])
    return figure
