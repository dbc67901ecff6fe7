"""One look for every figure: readable in grey print, by the colour-blind and at column width; same data, same bytes."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same glyphs on every machine
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 150,
    "svg.hashsalt": "rine",
}

# Far apart in lightness, so that a grey print still tells them apart; markers, dashes and hatches do so a second time.
COLOURS = ("#10243f", "#e8a33d", "#2c77b0", "#b9dcef", "#c9738f", "#6b8f3a")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "///", "...", "", "\\\\\\", "xxx")
EDGE = "#222222"

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def styled(draw: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Draw in this module's style whatever the user's own matplotlibrc says."""

    @functools.wraps(draw)
    def inside(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]  # newer stubs list every key
            return draw(*args, **kwargs)

    return inside


def line_style(index: int) -> dict[str, Any]:
    """Properties of the `index`-th series as a line."""
    again = index // len(COLOURS)  # a colour comes back with another marker and other dashes
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[(index + again) % len(MARKERS)],
        "linestyle": DASHES[(index + 2 * again) % len(DASHES)],
        "markeredgecolor": EDGE,
        "markeredgewidth": 0.4,
    }


def fill_style(index: int) -> dict[str, Any]:
    """Properties of the `index`-th series as bars or boxes."""
    dark = index % len(COLOURS) == 0
    return {
        "facecolor": COLOURS[index % len(COLOURS)],
        "hatch": HATCHES[(index + index // len(COLOURS)) % len(HATCHES)],
        "edgecolor": "#ffffff" if dark else EDGE,
        "linewidth": 0.5,
    }


def canvas(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, Any]:
    """A figure of `width` x `height` inches and its axes, always an array (rows, columns).

    Made without pyplot: no global state, no window system, nothing to close.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def percent_axis(axes: Axes, axis: str = "y", bins: int = 5) -> None:
    """Few tick labels, in per cent for values in 0..1."""
    scale = axes.yaxis if axis == "y" else axes.xaxis
    scale.set_major_locator(MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10]))
    scale.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def drawable(text: str) -> str:
    """Text with letters that the font has not as escapes: names of files hold any."""
    return "".join(
        letter if ord(letter) in _glyphs() else letter.encode("ascii", "backslashreplace").decode() for letter in text
    )


def legend_below(figure: Figure, axes: Axes, title: str = "") -> None:
    """One legend for the whole figure, under it, where it covers nothing; in as many columns as it has room for."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        inches = 0.55 + 0.068 * max(map(len, labels))  # of an entry: its mark, and letters of 8 points
        columns = max(1, min(len(labels), 6, int(figure.get_figwidth() / inches)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=title or None)


@styled
def png(figure: Figure, notice: str = "") -> bytes:
    """A PNG whose bytes depend on nothing but the drawing. `notice` is printed in it, since figures travel alone."""
    if notice:
        figure.suptitle(notice, x=0.995, ha="right", fontsize=7, color="#8a5200")
    if layout := figure.get_layout_engine():  # or the whole figure is drawn twice, once to lay it out
        figure.dpi = matplotlib.rcParams["savefig.dpi"]
        layout.execute(figure)
        figure.set_layout_engine("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
