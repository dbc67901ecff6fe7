"""Figures: the same bytes twice, readable in grey, curves as scikit-learn has them; the offline page of `dvc plots`."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from sklearn.metrics import roc_curve

from rine.drawing import COLOURS, DASHES, HATCHES, MARKERS, png, styled
from rine.evaluation.intervals import Interval
from rine.report.bars import draw_bars, with_bands
from rine.report.by_generator import draw_beside
from rine.report.offline import write_template
from rine.report.sections.curves import curve_points, draw_curves
from rine.report.sections.dataset_size import draw_by_generator
from rine.report.sections.epochs import draw_epochs
from rine.report.sections.grid import draw_boxes, draw_head_size
from rine.report.sections.headline import draw_rules
from rine.report.sections.inside import draw_embeddings, draw_importance
from rine.report.sections.perturb import draw_degradation

TEMPLATES = sorted((Path(__file__).parents[1] / ".dvc" / "plots").glob("*.json"))
SETTINGS = ("1-class", "4-class")


def runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"setting": s, "backbone": b, "xi": x, "q": q, "d": d, "epochs": e, "seed": 0, "parameters": q * d}
        for s in SETTINGS for b in ("A", "B") for x in (0.1, 0.2) for q in (1, 2) for d in (64, 4096) for e in (1, 3)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(acc=rng.uniform(0.5, 1, len(rows)), ap=rng.uniform(0.5, 1, len(rows)))


def by_generator() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [(s, g, f) for s in SETTINGS for g in ("ProGAN", "SAN", "LDM 200 CFG") for f in (0.2, 1.0)]
    table = pd.DataFrame(rows, columns=["setting", "generator", "fraction"])
    return table.assign(acc=rng.uniform(0.3, 1, len(table)), ap=rng.uniform(0.3, 1, len(table)))


def compared() -> pd.DataFrame:
    table = pd.DataFrame({"setting": "a", "generator": "SAN", "metric": ["acc", "ap"], "ours": 0.9})
    return table.assign(published=np.nan)


def rules() -> pd.DataFrame:
    return pd.DataFrame({"setting": "a", "rule": ["paper", "mean"], "acc": 0.9, "ap": 0.95})


def sweep() -> pd.DataFrame:
    table = pd.DataFrame({"setting": "a", "kind": ["jpeg", "jpeg", "blur"], "strength": ["90", "10", "1"]})
    return table.assign(auc=0.9, tpr=0.5, fpr=float("nan"))


FIGURES = {
    "boxes": lambda: draw_boxes(runs(), "A"),
    "head_size": lambda: draw_head_size(runs(), "A"),
    "beside": lambda: draw_beside(compared()),
    "epochs": lambda: draw_epochs(runs()),
    "by_generator": lambda: draw_by_generator(by_generator()),
    "bars": lambda: draw_bars(by_generator().rename(columns={"generator": "name"})),
    "rules": lambda: draw_rules(rules(), ["paper", "mean", "family_out"]),
    "roc": lambda: draw_curves(pd.DataFrame({"setting": "a", "family": "GAN", "x": [0.0, 1], "y": [0.5, 1]}), "roc"),
    "degradation": lambda: draw_degradation(sweep()),
    "importance": lambda: draw_importance({"a": pd.DataFrame({"block": [1, 2], "share": [0.25, 0.75]})}),
    "tsne": lambda: draw_embeddings(pd.DataFrame({"x": [0.0, 1], "y": [0.0, 1], "group": ["real", "own"]}), "a"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_data_give_the_same_bytes(name: str):
    first = png(styled(FIGURES[name])())
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):  # a user's own style changes nothing
        assert png(styled(FIGURES[name])()) == first


def test_other_data_give_other_bytes():
    assert png(draw_epochs(runs())) != png(draw_epochs(runs().assign(acc=0.5)))


def test_a_notice_is_drawn():
    assert png(FIGURES["importance"](), "Sample study") != png(FIGURES["importance"]())


def test_series_stay_apart_in_grey_and_without_colour():
    grey = [float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722))) for colour in COLOURS]
    assert min(np.diff(sorted(grey[:4]))) > 0.1
    assert len(set(MARKERS)) == len(set(map(str, DASHES))) == len(COLOURS)
    dark, light = (value for value, hatch in zip(grey, HATCHES, strict=True) if not hatch)
    assert light - dark > 0.5


def test_bars_show_the_numbers_they_stand_for():
    means = pd.DataFrame({"setting": ["a", "b"], "name": "whole", "acc": [0.913, 0.4], "ap": [0.99, 0.5]})
    figure = draw_bars(means)
    assert {text.get_text() for text in figure.axes[0].texts} == {"91.3", "40.0"}
    bottom, top = figure.axes[0].get_ylim()
    assert bottom <= 0.4
    assert [round(bar.get_y() + bar.get_height(), 6) for bar in figure.axes[0].patches] == [0.913, 0.4]
    assert top >= 1


def test_bars_have_their_intervals_from_end_to_end():
    means = pd.DataFrame({"setting": ["a", "b"], "name": "whole", "acc": [0.9, 0.4], "ap": [0.99, 0.5]})
    ends = {"acc": Interval(0.35, 0.95), "ap": None}
    figure = draw_bars(with_bands(means, lambda row, metric: ends[metric]))
    lines = [[line for part in axes.collections for line in part.get_segments()] for axes in figure.axes]
    assert [line[:, 1].tolist() for line in lines[0]] == [[0.35, 0.95]] * 2
    assert not [line for line in lines[1] if np.isfinite(line).any()]


def test_box_plots_of_a_parameter_are_of_one_encoder():
    table = runs()
    table.loc[table["backbone"] == "B", "acc"] = 0.01
    figure = draw_boxes(table, "A")
    encoder, xi = figure.axes[0], figure.axes[1]
    lowest = [min(min(line.get_ydata()) for line in axes.lines if len(line.get_ydata())) for axes in (encoder, xi)]
    assert lowest[0] == 0.01
    assert lowest[1] > 0.4


def test_roc_points_lie_on_the_curve_of_scikit_learn():
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat([0, 1], 50))
    logits = labels + rng.normal(size=100)
    x, y = curve_points("roc", labels, logits)
    false, true, _ = roc_curve(labels, logits, drop_intermediate=False)
    expected = [true[false <= at + 1e-12].max() for at in x]
    np.testing.assert_allclose(y, expected)
    assert y[-1] == 1


def test_precision_is_the_best_to_be_had_at_a_recall_or_more():
    labels = np.array([1, 0, 1, 1, 0])
    logits = np.array([5.0, 4, 3, 2, 1])
    x, y = curve_points("pr", labels, logits)
    at = dict(zip(x.round(3), y, strict=True))
    assert at[0.2] == 1  # the first picture alone: a third found, nothing wrong
    assert at[0.5] == pytest.approx(3 / 4)  # two found cost one false alarm, but three found have better precision
    assert at[1.0] == pytest.approx(3 / 4)
    assert (np.diff(y) <= 0).all()


@pytest.mark.parametrize("kind", ["roc", "pr"])
def test_one_class_has_no_curve(kind: str):
    with pytest.raises(ValueError, match="one class only"):
        curve_points(kind, np.ones(5), np.arange(5))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_dvc_can_fill_our_templates(path: Path):
    from dvc_render.vega import VegaRenderer

    points = [{"rev": "workspace", "panel": "a", "series": "b", "size": "1", "value": "0.5"}]
    renderer = VegaRenderer(
        points, "p", x="size", y="value", template=path.stem, template_dir=str(path.parent), title="T"
    )
    filled = json.dumps(renderer.get_filled_template())
    assert "DVC_METRIC" not in filled
    assert '"series"' in filled


def test_there_are_templates():
    assert len(TEMPLATES) == 8


def test_the_page_of_dvc_plots_needs_no_network(tmp_path: Path):
    from dvc_render.html import render_html
    from dvc_render.vega import VegaRenderer

    template = tmp_path / "plots.html"
    assert write_template(template, "Sample <study>")
    plot = VegaRenderer([{"x": 1, "y": 2, "rev": "workspace"}], "p", x="x", y="y", template="simple")
    page = Path(render_html([plot], tmp_path / "out" / "index.html", template)).read_text()
    assert "<script src" not in page
    assert "{plot_divs}" not in page
    assert "vegaEmbed('#p'" in page
    assert "Sample &lt;study&gt;" in page


def test_the_template_is_written_once_and_again_when_its_notice_changes(tmp_path: Path):
    template = tmp_path / "plots.html"
    assert [write_template(template, words) for words in ("a", "a", "", "")] == [True, False, True, False]
