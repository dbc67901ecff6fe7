"""The rules that choose a configuration: what they are called, what each reports, and its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rine.dataset.generators import FAMILY
from rine.evaluation.intervals import Draws, bootstrap
from rine.evaluation.selection import grid_of, rules_table
from rine.params import ReportConfig
from rine.report.estimates import NONE, Intervals, Key
from rine.scores import ImageScores, test_sets_of

# rule -> what it does, as the page says it
RULES = {
    "leave_one_generator_out": "chosen on all other generators, scored on the one left out",
    "family_out": "chosen on GANs, scored on the rest, and the other way round",
    "paper": "chosen on the very test sets it is scored on, as published",
    "validation": "lowest loss on validation pictures",
    "mean": "no choice: the mean over all configurations",
    "ensemble": "no choice: the mean logit of all configurations",
}
UNSEEN = ("leave_one_generator_out", "family_out")  # these have not seen the generator that they score
HEADLINE = (*UNSEEN, "paper")
COLUMNS = ["setting", "rule", "acc", "ap"]
CONFIGURATION = {"xi": "xi", "q": "q", "proj_dim": "d", "epochs": "epochs"}  # column of the rules -> of the runs


def rule_name(rule: str) -> str:
    """A rule's name for people."""
    return rule.replace("_", " ")


def rule_value(rules: pd.DataFrame, setting: str, rule: str, metric: str) -> float:
    """What a rule reports for a setting; NaN where it reports nothing."""
    values = rules.loc[(rules["setting"] == setting) & (rules["rule"] == rule), metric].dropna()
    return float(values.iloc[0]) if len(values) else float("nan")


def rules_from_scores(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """Every rule on every setting of a scores table, among the runs of one encoder."""
    runs = scores[scores["study"].isin(["grid", "ldm"]) & (scores["backbone"] == encoder)]
    groups = runs.groupby("setting", sort=False)
    tables = [rules_table(grid_of(rows, FAMILY)).assign(setting=name) for name, rows in groups]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def rules_from_select(path: Path, encoder: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """A table that `select` wrote, for one encoder, with the labels of the settings."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    table = pd.read_csv(path)
    table = table[(table["encoder"] == encoder) & table["setting"].isin(list(labels))]
    return table.assign(setting=table["setting"].map(dict(labels)))


def rule_intervals(
    choices: pd.DataFrame,
    scores: Mapping[str, ImageScores],
    sets_of: Callable[[str], pd.DataFrame],
    config: ReportConfig | None,
) -> Intervals:
    """Intervals by (setting, rule): every generator is scored by the configuration that was chosen for it.

    `choices` is what `select` chose for each setting, rule and generator; `scores` are the grid's, by setting.
    """
    if config is None or choices.empty:
        return NONE
    groups: dict[Key, tuple[Draws, list[int]]] = {}
    for (setting, rule), rows in choices.groupby(["setting", "rule"], sort=False):
        images, sets = scores.get(str(setting)), sets_of(str(setting))
        chosen = rows.dropna(subset=list(CONFIGURATION)).set_index("generator")
        if images is None or sets.empty:
            continue
        if len(chosen) == len(rows):
            groups[str(setting), rule] = _draws_of_chosen(images, chosen, sets, config), [0]
        elif rule in ("mean", "ensemble"):
            logits = images.logits if rule == "mean" else _ensemble(images)
            draws = bootstrap(test_sets_of(images.images, sets), logits, config.bootstrap, config.seed)
            groups[str(setting), rule] = draws, [*range(len(logits))]
    return Intervals(groups, config.confidence)


def _draws_of_chosen(scores: ImageScores, chosen: pd.DataFrame, test_sets: pd.DataFrame, config: ReportConfig) -> Draws:
    """Draws (1, G, rounds): each generator by the seeds of its own configuration."""
    names, acc, ap = [], [], []
    for test_set in test_sets_of(scores.images, test_sets):
        if test_set.generator in chosen.index:
            runs = _runs(scores.runs, chosen.loc[[test_set.generator]].iloc[0])
            draws = bootstrap([test_set], scores.logits[runs], config.bootstrap, config.seed)
            names.append(test_set.generator)
            acc.append(draws.acc[:, 0].mean(axis=0))
            ap.append(draws.ap[:, 0].mean(axis=0))
    return Draws(tuple(names), np.stack(acc)[None], np.stack(ap)[None])


def _ensemble(scores: ImageScores) -> np.ndarray:
    """The mean logit over configurations of each seed: (seeds, N)."""
    seeds = scores.runs["seed"].fillna(0).astype(int)
    return np.stack([scores.logits[(seeds == seed).to_numpy()].mean(axis=0) for seed in sorted(seeds.unique())])


def _runs(runs: pd.DataFrame, configuration: pd.Series) -> np.ndarray:
    """The runs of a configuration, one a seed. Raises `ValueError` where there is none."""
    same = [np.isclose(runs[run].astype(float), float(configuration[rule])) for rule, run in CONFIGURATION.items()]
    rows = np.flatnonzero(np.logical_and.reduce(same))
    if not len(rows):
        named = ", ".join(f"{name} {configuration[name]:g}" for name in CONFIGURATION)
        raise ValueError(f"select chose {named}, which the scores do not hold: run `rine select` again")
    return rows
