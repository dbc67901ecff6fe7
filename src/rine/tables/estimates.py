"""Means of runs with bootstrap intervals over pictures, paired differences, and the spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Draws, Interval, bootstrap, difference, interval
from rine.evaluation.selection import choose, grid_of
from rine.params import ReportConfig
from rine.scores import ImageScores, test_sets_of

METRICS = ("acc", "ap")
CONFIGURATION = ["xi", "q", "d", "epochs"]
Key = tuple[str, object]  # setting, and a variant, a number of epochs, ...; "" for the setting's own model


@dataclass(frozen=True)
class Apart:
    """The interval of a paired difference, in 0..1; `chance` says that it holds 0."""

    low: float
    high: float
    chance: bool


@dataclass(frozen=True)
class Intervals:
    """Bootstrap draws of groups of runs (the seeds of a configuration, mostly): key -> (draws, runs of the group)."""

    groups: Mapping[Key, tuple[Draws, list[int]]]
    confidence: float

    def of(
        self, setting: str, metric: str, generators: Sequence[str] | None = None, value: object = ""
    ) -> Interval | None:
        """The interval of a group's mean over some generators, or over all of them."""
        draws, runs = self.groups.get((setting, value), (None, []))
        if draws is None or not set(generators or ()) <= set(draws.generators):
            return None
        return interval(draws.mean(metric, runs, generators), self.confidence)

    def less(self, setting: str, metric: str, base: Intervals, other: str, value: object = "") -> Apart | None:
        """A group less the model of the setting `other`, on the generators and draws that both have."""
        draws, runs = self.groups.get((setting, value), (None, []))
        draws_before, runs_before = base.groups.get((other, ""), (None, []))
        if draws is None or draws_before is None:
            return None
        shared = [name for name in draws_before.generators if name in draws.generators]
        if not shared:
            return None
        after, before = draws.mean(metric, runs, shared), draws_before.mean(metric, runs_before, shared)
        found = difference(after, before, self.confidence)
        return Apart(found.low, found.high, found.chance)


NONE = Intervals({}, 0.0)


def bounds(found: Interval | None) -> tuple[float, float] | tuple[()]:
    """An interval as the last arguments of a table's cell."""
    return (found.low, found.high) if found else ()


def intervals(
    scores: Mapping[str, ImageScores],
    home: Callable[[str], pd.DataFrame],
    config: ReportConfig | None,
    by: str | None = None,
) -> Intervals:
    """Bootstrap the runs of each setting over its own test sets, `home(setting)`, grouped by a column of the runs."""
    groups: dict[Key, tuple[Draws, list[int]]] = {}
    for setting, mine in scores.items() if config else ():
        sets = test_sets_of(mine.images, home(setting)) if len(home(setting)) else []
        if not sets or config is None:
            continue
        draws = bootstrap(sets, mine.logits, config.bootstrap, config.seed)
        values = mine.runs[by] if by else pd.Series("", mine.runs.index)
        for value in values.dropna().unique():
            groups[setting, value] = draws, np.flatnonzero((values == value).fillna(False).to_numpy(bool)).tolist()
    return Intervals(groups, config.confidence if config else 0.0)


def run_means(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a run: its columns, and acc and ap as means over the generators."""
    keys = ["study", "setting", "training_set", "backbone", *CONFIGURATION, "variant", "fraction", "seed"]
    return scores.groupby(keys, sort=False, dropna=False)[list(METRICS)].mean().reset_index()


def paper_choice(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of the configuration that the paper's rule chooses, from the grid of one setting and encoder."""
    if scores.empty:
        return scores
    [best] = choose(grid_of(scores, {}), "paper")
    best["d"] = best.pop("proj_dim")
    return scores[(scores[list(best)] == pd.Series(best)).all(axis=1)]


def chosen(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """Scores of each setting's reported model: `validate`, else `best`, else the paper's choice from grid or ldm."""
    parts = [_reported(mine, encoder) for _, mine in scores[scores["variant"] == ""].groupby("setting", sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else scores.iloc[:0]


def _reported(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    for study in ("validate", "best"):
        if (scores["study"] == study).any():
            return scores[scores["study"] == study]
    return paper_choice(scores[scores["study"].isin(["grid", "ldm"]) & (scores["backbone"] == encoder)])


def by_generator(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: index (setting, generator), columns acc and ap."""
    return scores.groupby(["setting", "generator"], sort=False)[list(METRICS)].mean()


def seed_spread(scores: pd.DataFrame, setting: str, metric: str) -> float:
    """Standard deviation over seeds of a setting's mean over generators; NaN with one seed."""
    mine = scores[scores["setting"] == setting]
    means = mine.groupby("seed", dropna=False)[metric].mean()
    return float(means.std(ddof=1)) if len(means) > 1 else float("nan")
