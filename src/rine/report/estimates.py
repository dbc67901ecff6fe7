"""Which model of a setting is reported, its means, and bootstrap intervals over pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Difference, Draws, bootstrap, difference, interval
from rine.evaluation.selection import choose, grid_of
from rine.params import ReportConfig
from rine.report.labels import METRICS
from rine.scores import ImageScores, test_sets_of

CONFIGURATION = ["xi", "q", "d", "epochs"]
Key = tuple[str, object]  # setting, and a variant, a number of epochs, ...; "" for the setting's own model
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """Bootstrap draws of groups of runs (mostly the seeds of a configuration): key -> (draws, runs of the group)."""

    groups: Mapping[Key, tuple[Draws, list[int]]]
    confidence: float

    def of(
        self, setting: str, metric: str, generators: Sequence[str] | None = None, value: object = ""
    ) -> Bounds | None:
        """The interval of a group's mean over some generators, or over all of them."""
        draws, runs = self.groups.get((setting, value), (None, []))
        if draws is None or not set(generators or ()) <= set(draws.generators):
            return None
        bounds = interval(draws.mean(metric, runs, generators), self.confidence)
        return bounds.low, bounds.high

    def paired_difference(
        self, setting: str, metric: str, base: Intervals, base_setting: str, value: object = ""
    ) -> Difference | None:
        """A group less the model of `base_setting`, on the generators and the draws that both have."""
        draws, runs = self.groups.get((setting, value), (None, []))
        base_draws, base_runs = base.groups.get((base_setting, ""), (None, []))
        if draws is None or base_draws is None:
            return None
        shared = [name for name in base_draws.generators if name in draws.generators]
        if not shared:
            return None
        return difference(draws.mean(metric, runs, shared), base_draws.mean(metric, base_runs, shared), self.confidence)


NONE = Intervals({}, 0.0)


def intervals(
    scores: Mapping[str, ImageScores],
    sets_of: Callable[[str], pd.DataFrame],
    config: ReportConfig | None,
    by: str | None = None,
) -> Intervals:
    """Bootstrap the runs of each setting over the test sets `sets_of(setting)`, grouped by a column of the runs."""
    if config is None:
        return NONE
    groups: dict[Key, tuple[Draws, list[int]]] = {}
    for setting, images in scores.items():
        sets = test_sets_of(images.images, sets_of(setting)) if len(sets_of(setting)) else []
        if not sets:
            continue
        draws = bootstrap(sets, images.logits, config.bootstrap, config.seed)
        values = images.runs[by] if by else pd.Series("", images.runs.index)
        for value in values.dropna().unique():
            groups[setting, value] = draws, np.flatnonzero((values == value).fillna(False).to_numpy(bool)).tolist()
    return Intervals(groups, config.confidence)


def run_means(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a run: its columns, and acc and ap as means over the generators."""
    keys = ["study", "setting", "training_set", "backbone", *CONFIGURATION, "variant", "fraction", "seed"]
    return scores.groupby(keys, sort=False, dropna=False)[list(METRICS)].mean().reset_index()


def chosen(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """Scores of each setting's reported model: `validate`, else `best`, else the paper's choice from grid or ldm."""
    whole_method = scores[scores["variant"] == ""].groupby("setting", sort=False)
    parts = [_reported(rows, encoder) for _, rows in whole_method]
    return pd.concat(parts, ignore_index=True) if parts else scores.iloc[:0]


def _reported(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    for study in ("validate", "best"):
        if (scores["study"] == study).any():
            return scores[scores["study"] == study]
    return _paper_choice(scores[scores["study"].isin(["grid", "ldm"]) & (scores["backbone"] == encoder)])


def _paper_choice(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of the configuration that the paper's rule chooses, from the grid of one setting and encoder."""
    if scores.empty:
        return scores
    [best] = choose(grid_of(scores, {}), "paper")
    best["d"] = best.pop("proj_dim")
    return scores[(scores[list(best)] == pd.Series(best)).all(axis=1)]


def by_generator(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: index (setting, generator), columns acc and ap."""
    return scores.groupby(["setting", "generator"], sort=False)[list(METRICS)].mean()
