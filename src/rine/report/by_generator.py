"""The reported models by generator, ours beside published: table and figure of the sections `generators` and `ldm`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.dataset.generators import family_title
from rine.drawing import EDGE, canvas, legend_below, percent_axis
from rine.report.estimates import by_generator
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.rules import UNSEEN, rule_name, rule_value
from rine.report.section import PANELS, Figure
from rine.report.study import Study
from rine.report.table import MISSING, WARNING, Row, Table, difference, number, percent, text

MISS = float("nan")


def means_table(study: Study, key: str, ours: pd.DataFrame) -> Table:
    """Means over generators of the reported models, their intervals and their spread over seeds."""
    rows = []
    for setting, scores in ours.groupby("setting", sort=False):
        cells = [text(setting)]
        for metric in PAPER_METRICS:
            by_seed = scores.groupby("seed", dropna=False)[metric].mean()
            mean = scores.groupby("generator")[metric].mean().mean()
            cells += [percent(mean, study.model_intervals.of(str(setting), metric)), number(100 * by_seed.std(), 2)]
        cells += [number(scores["seed"].nunique() or 1, 0), number(scores["generator"].nunique(), 0)]
        rows.append(Row(cells))
    columns = ["Setting", "mean", "seeds ±", "mean", "seeds ±", "Seeds", "Generators"]
    groups = [("", 1), *((name, 2) for name in PAPER_METRICS.values()), ("", 2)]
    notes = ["Means over so many seeds; seeds ±: standard deviation over them, in points."]
    return Table(key, "Means over the test sets", columns, rows, groups, notes, "one seed has no spread")


def generator_table(study: Study, key: str, metric: str, ours: pd.DataFrame) -> Table:
    """One metric (acc or ap) of reported models by generator: ours, published and the difference.

    Means over seeds. The last rows say what the rules that have not seen a generator promise for a new one.
    """
    means, published = by_generator(ours)[metric], by_generator(study.published_models)[metric]
    # setting -> generators that were published too; a setting without any has no columns to compare
    shared: dict[str, list[str]] = {setting: [] for setting in settings_of(ours)}
    for setting, generator in means.index.intersection(published.index, sort=False):
        shared[setting].append(generator)
    shortcuts = shortcut_warnings(study)
    rows = _generator_rows(study, metric, means, published, shared, shortcuts)
    rows += [_mean_row(study, metric, means, published, shared), *_unseen_rows(study, metric, shared)]
    compared = any(shared.values())
    notes = ["Difference: ours less published, in points, over the test sets that both have."] if compared else []
    marked = [name for name in dict.fromkeys(ours["generator"]) if name in shortcuts]
    if marked:
        listed = ", ".join(f"{study.title(name)} ({100 * shortcuts[name]:.1f})" for name in marked)
        notes.append(f"{WARNING} The files alone give the class away; AP without one pixel: {listed}.")
    names = [["ours", "publ.", "diff."] if names else ["ours"] for names in shared.values()]
    groups = [("", 1), *((setting, 3 if names else 1) for setting, names in shared.items())]
    columns = ["Generator", *itertools.chain(*names)]
    dash = "not scored in this setting, not published, or a rule that cannot be applied (see Selection rules)"
    return Table(key, f"{PAPER_METRICS[metric]} by generator (%)", columns, rows, groups, notes, dash)


def _generator_rows(
    study: Study,
    metric: str,
    means: pd.Series,
    published: pd.Series,
    shared: Mapping[str, list[str]],
    shortcuts: Mapping[str, float],
) -> list[Row]:
    """A row for each generator, families together in the order in which they first occur."""
    generators = list(dict.fromkeys(means.index.get_level_values("generator")))
    families = list(dict.fromkeys(map(study.family, generators)))
    rows, last = [], ""
    for generator in sorted(generators, key=lambda name: families.index(study.family(name))):
        cells = [text(study.title(generator), WARNING if generator in shortcuts else "")]
        for setting in shared:
            interval = study.model_intervals.of(setting, metric, [generator])
            value, theirs = (series.get((setting, generator), MISS) for series in (means, published))
            cells.append(percent(value, interval))
            cells += [percent(theirs), difference(value - theirs)] if shared[setting] else []
        family = study.family(generator)
        rows.append(Row(cells, section=family_title(family) if family != last else ""))
        last = family
    return rows


def _mean_row(
    study: Study, metric: str, means: pd.Series, published: pd.Series, shared: Mapping[str, list[str]]
) -> Row:
    """The mean over generators; the difference is over those that both have."""
    cells = [text("Mean")]
    for setting, names in shared.items():
        cells.append(percent(means[setting].mean(), study.model_intervals.of(setting, metric)))
        if names:
            theirs = published[setting][names].mean()
            cells += [percent(theirs), difference(means[setting][names].mean() - theirs)]
    return Row(cells, strong=True)


def _unseen_rows(study: Study, metric: str, shared: Mapping[str, list[str]]) -> list[Row]:
    """What the rules that choose without the generator they score report: the estimate for a new generator."""
    rows = []
    for rule in UNSEEN:
        cells = [text(f"Unseen: {rule_name(rule)}")]
        for setting, names in shared.items():
            tables = (study.rules, study.published_rules, study.rules_beside_published)
            value, theirs, beside = (rule_value(table, setting, rule, metric) for table in tables)
            cells.append(percent(value, study.rule_intervals.of(setting, metric, value=rule)))
            cells += [percent(theirs), difference(beside - theirs)] if names else []
        if any(cell.text != MISSING for cell in cells[1:]):
            rows.append(Row(cells, strong=True))
    return rows


def shortcut_warnings(study: Study) -> dict[str, float]:
    """Generator -> AP that its files reach without a pixel, where `prepare` warns of it."""
    findings, shortcuts = study.table("index/findings.csv"), study.table("index/shortcuts.csv")
    if findings.empty or shortcuts.empty:
        return {}
    warned = findings.loc[findings["severity"] == "warning", "set"]
    rows = shortcuts[shortcuts["set"].isin(warned)].dropna(subset="ap")
    return dict(zip(rows["set"], rows["ap"], strict=True))


def generator_figure(study: Study, key: str, ours: pd.DataFrame) -> Figure:
    """Ours and published by generator, as a figure."""
    data = beside_published(ours, study.published_models, study.title)
    columns = ["panel", "series", "generator", "ours", "published"]
    title, says = "By generator", "One row a generator, a diamond for what was scored here."
    if data["published"].notna().any():
        title, says = (
            "Ours and published by generator",
            "One row a generator: a diamond for ours, a circle for published.",
        )
    return Figure(
        key,
        title,
        says,
        lambda: draw_beside(data),
        data.assign(panel=data["setting"], series=data["metric"].map(PANELS))[columns],
    )


def beside_published(ours: pd.DataFrame, published: pd.DataFrame, title: Callable[[str], str]) -> pd.DataFrame:
    """Rows of setting, generator (label), metric, ours, published."""
    keys = ["setting", "generator", "metric"]
    here, there = (by_generator(scores).stack().rename_axis(keys) for scores in (ours, published))
    table = pd.DataFrame({"ours": here}).join(pd.DataFrame({"published": there})).reset_index()
    return table.assign(generator=table["generator"].map(title))


def draw_beside(table: pd.DataFrame) -> Drawing:
    """A panel for each setting and metric; `table` is as `beside_published` gives it, NaN where there is none."""
    settings, names = settings_of(table), list(dict.fromkeys(table["generator"]))
    height = 1.4 + 0.32 * max(len(names), 6)  # of fewer the panels would be lower than their labels
    figure, axes = canvas(2, len(settings), 1.6 + 2.9 * len(settings), height, sharey=True)
    places = np.arange(len(names))[::-1]
    for column, setting in enumerate(settings):
        for row, (metric, label) in enumerate(PAPER_METRICS.items()):
            rows = table[(table["setting"] == setting) & (table["metric"] == metric)]
            values = rows.set_index("generator").reindex(names)
            panel = axes[row, column]
            if table["published"].notna().any():
                panel.hlines(places, values["ours"], values["published"], color="#999999", linewidth=1)
                panel.plot(values["published"], places, "o", label="published", mfc="white", mec=EDGE)
            panel.plot(values["ours"], places, "D", label="ours", mfc="#2c77b0", mec=EDGE, mew=0.4)
            panel.set_yticks(places, names)
            panel.set_ylim(-0.6, len(names) - 0.4)
            panel.grid(axis="x")
            panel.set_xlabel(f"{label} (%)")
            percent_axis(panel, "x")
            axes[0, column].set_title(setting)
    legend_below(figure, axes[0, 0])
    return figure
