"""Variants beside the reported models: table and figure of the sections that change one thing."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from rine.evaluation.intervals import Interval
from rine.report.bars import BANDS, draw_bars, with_bands
from rine.report.by_setting import setting_table
from rine.report.estimates import Intervals
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.section import Figure, long
from rine.report.study import Study
from rine.report.table import CHANCE_NOTE, Cell, Table, difference, percent, text


def compared_table(
    study: Study,
    key: str,
    heading: str,
    scores: pd.DataFrame,
    intervals: Intervals,
    names: Mapping[str, str],
    whole: str = "Whole method",
) -> Table:
    """Accuracy and AP of each variant in `scores`, and the difference from the reported model of the same setting.

    `names` maps a value of the column `variant` to its row's name; `intervals` are the variants'; `whole` names the row
    of the reported models.
    """
    settings, own = settings_of(scores), study.model_intervals
    base = study.reported.groupby("setting", sort=False)[list(PAPER_METRICS)].mean()
    means = scores.groupby(["setting", "variant"], sort=False)[list(PAPER_METRICS)].mean()

    def cells(variant: str, setting: str, metric: str) -> list[Cell]:
        full = base[metric].get(setting, float("nan"))
        if not variant:
            return [percent(full, own.of(setting, metric)), Cell("")]
        value = means[metric].get((setting, variant), float("nan"))
        paired = intervals.paired_difference(setting, metric, own, setting, variant)
        return [percent(value, intervals.of(setting, metric, value=variant)), difference(value - full, paired)]

    there = set(scores["variant"])
    rows = {"": [text(whole)]} | {variant: [text(name)] for variant, name in names.items() if variant in there}
    notes = [CHANCE_NOTE] if intervals.groups else []
    return setting_table(key, heading, [""], settings, rows, cells, ["diff."], strong=[""], notes=notes,
                         dash="no run of that setting")  # fmt: skip


def compared_figure(
    study: Study,
    key: str,
    title: str,
    scores: pd.DataFrame,
    intervals: Intervals,
    names: Mapping[str, str],
    whole: str,
) -> Figure:
    """The same as bars; `whole` names the bars of the reported models."""
    full = study.reported[study.reported["setting"].isin(scores["setting"].unique())]
    parts = [full.assign(name=whole, variant="")]
    parts += [scores[scores["variant"] == variant].assign(name=name) for variant, name in names.items()]
    keys = ["setting", "name", "variant"]
    means = pd.concat(parts).groupby(keys, sort=False)[list(PAPER_METRICS)].mean().reset_index()

    def band(row: pd.Series, metric: str) -> Interval | None:
        own = study.model_intervals if not row["variant"] else intervals
        return own.of(row["setting"], metric, value=row["variant"])

    means = with_bands(means, band)
    data = long(means.assign(panel=means["setting"]), ["panel", "name"], "series")
    return Figure(key, title, f"One bar a setting, with its value{BANDS}.", lambda: draw_bars(means), data)
