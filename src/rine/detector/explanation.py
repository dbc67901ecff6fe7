"""One picture's evidence as a figure: the map of scores, the blocks' shares, the verdicts after mild changes."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image

from rine.detector.explain import Block, Cell, Change, Explanation
from rine.drawing import COLOURS, EDGE, styled

LARGEST_SIDE = 1400  # pixels of the picture as drawn
# light for real, dark for synthetic: a grey print keeps the order
MAP = LinearSegmentedColormap.from_list("verdict", ["#f4f0e6", "#e8a33d", "#7a1f3d"])
MARKS = {"real": ("o", "#f4f0e6"), "inconclusive": ("s", "#e8a33d"), "synthetic": ("^", "#7a1f3d")}


@styled
def explanation(image: np.ndarray, evidence: Explanation, model: str) -> Figure:
    """Draw a picture (H, W, 3) with its evidence; `model` names the model in the caption."""
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[1.35, 1])
    drawn = _map(figure.add_subplot(grid[:, 0]), image, evidence.map)
    bar = figure.colorbar(drawn, ax=figure.axes[0], orientation="horizontal", shrink=0.6, pad=0.02)
    bar.set_label("probability of being synthetic, crop by crop")
    _blocks(figure.add_subplot(grid[0, 1]), evidence.blocks)
    _changes(figure.add_subplot(grid[1, 1]), evidence.changes, evidence.stability)
    verdict = evidence.verdict
    title = f"{verdict.verdict}: probability {verdict.probability:.3f}, logit {verdict.logit:.2f}; {evidence.stability}"
    figure.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
    figure.supxlabel(
        f"model {model}, crop rule {verdict.crops}, picture of {evidence.width} x {evidence.height}", fontsize=8
    )
    return figure


def _map(axes: Axes, image: np.ndarray, cells: list[Cell]) -> AxesImage:
    """The picture in grey with each point coloured by the mean probability of the crops that show it."""
    height, width = image.shape[:2]
    factor = min(1.0, LARGEST_SIDE / max(height, width))
    small = Image.fromarray(image).resize((max(1, round(width * factor)), max(1, round(height * factor))))
    extent = (0, width, height, 0)
    axes.imshow(np.asarray(small.convert("L")), cmap="gray", extent=extent, vmin=0, vmax=255)
    shown = axes.imshow(heat(cells, height, width), cmap=MAP, vmin=0, vmax=1, alpha=0.5, extent=extent)
    if len(cells) > 1:
        for cell in cells:
            corner = (cell.left + cell.size / 2, cell.top + cell.size / 2)
            axes.annotate(
                f"{cell.probability:.2f}",
                corner,
                ha="center",
                va="center",
                fontsize=7,
                color="white",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": EDGE, "edgecolor": "none", "alpha": 0.7},
            )
    else:
        [cell] = cells
        axes.add_patch(Rectangle((cell.left, cell.top), cell.size, cell.size, fill=False, edgecolor=EDGE))
    axes.set(xlim=(0, width), ylim=(height, 0), title="Where: crops at native resolution")
    axes.set_axis_off()
    return shown


def heat(cells: list[Cell], height: int, width: int, resolution: int = 160) -> np.ndarray:
    """Mean probability of the crops over each point of a picture, on a coarse grid; NaN where no crop lies."""
    step = max(height, width) / resolution
    rows, columns = max(1, round(height / step)), max(1, round(width / step))
    y, x = (np.arange(rows) + 0.5) * height / rows, (np.arange(columns) + 0.5) * width / columns
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    for cell in cells:
        inside = np.outer((y >= cell.top) & (y < cell.top + cell.size), (x >= cell.left) & (x < cell.left + cell.size))
        total += inside * cell.probability
        count += inside
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _blocks(axes: Axes, blocks: list[Block]) -> None:
    """Effect of each block on the logit as bars, its weight in the importance estimator as a line."""
    numbers = [block.block for block in blocks]
    axes.set_title("Which blocks of the encoder")
    if blocks[0].change is not None:
        axes.bar(numbers, [block.change or 0.0 for block in blocks], color=COLOURS[2], edgecolor=EDGE, linewidth=0.5)
        axes.axhline(0, color=EDGE, linewidth=0.8)
        axes.set_ylabel("change of the logit")
        weights = axes.twinx()
        weights.spines["right"].set_visible(True)
    else:
        weights = axes
    weights.plot(numbers, [block.weight for block in blocks], color=COLOURS[1], marker="s", markeredgecolor=EDGE)
    weights.set_ylabel("mean weight")
    weights.set_ylim(0, 1.15 * max(block.weight for block in blocks))
    weights.grid(visible=weights is axes)
    axes.set_xlabel("block (bars: effect against its mean; line: importance)")
    axes.set_xticks(numbers if len(numbers) <= 12 else numbers[1::2])


def _changes(axes: Axes, changes: list[Change], stability: str) -> None:
    """Probability after each change; the marker says which verdict."""
    axes.set_title(textwrap.shorten(f"After mild changes: {stability}", 60))
    names = [change.name for change in changes]
    for verdict, (marker, colour) in MARKS.items():
        at = [i for i, change in enumerate(changes) if change.verdict == verdict]
        if at:
            values = [changes[i].probability for i in at]
            axes.plot(values, at, marker, color=colour, markeredgecolor=EDGE, label=verdict, linestyle="none")
    axes.set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5), xlabel="probability of being synthetic")
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.grid(axis="x")
    axes.legend(loc="best", fontsize=7, frameon=True)
