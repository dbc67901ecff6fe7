"""Tables: what their cells say, how they are written, and that they hold the numbers they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from made_study import STUDY
from rine.dataset.generators import FAMILY
from rine.encoder.config import EncoderConfig
from rine.evaluation.intervals import Difference, Interval
from rine.evaluation.selection import RULES, grid_of, rules_table
from rine.report.by_generator import generator_table
from rine.report.estimates import NONE, chosen
from rine.report.head_size import encoder_sizes, n_parameters, vit_size
from rine.report.rules import ORDER
from rine.report.sections.headline import headline_table
from rine.report.sections.headline import rules_table as rules_table_of_page
from rine.report.study import Study
from rine.report.table import (
    CHANCE,
    MISSING,
    Cell,
    Row,
    Table,
    difference,
    escape_latex,
    latex,
    markdown,
    number,
    percent,
    text,
)
from rine.scores.table import read_scores

CHANCE_OF = Difference(-0.05, 0.03, p=0.6, chance=True)

PUBLISHED = Path(__file__).parents[1] / "pipeline" / "published" / "scores.csv"
TABLE = Table(
    "small",
    "50 % & more",
    ["Generator", "Acc.", "AP"],
    [
        Row([text("a|b_c"), percent(0.5, Interval(0.25, 0.75)), difference(-0.012, CHANCE_OF)], section="GAN"),
        Row([text("Mean"), Cell(MISSING), percent(1.0)], strong=True),
    ],
    [("", 1), ("ours", 2)],
    ["Note: 5 % of it."],
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.91449, "91.4"), (0.9145001, "91.5"), (1.0, "100.0"), (0.0, "0.0"), (None, MISSING), (float("nan"), MISSING)],
)
def test_percent_has_one_digit_as_in_the_paper(value: float | None, shown: str):
    assert percent(value).text == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123, "+1.2"), (-0.0123, "−1.2"), (0.0004, "0.0"), (-0.0004, "0.0"), (None, MISSING)]
)
def test_difference_is_signed_and_never_minus_zero(value: float | None, shown: str):
    assert difference(value).text == shown


def test_a_difference_that_could_be_chance_is_marked():
    assert difference(0.01, CHANCE_OF).mark == CHANCE
    assert difference(0.01).mark == ""


def test_an_interval_that_is_unknown_is_left_out():
    assert percent(0.5, None).interval == ""
    assert percent(0.5, Interval(0.4, 0.6)).interval == "[40.0, 60.0]"
    assert difference(0.01, CHANCE_OF, bounds=True).interval == "[−5.0, +3.0]"
    weak = percent(0.5, Interval(0.4, 0.6, few=True))
    assert weak.interval == "[40.0, 60.0]°"
    assert any("not to be trusted" in note for note in Table("k", "t", ["a"], [Row([weak])]).notes)


def test_thousands_stand_apart():
    assert number(10521601, 0).text == "10\u202f521\u202f601"


def test_markdown_has_a_cell_for_each_column():
    lines = [line for line in markdown(TABLE).splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {4}
    assert lines[0] == "| Generator | ours Acc. | ours AP |"
    assert "| a\\|b_c | 50.0 [25.0, 75.0] | −1.2 ≈ |" in lines
    assert "| **Mean** | **–** | **100.0** |" in lines


def test_latex_is_booktabs_and_escaped():
    words = latex(TABLE)
    assert r"\caption{50 \% \& more}" in words
    assert r"a|b\_c & 50.0 {\scriptsize [25.0, 75.0]} & $-$1.2 $\approx$ \\" in words
    assert r"\multicolumn{2}{c}{ours} \\" in words
    assert r"\cmidrule(lr){2-3}" in words
    assert words.count(r"\toprule") == words.count(r"\bottomrule") == 1
    body = [line for line in words.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") - line.count(r"\&") for line in body} == {2}
    assert words.isascii()


def test_latex_leaves_no_special_sign():
    assert escape_latex("a_b%{c}~^\\#$&") == (r"a\_b\%\{c\}\textasciitilde{}\textasciicircum{}\textbackslash{}\#\$\&")


@pytest.mark.parametrize(
    ("q", "proj_dim", "expected"),
    [(1, 128, 183_937), (2, 128, 216_961), (4, 128, 283_009), (2, 1024, 6_323_201), (4, 1024, 10_521_601)],
)
def test_head_sizes_are_those_of_the_published_models(q: int, proj_dim: int, expected: int):
    size = vit_size("ViT-L/14")
    assert size == (24, 1024)
    assert n_parameters(q, proj_dim, *size) == expected


def test_head_size_is_that_of_the_head_itself():
    from rine.heads import Head, HeadConfig

    head = Head(HeadConfig(q=3, proj_dim=8, n_blocks=5, width=12))
    assert n_parameters(3, 8, 5, 12) == sum(parameter.numel() for parameter in head.parameters())


def test_an_encoder_whose_name_does_not_tell_has_no_size():
    assert vit_size("convnext_base") is None
    assert vit_size("ViT-B-32") == (12, 768)


def test_a_heads_size_is_that_of_the_tokens_that_an_entry_keeps() -> None:
    def size(model: str = "ViT-B-32", **how: Any) -> tuple[int, int]:
        entry = EncoderConfig(name="x", model=model, pretrained="random", seed=0, **how)
        return encoder_sizes(replace(STUDY, encoders={"x": entry}), published())["x"]

    assert size() == (12, 768)
    assert size(token="cls+mean", blocks=(3, 12)) == (2, 1536)
    assert size(token="pooled") == (1, 768)
    assert size("vit_small_patch14_reg4_dinov2", source="timm", token="cls+registers") == (12, 5 * 384)


def published() -> pd.DataFrame:
    scores = read_scores(PUBLISHED)
    names = {"horse": "1-class", "chair horse": "2-class", "car cat chair horse": "4-class", "": "LDM"}
    return scores.assign(setting=scores["classes"].map(names), seed=None)


def test_the_published_choices_and_means_come_out():
    models = chosen(published(), "ViT-L/14")
    means = models.groupby("setting")[["acc", "ap"]].mean().mul(100).round(2)
    picked = models.groupby("setting")[["xi", "q", "d", "epochs"]].first().astype(float)
    assert picked.loc["1-class"].tolist() == [0.1, 4, 1024, 1]
    assert picked.loc["2-class"].tolist() == [0.2, 4, 128, 1]
    assert picked.loc["4-class"].tolist() == [0.2, 2, 1024, 1]
    assert picked.loc["LDM"].tolist() == [0.4, 4, 1024, 5]
    expected = {"1-class": (90.31, 98.61), "2-class": (87.74, 98.69), "4-class": (91.45, 98.85), "LDM": (87.45, 90.46)}
    assert {name: tuple(row) for name, row in means.iterrows()} == expected


def main_table(artifacts: Path) -> Table:
    """The published scores less a point of accuracy, beside the published scores themselves."""
    scores = published()
    study = Study(scores.assign(acc=scores["acc"] - 0.01), scores, "ViT-L/14", {}, artifacts=artifacts)
    return generator_table(study, "t", "acc", study.reported[study.reported["setting"] != "LDM"])


def test_main_table_has_ours_published_and_the_difference(tmp_path: Path):
    table = main_table(tmp_path)
    assert table.groups == [("", 1), ("1-class", 3), ("2-class", 3), ("4-class", 3)]
    assert [row.cells[0].text for row in table.rows[20:]] == [
        "Mean",
        "Unseen: leave one generator out",
        "Unseen: leave one family out",
        "Unseen: family out",
    ]
    assert {cell.text for row in table.rows for cell in row.cells[3::3]} == {"−1.0"}
    mean = table.rows[20]
    assert mean.strong
    assert " ".join(cell.text for cell in mean.cells) == "Mean 89.3 90.3 −1.0 86.7 87.7 −1.0 90.5 91.5 −1.0"


def test_a_shortcut_is_marked_at_its_generator_and_nowhere_else(tmp_path: Path):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "findings.csv").write_text("set,severity\nsan,warning\ncrn,note\n")
    (tmp_path / "index" / "shortcuts.csv").write_text("set,ap\nsan,0.987\ncrn,0.5\n")
    table = main_table(tmp_path)
    marked = [str(row.cells[0]) for row in table.rows if row.cells[0].mark]
    assert marked == ["SAN ⚠"]
    assert any("SAN (98.7)" in note for note in table.notes)


def test_headline_shows_the_nested_estimates_the_papers_figure_and_the_gap():
    scores = published()
    mine = scores[(scores["backbone"] == "ViT-L/14") & (scores["setting"] == "4-class")]
    rules = rules_table(grid_of(mine, FAMILY)).assign(setting="4-class")
    table = headline_table(rules, rules.iloc[:0], NONE)
    # a large gap across families and almost none with one generator left out
    families = rules.set_index("rule").loc["leave_one_family_out", "acc"]
    shown = [cell.text for cell in table.rows[0].cells]
    assert shown[:6] == ["4-class", "91.5", f"{100 * families:.1f}", "87.8", "91.5", "+3.6"]


def test_every_rule_is_explained():
    assert set(ORDER) == set(RULES)


def test_a_rule_without_a_figure_says_why():
    scores = published()
    ldm = rules_table(grid_of(scores[scores["setting"] == "LDM"], FAMILY)).assign(setting="LDM")
    table = rules_table_of_page("rules", "Rules", ldm)
    assert "family out" not in [row.cells[0].text for row in table.rows]
    assert any(note.startswith("No family out for LDM: none of the 9 generators are of") for note in table.notes)


def test_a_reason_that_ours_and_published_share_is_said_once():
    scores = published()
    mine = scores[scores["backbone"] == "ViT-L/14"]
    parts = [
        rules_table(grid_of(mine[mine["setting"] == name], FAMILY)).assign(setting=name) for name in ("LDM", "4-class")
    ]
    table = headline_table(pd.concat(parts), pd.concat(parts), NONE)
    [said] = [note for note in table.notes if note.startswith("No family out")]
    assert said.startswith("No family out for LDM: none of the 9")
