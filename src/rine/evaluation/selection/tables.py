"""What each selection rule chooses and scores, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rine.evaluation.selection.grid import Grid, grid_of
from rine.evaluation.selection.rules import RULES, configuration

_NO_MODEL: dict[str, Any] = {"xi": np.nan, "q": None, "proj_dim": None, "epochs": None}


def rules_table(grid: Grid) -> pd.DataFrame:
    """All rules side by side: rule, xi, q, proj_dim, epochs of the model, acc, ap, gap to the paper's rule.

    `acc` and `ap` are means over the generators that the rule scores; `gap_acc` and `gap_ap` the paper's figure on the
    same ones less this rule's; `folds` counts the configurations that were used.
    """
    outcomes = {name: rule.outcome(grid) for name, rule in RULES.items()}
    top = outcomes["paper"]
    rows = []
    for name, outcome in outcomes.items():
        scored = np.isfinite(outcome.acc)
        acc, ap, top_acc, top_ap = (
            values[scored].mean() if scored.any() else np.nan for values in (outcome.acc, outcome.ap, top.acc, top.ap)
        )
        rows.append(
            {"rule": name, "n_configurations": len(grid.configurations)}
            | (_NO_MODEL if outcome.model is None else configuration(grid, outcome.model))
            | {"folds": len(set(outcome.used.tolist()) - {-1}), "acc": acc, "ap": ap}
            | {"gap_acc": top_acc - acc, "gap_ap": top_ap - ap, "reason": outcome.reason}
        )
    return pd.DataFrame(rows).astype({"q": "Int64", "proj_dim": "Int64", "epochs": "Int64"})


def generators_table(grid: Grid) -> pd.DataFrame:
    """What each rule scores by generator: rule, generator, family, acc, ap, and the configuration used."""
    rows = []
    for name, rule in RULES.items():
        outcome = rule.outcome(grid)
        for g, generator in enumerate(grid.generators):
            used = int(outcome.used[g])
            rows.append(
                {"rule": name, "generator": generator, "family": grid.families[g]}
                | {"acc": outcome.acc[g], "ap": outcome.ap[g]}
                | (_NO_MODEL if used < 0 else configuration(grid, used))
            )
    columns = ["rule", "generator", "family", "acc", "ap", *_NO_MODEL]
    return pd.DataFrame(rows, columns=columns).astype({"q": "Int64", "proj_dim": "Int64", "epochs": "Int64"})


# settings of the published grid, by number of classes
CLASSES = {1: "one_class", 2: "two_class", 4: "four_class"}


def rules_of(
    scores: pd.DataFrame, families: Mapping[str, str], released: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """`rules_table` of each setting and encoder in a scores table, with the columns `setting` and `encoder`.

    `families`: generator -> family, `released`: generator -> date. Settings are named by their number of classes, LDM
    by its training set. Raises `ValueError` where there is nothing to select from.
    """
    scores = scores[scores["study"].isin(["grid", "ldm"])]
    if scores.empty:
        raise ValueError("no run of study grid or ldm: there is nothing to select from")
    keys = ["study", "training_set", "backbone", "classes"]
    parts = []
    for values in scores[keys].drop_duplicates().to_numpy(dtype=str):
        study, training_set, backbone, classes = map(str, values)
        part = scores[(scores[keys] == values).all(axis=1)]
        setting = CLASSES.get(len(classes.split()), classes) if study == "grid" else training_set
        parts.append(rules_table(grid_of(part, families, released=released)).assign(setting=setting, encoder=backbone))
    return pd.concat(parts, ignore_index=True)
