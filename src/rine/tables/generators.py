"""The main tables: generators by row, settings by column; ours, published and the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from rine.generators import FAMILY_TITLE, title
from rine.tables.estimates import Intervals, bounds, by_generator
from rine.tables.headline import HEADLINE, rule_name, rule_value
from rine.tables.table import MISSING, WARNING, Cell, Row, Table, difference, percent, text

METRIC_TITLE = {"acc": "Accuracy", "ap": "AP"}


def generator_table(
    key: str,
    heading: str,
    metric: str,
    ours: pd.DataFrame,
    published: pd.DataFrame,
    intervals: Intervals,
    family: Callable[[str], str],
    shortcuts: Mapping[str, float],
    rules: pd.DataFrame,
    published_rules: pd.DataFrame,
    nested: Intervals,
) -> Table:
    """One metric (acc or ap) of the chosen models by generator, in per cent.

    `ours` and `published` are scores tables of one configuration a setting; means over seeds are shown. `shortcuts` has
    the generators whose files give their classes away, with the AP of the files alone. The last rows are what the two
    nested estimates of `rules` (setting, rule, acc, ap) promise for a generator that nobody has seen; `nested` are
    their intervals, by rule.
    """
    mine, theirs = by_generator(ours)[metric], by_generator(published)[metric]
    settings = list(dict.fromkeys(ours["setting"]))
    compared = [setting for setting in settings if _common(mine, theirs, setting)]
    generators = list(dict.fromkeys(ours["generator"]))
    rows, before = [], ""
    for generator in sorted(generators, key=_family_order(generators, family)):
        group = FAMILY_TITLE.get(family(generator), family(generator))
        cells = [text(title(generator), WARNING if generator in shortcuts else "")]
        for setting in settings:
            value, known = mine.get((setting, generator)), theirs.get((setting, generator))
            cells.append(percent(value, *bounds(intervals.of(setting, metric, [generator]))))
            cells += _beside(value, known) if setting in compared else []
        rows.append(Row(cells, section=group if group != before else ""))
        before = group
    rows.append(_mean_row(metric, settings, compared, mine, theirs, intervals))
    rows += _nested_rows(metric, settings, compared, rules, published_rules, nested)
    notes = ["Difference: ours less published, in points; the mean compares what both have."] if compared else []
    if marked := [f"{title(name)} ({100 * shortcuts[name]:.1f})" for name in generators if name in shortcuts]:
        notes.append(f"{WARNING} The files alone give the class away; AP without one pixel: {', '.join(marked)}.")
    return Table(key, heading, ["Generator", *_names(settings, compared)], rows, _spans(settings, compared), notes)


def _family_order(generators: Sequence[str], family: Callable[[str], str]) -> Callable[[str], int]:
    """Families in the order in which they first stand there; a stable sort keeps the order inside each."""
    families = list(dict.fromkeys(family(generator) for generator in generators))
    return lambda generator: families.index(family(generator))


def _common(mine: pd.Series, theirs: pd.Series, setting: str) -> list[str]:
    """Generators of a setting that both tables have."""
    return [name for where, name in mine.index if where == setting and (setting, name) in theirs.index]


def _names(settings: Sequence[str], compared: Sequence[str]) -> list[str]:
    return [name for s in settings for name in (["ours", "publ.", "diff."] if s in compared else ["ours"])]


def _spans(settings: Sequence[str], compared: Sequence[str]) -> list[tuple[str, int]]:
    return [("", 1), *((setting, 3 if setting in compared else 1) for setting in settings)]


def _beside(value: float | None, known: float | None) -> list[Cell]:
    both = value is not None and known is not None
    return [percent(known), difference(value - known if both and value is not None and known is not None else None)]


def _mean_row(
    metric: str,
    settings: Sequence[str],
    compared: Sequence[str],
    mine: pd.Series,
    theirs: pd.Series,
    intervals: Intervals,
) -> Row:
    cells = [text("Mean")]
    for setting in settings:
        cells.append(percent(mine[setting].mean(), *bounds(intervals.of(setting, metric))))
        if setting in compared:
            names = _common(mine, theirs, setting)
            here, there = mine[setting][names].mean(), theirs[setting][names].mean()
            cells += [percent(there), difference(here - there)]
    return Row(cells, strong=True)


def _nested_rows(
    metric: str,
    settings: Sequence[str],
    compared: Sequence[str],
    rules: pd.DataFrame,
    published: pd.DataFrame,
    nested: Intervals,
) -> list[Row]:
    """A row for each estimate that has not seen the generator it scores."""
    rows = []
    for rule in HEADLINE[:2]:
        cells = [text(f"Unseen: {rule_name(rule)}")]
        for setting in settings:
            value, known = rule_value(rules, setting, rule, metric), rule_value(published, setting, rule, metric)
            cells.append(percent(value, *bounds(nested.of(setting, metric, value=rule))))
            cells += _beside(value, known) if setting in compared else []
        if any(cell.text != MISSING for cell in cells[1:]):
            rows.append(Row(cells, strong=True))
    return rows
