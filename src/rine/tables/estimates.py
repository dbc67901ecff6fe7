"""Means of the chosen models by generator, with bootstrap intervals over pictures and the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.intervals import Draws, Interval, bootstrap, difference, interval
from rine.params import ReportConfig
from rine.scores import ImageScores, test_sets_of
from rine.selection import choose, grid_of

METRICS = ("acc", "ap")
CONFIGURATION = ["xi", "q", "d", "epochs"]


@dataclass(frozen=True)
class Apart:
    """A paired difference, in 0..1, with its interval; `chance` says that the interval holds 0."""

    value: float
    low: float
    high: float
    chance: bool


@dataclass(frozen=True)
class Intervals:
    """Bootstrap draws of each setting's model over the test sets of its study."""

    draws: Mapping[str, Draws]
    confidence: float

    def of(self, setting: str, metric: str, generator: str | None = None) -> Interval | None:
        """The interval of one generator's mean over seeds, or of the mean over all generators."""
        draws = self.draws.get(setting)
        if draws is None or (generator is not None and generator not in draws.generators):
            return None
        names = None if generator is None else [generator]
        return interval(draws.mean(metric, range(len(draws.acc)), names), self.confidence)

    def between(self, setting: str, other: str, metric: str) -> Apart | None:
        """One setting's model less another's."""
        draws = self.draws.get(setting)
        return None if draws is None else self.against(other, metric, draws)

    def against(self, setting: str, metric: str, others: Draws) -> Apart | None:
        """`others` less this setting's model, over the generators that both have; the same draws of the same pictures."""
        mine = self.draws.get(setting)
        shared = [name for name in mine.generators if name in others.generators] if mine else []
        if mine is None or not shared:
            return None
        there, here = (each.mean(metric, range(len(each.acc)), shared) for each in (others, mine))
        found = difference(there, here, self.confidence)
        return Apart(float(there.mean() - here.mean()), found.low, found.high, found.chance)


def draw(scores: ImageScores, test_sets: pd.DataFrame, config: ReportConfig) -> Draws | None:
    """Bootstrap draws of the runs of some scores over the test sets that have pictures in them; None where none has."""
    sets = test_sets_of(scores.images, test_sets) if len(test_sets) else []
    return bootstrap(sets, scores.logits, config.bootstrap, config.seed) if sets else None


def run_means(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a run: its columns, and acc and ap as means over the generators."""
    keys = ["study", "setting", "training_set", "backbone", *CONFIGURATION, "variant", "fraction", "seed"]
    return scores.groupby(keys, sort=False, dropna=False)[list(METRICS)].mean().reset_index()


def paper_choice(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of the configuration that the paper's rule chooses, from the grid of one setting and encoder."""
    if scores.empty:
        return scores
    [best] = choose(grid_of(scores), "paper")
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
    return float(means.std(ddof=1)) if len(means) > 1 else float(np.nan)
