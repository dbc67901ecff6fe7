"""What a model may be expected to score, by the rule that chose it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from rine.tables.estimates import METRICS, NONE, Intervals, bounds, seed_spread
from rine.tables.table import CHANCE_NOTE, Cell, Row, Table, difference, number, percent, text

# rule -> what it does, in the words of the page; the first two have not seen the generator that they score
RULES = {
    "leave_one_generator_out": "chosen on all other generators, scored on the one left out",
    "family_out": "chosen on GANs, scored on the rest, and the other way round",
    "paper": "chosen on the very test sets it is scored on, as published",
    "validation": "lowest loss on validation pictures",
    "mean": "no choice: the mean over all configurations",
    "ensemble": "no choice: the mean logit of all configurations",
}
HEADLINE = ("leave_one_generator_out", "family_out", "paper")


def rule_name(rule: str) -> str:
    """A rule's name for people."""
    return rule.replace("_", " ")


def rule_value(rules: pd.DataFrame, setting: str, rule: str, metric: str) -> float | None:
    """What a rule reports for a setting; None where it reports nothing."""
    found = rules.loc[(rules["setting"] == setting) & (rules["rule"] == rule), metric].dropna()
    return float(found.iloc[0]) if len(found) else None


def headline_table(rules: pd.DataFrame, published: pd.DataFrame, nested: Intervals) -> Table:
    """The nested estimates by setting, the paper rule's figure beside them, and what choosing on the test adds.

    `rules` and `published` have setting, rule, acc, ap (0..1): ours, and the same from the published scores; `nested`
    are the intervals of ours, by rule.
    """
    settings = list(dict.fromkeys(rules["setting"]))
    columns = ["Setting", *(f"{name}" for _ in METRICS for name in ("leave one out", "family out", "paper", "gap"))]
    rows = []
    for setting in settings:
        rows.append(Row([text(setting), *_headline_cells(rules, setting, nested)], strong=True))
        if len(published) and setting in set(published["setting"]):
            rows.append(Row([text("published"), *_headline_cells(published, setting, NONE)]))
    notes = [
        "Leave one out and family out: the configuration was chosen without the generators that it is scored on. "
        "Paper: it was chosen on them. Gap: paper less the lower of the two, in points."
    ]
    groups = [("", 1), ("Accuracy", 4), ("AP", 4)]
    return Table("headline", "What to expect on a generator nobody has seen", columns, rows, groups, notes)


def _headline_cells(rules: pd.DataFrame, setting: str, nested: Intervals) -> list[Cell]:
    cells = []
    for metric in METRICS:
        three = [rule_value(rules, setting, rule, metric) for rule in HEADLINE]
        unseen, paper = [value for value in three[:2] if value is not None], three[2]
        gap = paper - min(unseen) if unseen and paper is not None else None
        found = [bounds(nested.of(setting, metric, value=rule)) for rule in HEADLINE]
        cells += [percent(value, *band) for value, band in zip(three, found, strict=True)] + [difference(gap)]
    return cells


def rules_table(key: str, heading: str, rules: pd.DataFrame, nested: Intervals = NONE, explain: bool = True) -> Table:
    """Every rule side by side: accuracy and AP by setting, the gap to the paper's rule under each."""
    settings = list(dict.fromkeys(rules["setting"]))
    rows = []
    shown = rules.dropna(subset="acc")
    names = [rule for rule in RULES if rule in set(shown["rule"])]
    for rule in names:
        cells = [text(rule_name(rule))]
        for setting in settings:
            for metric in METRICS:
                value, paper = (rule_value(rules, setting, name, metric) for name in (rule, "paper"))
                gap = None if value is None or paper is None or rule == "paper" else paper - value
                band = bounds(nested.of(setting, metric, value=rule))
                cells += [percent(value, *band), Cell("") if rule == "paper" else difference(gap)]
        rows.append(Row(cells, strong=rule in HEADLINE[:2]))
    columns = ["Rule", *["Acc.", "gap", "AP", "gap"] * len(settings)]
    groups = [("", 1), *((setting, 4) for setting in settings)]
    notes = ["Gap: what the paper's rule reports beyond this one, in points."]
    if explain:
        notes.append(" ".join(f"{rule_name(rule).capitalize()}: {RULES[rule]}." for rule in names))
    return Table(key, heading, columns, rows, groups, [*notes, *_reasons(rules)])


def _reasons(rules: pd.DataFrame) -> list[str]:
    """Why a rule has no figure, each reason once."""
    if "reason" not in rules:
        return []
    without = rules[rules["acc"].isna() & rules["reason"].notna()]
    return [
        f"No {rule_name(str(rule))} for {', '.join(part['setting'])}: {reason}."
        for (rule, reason), part in without.groupby(["rule", "reason"], sort=False)
    ]


def means_table(ours: pd.DataFrame, intervals: Intervals, settings: Sequence[str]) -> Table:
    """Means over generators of the chosen models, their bootstrap intervals and their spread over seeds."""
    rows = []
    for setting in settings:
        mine = ours[ours["setting"] == setting]
        cells = [text(setting)]
        for metric in METRICS:
            spread = 100 * seed_spread(ours, setting, metric)
            value = mine.groupby("generator")[metric].mean().mean()
            cells += [percent(value, *bounds(intervals.of(setting, metric))), number(spread, 2)]
        rows.append(Row([*cells, number(mine["generator"].nunique(), 0)]))
    columns = ["Setting", "mean", "seeds ±", "mean", "seeds ±", "Generators"]
    groups = [("", 1), ("Accuracy", 2), ("AP", 2), ("", 1)]
    notes = ["Seeds ±: standard deviation over seeds of the mean, in points."]
    return Table("means", "Means over the test sets", columns, rows, groups, notes)


def pairs_table(ours: pd.DataFrame, intervals: Intervals, settings: Sequence[str]) -> Table:
    """Every two settings compared on the same pictures by a paired bootstrap."""
    rows = []
    means = {metric: ours.groupby("setting")[metric].mean().to_dict() for metric in METRICS}
    for i, first in enumerate(settings):
        for second in settings[i + 1 :]:
            cells = [text(f"{second} less {first}")]
            for metric in METRICS:
                apart = intervals.less(second, metric, intervals, first)
                value = means[metric][second] - means[metric][first]
                cells.append(
                    difference(value, bool(apart and apart.chance), (apart.low, apart.high) if apart else None)
                )
            rows.append(Row(cells))
    return Table("pairs", "Settings against each other (points)", ["", "Accuracy", "AP"], rows, notes=[CHANCE_NOTE])


def across_table(ours: pd.DataFrame, studies: Sequence[tuple[str, pd.Series, Intervals]]) -> Table:
    """Every model on the test sets of both studies: means over the generators of each.

    `studies` are (title, mask of the rows of `ours`, intervals of the means).
    """
    settings = list(dict.fromkeys(ours["setting"]))
    rows = []
    for setting in settings:
        cells = [text(setting)]
        for _, mask, found in studies:
            mine = ours[mask & (ours["setting"] == setting)]
            for metric in METRICS:
                cells.append(percent(mine[metric].mean() if len(mine) else None, *bounds(found.of(setting, metric))))
        rows.append(Row(cells))
    groups = [("", 1), *((name, 2) for name, _, _ in studies)]
    columns = ["Model", *["Acc.", "AP"] * len(studies)]
    return Table("across", "Every model on the test sets of both studies (%)", columns, rows, groups)
