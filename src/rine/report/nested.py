"""Intervals of what each selection rule reports: every generator scored by the configuration that was chosen for it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rine.evaluation.intervals import Draws, bootstrap
from rine.params import ReportConfig
from rine.report.labels import LDM
from rine.report.study import Study
from rine.scores import ImageScores, test_sets_of
from rine.tables.estimates import NONE, Intervals, Key

CONFIGURATION = {"xi": "xi", "q": "q", "proj_dim": "d", "epochs": "epochs"}  # column of the rules -> of the runs


def nested_intervals(study: Study) -> Intervals:
    """Intervals by (setting, rule), from the scores of pictures of the grid."""
    if study.params is None or study.rules_by_generator.empty:
        return NONE
    config, groups = study.params.report, {}
    scores = {**study.grid, **({LDM: study.ldm[LDM]} if LDM in study.ldm else {})}
    for (setting, rule), mine in study.rules_by_generator.groupby(["setting", "rule"], sort=False):
        found, sets = scores.get(str(setting)), study.home_sets(str(setting))
        chosen = mine.dropna(subset=list(CONFIGURATION)).set_index("generator")
        if found is None or sets.empty:
            continue
        key: Key = str(setting), rule
        if len(chosen) == len(mine):
            groups[key] = _draw(found, chosen, sets, config), [0]
        elif rule in ("mean", "ensemble"):
            logits = found.logits if rule == "mean" else _ensemble(found)
            groups[key] = (
                bootstrap(test_sets_of(found.images, sets), logits, config.bootstrap, config.seed),
                [*range(len(logits))],
            )
    return Intervals(groups, config.confidence)


def _draw(scores: ImageScores, chosen: pd.DataFrame, test_sets: pd.DataFrame, config: ReportConfig) -> Draws:
    """Draws (1, G, rounds): each generator by the seeds of its own configuration."""
    names, acc, ap = [], [], []
    for test_set in test_sets_of(scores.images, test_sets):
        if test_set.generator in chosen.index:
            runs = _runs(scores.runs, chosen.loc[[test_set.generator]].iloc[0])
            drawn = bootstrap([test_set], scores.logits[runs], config.bootstrap, config.seed)
            names.append(test_set.generator)
            acc.append(drawn.acc[:, 0].mean(axis=0))
            ap.append(drawn.ap[:, 0].mean(axis=0))
    return Draws(tuple(names), np.stack(acc)[None], np.stack(ap)[None])


def _ensemble(scores: ImageScores) -> np.ndarray:
    """The mean logit over configurations of each seed: (seeds, N)."""
    seeds = scores.runs["seed"].fillna(0).astype(int)
    return np.stack([scores.logits[(seeds == seed).to_numpy()].mean(axis=0) for seed in sorted(seeds.unique())])


def _runs(runs: pd.DataFrame, configuration: pd.Series) -> np.ndarray:
    """The runs of a configuration, one a seed."""
    same = [
        np.isclose(runs[theirs].astype(float), float(configuration[ours])) for ours, theirs in CONFIGURATION.items()
    ]
    found = np.flatnonzero(np.logical_and.reduce(same))
    if not len(found):
        words = ", ".join(f"{name} {configuration[name]:g}" for name in CONFIGURATION)
        raise ValueError(f"select chose {words}, which the scores do not hold: run `rine select` again")
    return found
