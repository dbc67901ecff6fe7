"""The rules that choose a configuration: what they are called, what each reports, and its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rine.dataset.generators import FAMILY, RELEASED
from rine.evaluation.intervals import Scored, scored
from rine.evaluation.selection import RULES, grid_of, rules_table
from rine.params import ReportConfig
from rine.report.estimates import NONE, Intervals, Key
from rine.scores import ImageScores, test_sets_of

# these have not seen the generator that they score
UNSEEN = ("leave_one_generator_out", "leave_one_family_out", "family_out")
HEADLINE = (*UNSEEN, "paper")
ORDER = (
    *HEADLINE,
    *(name for name in RULES if name not in HEADLINE),
)  # of the page: what is expected of the unseen first
COLUMNS = ["setting", "rule", "acc", "ap"]
CONFIGURATION = {"xi": "xi", "q": "q", "proj_dim": "d", "epochs": "epochs"}  # column of the rules -> of the runs


def rule_name(rule: str) -> str:
    """A rule's name for people."""
    return rule.replace("_", " ")


def rule_value(rules: pd.DataFrame, setting: str, rule: str, metric: str) -> float:
    """What a rule reports for a setting; NaN where it reports nothing."""
    rows = zip(rules["setting"], rules["rule"], rules[metric], strict=True)
    return next((float(value) for *key, value in rows if key == [setting, rule] and pd.notna(value)), float("nan"))


def rules_from_scores(scores: pd.DataFrame, encoder: str) -> pd.DataFrame:
    """Every rule on every setting of a scores table, among the runs of one encoder."""
    runs = scores[scores["study"].isin(["grid", "ldm"]) & (scores["backbone"] == encoder)]
    groups = runs.groupby("setting", sort=False)
    tables = [rules_table(grid_of(rows, FAMILY, released=RELEASED)).assign(setting=name) for name, rows in groups]
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
    groups: dict[Key, tuple[Scored, Mapping[str, Sequence[int]]]] = {}
    of_setting: dict[str, Scored] = {}
    for (setting, rule), rows in choices.groupby(["setting", "rule"], sort=False):
        images, sets = scores.get(str(setting)), sets_of(str(setting))
        rows = rows.dropna(subset=["acc"])  # not those that the rule does not score
        chosen = rows.dropna(subset=list(CONFIGURATION)).set_index("generator")
        if images is None or sets.empty or rows.empty:
            continue
        if str(setting) not in of_setting:
            of_setting[str(setting)] = scored(images.images, test_sets_of(images.images, sets), images.logits)
        made = of_setting[str(setting)]
        if len(chosen) == len(rows):
            there = [name for name in made.generators if name in chosen.index]
            groups[str(setting), rule] = made, {name: _runs(images.runs, chosen.loc[[name]].iloc[0]) for name in there}
        elif rule == "mean":
            groups[str(setting), rule] = made, dict.fromkeys(made.generators, range(len(images.logits)))
        elif rule == "ensemble":
            logits = _ensemble(images)
            alone = scored(images.images, made.test_sets, logits)
            groups[str(setting), rule] = alone, dict.fromkeys(alone.generators, range(len(logits)))
    return Intervals(groups, config.confidence)


def _ensemble(scores: ImageScores) -> np.ndarray:
    """The mean logit over configurations of each seed: (seeds, N)."""
    seeds = scores.runs["seed"].fillna(0).astype(int)
    return np.stack([scores.logits[(seeds == seed).to_numpy()].mean(axis=0) for seed in sorted(seeds.unique())])


def _runs(runs: pd.DataFrame, configuration: pd.Series) -> list[int]:
    """The runs of a configuration, one a seed. Raises `ValueError` where there is none."""
    same = [np.isclose(runs[run].astype(float), float(configuration[rule])) for rule, run in CONFIGURATION.items()]
    rows = np.flatnonzero(np.logical_and.reduce(same))
    if not len(rows):
        named = ", ".join(f"{name} {configuration[name]:g}" for name in CONFIGURATION)
        raise ValueError(f"select chose {named}, which the scores do not hold: run `rine select` again")
    return rows.tolist()
