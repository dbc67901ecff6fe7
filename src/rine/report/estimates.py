"""Which model of a setting is reported, its means, and intervals over pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Difference, Interval, Scored, difference, interval, scored
from rine.evaluation.selection import choose, grid_of
from rine.evaluation.selection.grid import CONFIGURATION
from rine.params import ReportConfig
from rine.report.labels import PAPER_METRICS
from rine.scores import ImageScores, test_sets_of

Key = tuple[str, object]  # setting, and a variant, a number of epochs, ...; "" for the setting's own model


@dataclass(frozen=True)
class Intervals:
    """Groups of runs (mostly the seeds of a configuration): key -> (all runs, those of the group on each test set)."""

    groups: Mapping[Key, tuple[Scored, Mapping[str, Sequence[int]]]]
    confidence: float

    def of(
        self, setting: str, metric: str, generators: Sequence[str] | None = None, value: object = ""
    ) -> Interval | None:
        """The interval of a group's mean over some generators, or over all of them."""
        made, runs = self.groups.get((setting, value), (None, {}))
        if made is None or not set(generators or ()) <= set(runs):
            return None
        wanted = {name: runs[name] for name in (runs if generators is None else generators)}
        return interval(made.mean_of_chosen(metric, wanted), self.confidence)

    def paired_difference(
        self, setting: str, metric: str, base: Intervals, base_setting: str, value: object = ""
    ) -> Difference | None:
        """A group less the model of `base_setting`, on the generators and the pictures that both have."""
        made, runs = self.groups.get((setting, value), (None, {}))
        base_made, base_runs = base.groups.get((base_setting, ""), (None, {}))
        shared = [name for name in base_runs if name in runs]
        if made is None or base_made is None or not shared:
            return None
        both = [
            group.mean_of_chosen(metric, {name: runs_of[name] for name in shared})
            for group, runs_of in ((made, runs), (base_made, base_runs))
        ]
        return difference(both[0], both[1], self.confidence)


NONE = Intervals({}, 0.0)


def intervals(
    scores: Mapping[str, ImageScores],
    sets_of: Callable[[str], pd.DataFrame],
    config: ReportConfig | None,
    by: str | None = None,
) -> Intervals:
    """The runs of each setting on the test sets `sets_of(setting)`, grouped by a column of the runs."""
    if config is None:
        return NONE
    groups: dict[Key, tuple[Scored, Mapping[str, Sequence[int]]]] = {}
    for setting, images in scores.items():
        sets = test_sets_of(images.images, sets_of(setting)) if len(sets_of(setting)) else []
        if not sets:
            continue
        made = scored(images.images, sets, images.logits)
        values = images.runs[by] if by else pd.Series("", images.runs.index)
        for value in values.dropna().unique():
            runs = np.flatnonzero((values == value).fillna(False).to_numpy(bool)).tolist()
            groups[setting, value] = made, dict.fromkeys(made.generators, runs)
    return Intervals(groups, config.confidence)


def run_means(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a run: its columns, and acc and ap as means over the generators."""
    keys = ["study", "setting", "training_set", "backbone", *CONFIGURATION, "variant", "fraction", "seed"]
    return scores.groupby(keys, sort=False, dropna=False)[list(PAPER_METRICS)].mean().reset_index()


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
    return scores.groupby(["setting", "generator"], sort=False)[list(PAPER_METRICS)].mean()
