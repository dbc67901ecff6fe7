"""One picture's evidence as a figure to pass on: it says itself what it is of, by whom, and how far it goes."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from rine.detector.evidence import Block, Cell, Explanation, Square
from rine.drawing import COLOURS, EDGE, drawable, styled

LARGEST_SIDE = 1400  # pixels of the picture as drawn
STRENGTH = 0.5  # of the colour over what was looked at
# light for real, dark for synthetic: a grey print keeps the order
MAP = LinearSegmentedColormap.from_list("verdict", ["#f4f0e6", "#e8a33d", "#7a1f3d"])
MARKS = {"real": ("o", "#f4f0e6"), "inconclusive": ("s", "#e8a33d"), "synthetic": ("^", "#7a1f3d")}
JUDGED = "#00b7ff"  # outline of what the verdict itself rests on; in no other use
LINE = 150  # letters of the small print


@styled
def explanation(image: np.ndarray, evidence: Explanation) -> Figure:
    """Draw a picture (H, W, 3) with its evidence."""
    small_print = [
        line for each in evidence.said() for line in textwrap.wrap(drawable(each), LINE, subsequent_indent="    ")
    ]
    figure = Figure(figsize=(11, 7 + 0.16 * len(small_print)), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[7, 0.16 * len(small_print) + 0.1])[:, 0]
    grid = upper.add_gridspec(2, 2, width_ratios=[1.25, 1], height_ratios=[1.5, 1])
    where = upper.add_subplot(grid[:, 0])
    draw_map(where, image, evidence.map, evidence.judged)
    where.set_anchor("N")
    where.set_title("Where: each square was judged by itself")
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), MAP), ax=where, orientation="horizontal", shrink=0.6, pad=0.02
    )
    bar.set_label("looks real    (probability of being synthetic; numbers in %)    looks synthetic")
    where.annotate(
        textwrap.fill(evidence.looked_at, 75), (0, -0.015), xycoords="axes fraction", va="top", fontsize=7.5
    )  # fmt: skip
    _changes(upper.add_subplot(grid[0, 1]), evidence)
    _blocks(upper.add_subplot(grid[1, 1]), evidence.blocks)
    upper.suptitle(evidence.headline, fontsize=13, fontweight="bold", x=0.01, ha="left", parse_math=False)
    lower.text(0.01, 1, "\n".join(small_print), fontsize=7.5, va="top", parse_math=False)
    return figure


def draw_map(
    axes: Axes, image: np.ndarray, cells: list[Cell], judged: Sequence[Square] = (), numbers: bool = True
) -> None:
    """The picture, grey and coloured where crops lie, as it is where nobody looked; `judged` squares are outlined."""
    height, width = image.shape[:2]
    seen = heat(cells, height, width, min(LARGEST_SIDE, max(height, width)))
    small = Image.fromarray(image).resize(seen.shape[::-1])
    colours = MAP(np.nan_to_num(seen))[..., :3] * 255
    grey = np.asarray(small.convert("L"), dtype=float)[..., None]
    mixed = STRENGTH * colours + (1 - STRENGTH) * grey
    drawn = np.where(np.isnan(seen)[..., None], np.asarray(small, dtype=float), mixed)
    axes.imshow(drawn.astype(np.uint8), extent=(0, width, height, 0))
    for cell in cells:
        axes.add_patch(
            Rectangle((cell.left, cell.top), cell.size, cell.size, fill=False, edgecolor=EDGE, linewidth=0.4)
        )
    for square in judged:
        left, top = max(square.left, 0), max(square.top, 0)  # of a crop larger than the picture, the picture
        right, bottom = min(square.left + square.size, width), min(square.top + square.size, height)
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=JUDGED, linewidth=2.2))
    if numbers:
        across = _places([cell.left for cell in cells], cells[0].size, width)
        down = _places([cell.top for cell in cells], cells[0].size, height)
        for cell in cells:
            _number(axes, across[cell.left], down[cell.top], cell.probability)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()


def _number(axes: Axes, x: float, y: float, probability: float) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": EDGE, "edgecolor": "none", "alpha": 0.7}
    axes.annotate(f"{100 * probability:.0f}", (x, y), ha="center", va="center", fontsize=7, color="white", bbox=box)


def _places(starts: list[int], size: int, side: int) -> dict[int, float]:
    """Where a crop's number stands on one axis: in the middle of what lies nearer to it than to its neighbours."""
    places = sorted(set(starts))
    borders = [places[0], *((a + b + size) / 2 for a, b in itertools.pairwise(places)), min(places[-1] + size, side)]
    gaps = [max(0, b - a - size) / 2 for a, b in itertools.pairwise(places)]
    low = [border + gap for border, gap in zip(borders[:-1], [0, *gaps], strict=True)]
    high = [border - gap for border, gap in zip(borders[1:], [*gaps, 0], strict=True)]
    return {start: (a + b) / 2 for start, a, b in zip(places, low, high, strict=True)}


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


def _changes(axes: Axes, evidence: Explanation) -> None:
    """Probability after each change; the marker says which verdict, and lines where verdicts begin."""
    changes = evidence.changes
    axes.set_title(f"Would it hold? Verdict kept after {evidence.same} of {len(changes)} mild changes")
    names = [change.name for change in changes]
    for verdict, (marker, colour) in MARKS.items():
        at = [i for i, change in enumerate(changes) if change.verdict == verdict]
        if at:
            values = [changes[i].probability for i in at]
            axes.plot(values, at, marker, color=colour, markeredgecolor=EDGE, label=verdict, linestyle="none")
    own = evidence.verdict.probability
    axes.axvline(own if own is not None else np.nan, color=JUDGED, linewidth=1.4, label="the picture as it is")
    for kind, value in evidence.origin.thresholds.items():
        side = "below" if kind == "real" else "above"
        axes.axvline(
            value, color=EDGE, linewidth=1, linestyle="--" if kind == "synthetic" else ":", label=f"{kind} {side}"
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5), xlabel="probability of being synthetic")
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.grid(axis="x")
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=3, fontsize=7)


def _blocks(axes: Axes, blocks: list[Block]) -> None:
    """Effect of each block on the logit as bars, its weight in the importance estimator as a line."""
    numbers = [block.block for block in blocks]
    axes.set_title("Details: layers of the encoder", fontsize=8.5)
    if blocks[0].change is not None:
        axes.bar(numbers, [block.change or 0.0 for block in blocks], color=COLOURS[2], edgecolor=EDGE, linewidth=0.5)
        axes.axhline(0, color=EDGE, linewidth=0.8)
        axes.set_ylabel("pushes the score (logit)\nup: towards synthetic", fontsize=7.5)
        weights = axes.twinx()
        weights.spines["right"].set_visible(True)
    else:
        weights = axes
    weights.plot(numbers, [block.weight for block in blocks], color=COLOURS[1], marker="s", markeredgecolor=EDGE)
    weights.set_ylabel("weight (line)", fontsize=7.5)
    weights.set_ylim(0, 1.15 * max(block.weight for block in blocks))
    weights.grid(visible=weights is axes)
    axes.set_xlabel("layer (block) of the encoder, from its input to its output", fontsize=7.5)
    axes.set_xticks(numbers if len(numbers) <= 12 else numbers[1::2])
