"""Figures are whole: no legend is cut, a bar's length is its value, names are drawn in letters that there are."""

from __future__ import annotations

import pandas as pd
import pytest

from rine.drawing import canvas, drawable, legend_below, styled
from rine.report.bars import draw_bars
from rine.report.sections.curves import draw_curves


@pytest.mark.parametrize(
    "names", [["GAN", "Diffusion", "Deepfake", "Low-level vision", "Perceptual loss"], ["x" * 30] * 6]
)
def test_a_legend_lies_within_its_figure(names: list[str]) -> None:
    families = [f"{name}{i}" for i, name in enumerate(names)]
    points = pd.DataFrame(
        [("four", name, x, x) for name in families for x in (0.0, 1.0)], columns=["setting", "family", "x", "y"]
    )
    figure = styled(draw_curves)(points, "roc")
    figure.canvas.draw()
    [legend] = figure.legends
    inside, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= inside.x0
    assert inside.x1 <= whole.x1


def test_bars_start_at_nothing_in_every_panel() -> None:
    means = pd.DataFrame({"name": ["a", "b"], "setting": ["one", "one"], "acc": [0.45, 0.95], "ap": [0.9, 0.99]})
    for panel in draw_bars(means).axes:
        assert panel.get_ylim()[0] == 0
        assert [bar.get_y() for bar in panel.patches] == [0, 0]


def test_letters_without_a_glyph_are_escapes() -> None:
    assert drawable("写真 x.png") == r"\u5199\u771f x.png"
    figure, axes = canvas(1, 1, 2, 2)
    legend_below(figure, axes[0, 0])  # nothing to name
    assert figure.legends == []
