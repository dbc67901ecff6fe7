"""What `select` says of a grid: the configuration to train, what each rule is worth, and which encoder wins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rine.evaluation.selection.grid import Grid
from rine.evaluation.selection.rules import RULES, choose
from rine.evaluation.selection.tables import rules_table


def choice_of(grid: Grid, table: pd.DataFrame, rule: str, top: int) -> tuple[dict[str, Any], str]:
    """The choice of a setting as `select` writes it, and a note where another rule than `rule` had to make it.

    `table` is the grid's `rules_table`. Where the rule cannot be applied the paper's is; where no test set has both
    classes the lowest loss on validation pictures decides. Raises `ValueError` where there are none of these either.
    """
    worth = {name: (acc, ap, reason) for name, acc, ap, reason in _columns(table)}
    applied = next((name for name in (rule, "paper") if np.isfinite(worth[name][0])), "validation")
    best = choose(grid, applied, top)
    acc, ap, _ = worth[applied]
    words = RULES[applied].on_card or RULES[applied].words  # for the model card
    means = {name: round(value, 6) if np.isfinite(value) else None for name, value in (("acc", acc), ("ap", ap))}
    choice = {**best[0], "rule": applied, "words": words, **means, "top": best}
    return choice, "" if applied == rule else f" (by the rule {applied}: {worth[rule][2]})"


def worth_of_rules(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """rule -> acc and ap, of the rules of a `rules_table` that could be applied."""
    applied = [(rule, acc, ap) for rule, acc, ap, _ in _columns(table) if np.isfinite(acc)]
    return {rule: {"acc": round(acc, 6), "ap": round(ap, 6)} for rule, acc, ap in applied}


def encoders_table(grids: Mapping[tuple[str, str], Grid], encoder: str) -> pd.DataFrame:
    """The paper's rule by encoder: its choice, acc, ap, whether it is `in_force`, whether it `wins`.

    `grids`: (encoder, setting) -> grid.
    """
    rows = []
    for (by, setting), grid in grids.items():
        row = rules_table(grid).set_index("rule").loc["paper"]
        rows.append({"setting": setting, "encoder": by, "in_force": by == encoder, **row.drop(["folds", "reason"])})
    columns = ["setting", "encoder", "in_force", "xi", "q", "proj_dim", "epochs", "acc", "ap"]
    table = pd.DataFrame(rows, columns=columns)
    score = table["acc"] + table["ap"]
    return table.assign(wins=score == score.groupby(table["setting"]).transform("max"))


def _columns(table: pd.DataFrame) -> list[tuple[str, float, float, str]]:
    """(rule, acc, ap, reason) of each rule."""
    names = ("rule", "acc", "ap", "reason")
    return list(zip(*(table[name].tolist() for name in names), strict=True))
