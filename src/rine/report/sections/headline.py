"""What to expect of a model on a generator that nobody has seen: the rules that chose it, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.drawing import EDGE, canvas, legend_below, line_style, percent_axis
from rine.evaluation.selection import RULES
from rine.report.by_setting import setting_table
from rine.report.estimates import NONE, Intervals
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.rules import COLUMNS, HEADLINE, ORDER, UNSEEN, rule_name, rule_value
from rine.report.section import Content, Figure, Section, long
from rine.report.study import Study
from rine.report.table import Cell, Row, Table, difference, percent, text

# as the headline has room for
NAMES = {
    "leave_one_generator_out": "leave one out",
    "leave_one_family_out": "each family out",
    "family_out": "family out",
    "paper": "paper",
}


ONE_CLASS = (
    "No test set has pictures of both classes, so there is no accuracy, AP or AUC. The configuration was chosen by "
    "the lowest loss on the validation pictures; below stands how many pictures of each test set are called synthetic."
)


def make(study: Study) -> Content | None:
    if study.one_class:
        return Content([ONE_CLASS])
    rules, published = study.rules, study.published_rules
    if rules.empty:
        return None
    tables = [
        headline_table(rules, published, study.rule_intervals, not rules.equals(study.rules_beside_published)),
        rules_table("rules", "Selection rules side by side (%)", rules, study.rule_intervals),
    ]
    if len(published) and not published[COLUMNS].equals(rules[COLUMNS]):
        heading = "The same rules on the published scores (%)"
        tables.append(rules_table("rules_published", heading, published, explain=False))
    shown = rules.dropna(subset="acc")
    data = shown.assign(panel=shown["setting"], rule=shown["rule"].map(rule_name))
    figure = Figure(
        "rules",
        "What each selection rule reports",
        "One row a rule, one marker a setting.",
        lambda: draw_rules(shown, ORDER),
        long(data, ["panel", "rule"], "series"),
    )
    return Content(tables=tables, figures=[figure])


def headline_table(rules: pd.DataFrame, published: pd.DataFrame, intervals: Intervals, on_fewer: bool = False) -> Table:
    """The estimates for an unseen generator, the paper rule's figure, and what choosing on the test sets adds.

    `rules` and `published` have setting, rule, acc, ap (0..1): ours, and the same from the published scores; the
    `intervals` are of ours, by rule. `on_fewer`: published are only some of the test sets. A rule that could be applied
    nowhere has no column.
    """
    both = pd.concat([rules, published[published["setting"].isin(rules["setting"])]])
    shown = [rule for rule in HEADLINE if rule in set(both.dropna(subset="acc")["rule"])]
    settings, rows = settings_of(rules), []
    for setting in settings:
        rows.append(Row([text(setting), *_headline_cells(rules, setting, shown, intervals)], strong=True))
        if len(published) and setting in set(published["setting"]):
            rows.append(Row([text("published"), *_headline_cells(published, setting, shown, NONE)]))
    notes = [
        "Paper: the configuration was chosen on the generators that it is scored on; the others: without them, with "
        "one generator, one family, or all GANs and all others left out. Gap: paper less the lowest, in points.",
        *(
            ["Published: over the test sets that are scored here too."]
            if on_fewer and len(rows) > len(settings)
            else []
        ),
        *_reasons(both[both["acc"].isna() & both["rule"].isin(shown)]),
    ]
    columns = ["Setting", *[*(NAMES[rule] for rule in shown), "gap"] * len(PAPER_METRICS)]
    groups = [("", 1), *((name, len(shown) + 1) for name in PAPER_METRICS.values())]
    return Table(
        "headline",
        "What to expect on a generator nobody has seen",
        columns,
        rows,
        groups,
        notes,
        "with the reason above",
    )


def _headline_cells(rules: pd.DataFrame, setting: str, shown: Sequence[str], intervals: Intervals) -> list[Cell]:
    cells = []
    for metric in PAPER_METRICS:
        values = pd.Series({rule: rule_value(rules, setting, rule, metric) for rule in shown})
        cells += [percent(value, intervals.of(setting, metric, value=rule)) for rule, value in values.items()]
        cells.append(difference(values.get("paper", math.nan) - values.reindex(UNSEEN).min()))
    return cells


def rules_table(
    key: str, heading: str, rules: pd.DataFrame, intervals: Intervals = NONE, explain: bool = True
) -> Table:
    """Every rule side by side: accuracy and AP by setting, the gap to the paper's rule beside each."""
    with_figure = set(rules.dropna(subset="acc")["rule"])
    names = [rule for rule in ORDER if rule in with_figure]

    def cells(rule: str, setting: str, metric: str) -> list[Cell]:
        value, gap = (rule_value(rules, setting, rule, column) for column in (metric, f"gap_{metric}"))
        beside = Cell("") if rule == "paper" else difference(gap)
        return [percent(value, intervals.of(setting, metric, value=rule)), beside]

    notes = ["Gap: what the paper's rule reports beyond this one on the same generators, in points."]
    if explain:
        notes.append(" ".join(f"{rule_name(rule).capitalize()}: {RULES[rule].words}." for rule in names))
    notes += _reasons(rules)
    rows = {rule: [text(rule_name(rule))] for rule in names}
    return setting_table(
        key, heading, ["Rule"], settings_of(rules), rows, cells, ["gap"], UNSEEN, notes, "with the reason above"
    )


def _reasons(rules: pd.DataFrame) -> list[str]:
    """Why a rule has no figure, each reason once."""
    if "reason" not in rules:
        return []
    without = rules[rules["acc"].isna() & rules["reason"].notna()]
    return [
        f"No {rule_name(str(rule))} for {', '.join(dict.fromkeys(rows['setting']))}: {reason}."
        for (rule, reason), rows in without.groupby(["rule", "reason"], sort=False)
    ]


def draw_rules(table: pd.DataFrame, order: Sequence[str]) -> Drawing:
    """A panel for each metric, a row for each rule, a marker for each setting; `table` has setting, rule, acc, ap."""
    names = [rule for rule in order if rule in set(table["rule"])]
    places = list(range(len(names)))[::-1]
    figure, axes = canvas(1, 2, 9, 1.3 + 0.34 * len(names), sharey=True)
    for (metric, label), panel in zip(PAPER_METRICS.items(), axes[0], strict=True):
        for i, (setting, rows) in enumerate(table.groupby("setting", sort=False)):
            values = rows.set_index("rule")[metric].reindex(names)
            look = line_style(i) | {"linestyle": "none", "markersize": 7, "markeredgecolor": EDGE}
            panel.plot(values, places, label=setting, **look)
        panel.set_yticks(places, [rule_name(name) for name in names])
        panel.grid(axis="x")
        panel.set_xlabel(f"{label} (%)")
        percent_axis(panel, "x")
        panel.margins(x=0.08, y=0.12)
    legend_below(figure, axes[0, 0])
    return figure


SECTION = Section(
    "headline", "Headline", ("select", "grid", "ldm", "index"), make, "No configuration has been chosen yet."
)
