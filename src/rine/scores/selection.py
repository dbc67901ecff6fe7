"""Rules that choose a configuration, side by side, and what each scores.

The paper reports the best of 48 configurations by their scores on the very test sets (`paper`). What the
chosen one will score on a generator that nobody has seen is another number: `leave_one_generator_out` and
`family_out` estimate it, by choosing on some generators and scoring on the others. Works on a scores table
alone; only `ensemble` needs logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.scores.grid import Grid, grid_of


@dataclass(frozen=True)
class Outcome:
    """What a rule gives: accuracy and AP by generator (G,); `used`, the configuration behind each (-1: none).

    `model` is the configuration that the rule would have one train and use, None where it names none. Where
    the rule cannot be applied `acc` and `ap` are NaN and `reason` says why.
    """

    acc: np.ndarray
    ap: np.ndarray
    used: np.ndarray
    model: int | None
    reason: str = ""


def _best(score: np.ndarray) -> int:
    """The highest of the scores (C,); among equals the first, in the order of xi, q, d, epochs."""
    return int(np.argmax(score))


def _fixed(grid: Grid, c: int, reason: str = "") -> Outcome:
    return Outcome(grid.acc[c], grid.ap[c], np.full(len(grid.generators), c), c, reason)


def _chosen(grid: Grid, used: np.ndarray, model: int, reason: str = "") -> Outcome:
    each = np.arange(len(grid.generators))
    return Outcome(grid.acc[used, each], grid.ap[used, each], used, model, reason)


def _none(grid: Grid, reason: str) -> Outcome:
    empty = np.full(len(grid.generators), np.nan)
    return Outcome(empty, empty, np.full(len(grid.generators), -1), None, reason)


def paper(grid: Grid) -> Outcome:
    """The highest mean accuracy + mean AP over the test sets, scored on those same sets, as published."""
    return _fixed(grid, _best(grid.score.mean(axis=1)))


def leave_one_generator_out(grid: Grid) -> Outcome:
    """For each generator the configuration that is best on all others. The model: the most frequent one."""
    n = len(grid.generators)
    if n < 2:
        return _none(grid, f"{n} generator; leaving one out needs two")
    others = grid.score.sum(axis=1, keepdims=True) - grid.score  # (C, G)
    used = others.argmax(axis=0)
    wins = np.bincount(used, minlength=len(grid.score))
    # among those that win equally often, the better on all
    model = int(np.lexsort((-grid.score.mean(axis=1), -wins))[0])
    return _chosen(grid, used, model)


def family_out(grid: Grid) -> Outcome:
    """Chosen on GANs, scored on the rest, and the other way round. The model: the one chosen on GANs."""
    gan = np.array([family == "gan" for family in grid.families])
    if gan.all() or not gan.any():
        which = "all" if gan.all() else "none"
        return _none(grid, f"{which} of the {len(gan)} generators are GANs; two families are needed")
    on_gans = _best(grid.score[:, gan].mean(axis=1))
    on_rest = _best(grid.score[:, ~gan].mean(axis=1))
    return _chosen(grid, np.where(gan, on_rest, on_gans), on_gans)


def validation(grid: Grid) -> Outcome:
    """The lowest loss on the validation pictures. Among equals the first in the order of xi, q, d, epochs."""
    known = np.isfinite(grid.val_loss)
    if not known.any():
        return _none(grid, "no validation set: no configuration has a validation loss")
    loss = np.where(known, grid.val_loss, np.inf)
    chosen = int(np.argmin(loss))
    equal, without = int((loss == loss[chosen]).sum()), int((~known).sum())
    reasons = [f"{equal} configurations share the lowest loss; the first is taken"] if equal > 1 else []
    reasons += [f"{without} configurations have no validation loss"] if without else []
    return _fixed(grid, chosen, "; ".join(reasons))


def mean(grid: Grid) -> Outcome:
    """The expectation over configurations: what one gets who takes any."""
    nobody = np.full(len(grid.generators), -1)
    return Outcome(grid.acc.mean(axis=0), grid.ap.mean(axis=0), nobody, None)


def ensemble(grid: Grid) -> Outcome:
    """The mean logit of all configurations."""
    if grid.ensemble is None:
        return _none(grid, "needs the logit of each picture; a scores file has only means")
    return Outcome(grid.ensemble[0], grid.ensemble[1], np.full(len(grid.generators), -1), None)


RULES: dict[str, Callable[[Grid], Outcome]] = {
    "paper": paper,
    "leave_one_generator_out": leave_one_generator_out,
    "family_out": family_out,
    "validation": validation,
    "mean": mean,
    "ensemble": ensemble,
}
CHOOSING = ("paper", "leave_one_generator_out", "family_out", "validation")  # those that name a model


def choose(grid: Grid, rule: str, top: int = 1) -> list[dict[str, float | int]]:
    """The configuration that the rule would have one train, then the next best, `top` in all.

    The next best follow by validation loss under `validation`, else by accuracy + AP. Raises `ValueError` for
    a rule that names no model (`mean`, `ensemble`) or cannot be applied here.
    """
    if rule not in CHOOSING:
        raise ValueError(f"select.rule = {rule!r} names no configuration to train; choose from {', '.join(CHOOSING)}")
    outcome = RULES[rule](grid)
    if outcome.model is None:
        raise ValueError(f"select.rule = {rule!r} cannot be applied: {outcome.reason}")
    rank = np.nan_to_num(grid.val_loss, nan=np.inf) if rule == "validation" else -grid.score.mean(axis=1)
    rest = [int(c) for c in np.argsort(rank, kind="stable") if c != outcome.model]
    return [_plain(grid, c) for c in [outcome.model, *rest][:top]]


def _plain(grid: Grid, c: int) -> dict[str, float | int]:
    row = grid.configurations.iloc[c]
    return {
        "xi": float(row["xi"]),
        "q": int(row["q"]),
        "proj_dim": int(row["d"]),
        "epochs": int(row["epochs"]),
    }


def rules_table(grid: Grid) -> pd.DataFrame:
    """All rules side by side: rule, xi, q, proj_dim, epochs of the model, acc, ap, gap to the paper's rule.

    `gap_acc` and `gap_ap` are the paper's figure less this rule's; `folds` counts the configurations that
    were used.
    """
    outcomes = {name: rule(grid) for name, rule in RULES.items()}
    top = outcomes["paper"]
    rows = []
    for name, outcome in outcomes.items():
        empty = {"xi": np.nan, "q": None, "proj_dim": None, "epochs": None}
        acc, ap = outcome.acc.mean(), outcome.ap.mean()
        rows.append(
            {"rule": name, "n_configurations": len(grid.configurations)}
            | (empty if outcome.model is None else _plain(grid, outcome.model))
            | {"folds": len(set(outcome.used.tolist()) - {-1}), "acc": acc, "ap": ap}
            | {"gap_acc": top.acc.mean() - acc, "gap_ap": top.ap.mean() - ap, "reason": outcome.reason}
        )
    return pd.DataFrame(rows).astype({"q": "Int64", "proj_dim": "Int64", "epochs": "Int64"})


def generators_table(grid: Grid) -> pd.DataFrame:
    """What each rule scores by generator: rule, generator, family, acc, ap, and the configuration used."""
    rows = []
    for name, rule in RULES.items():
        outcome = rule(grid)
        for g, generator in enumerate(grid.generators):
            used = int(outcome.used[g])
            rows.append(
                {"rule": name, "generator": generator, "family": grid.families[g]}
                | {"acc": outcome.acc[g], "ap": outcome.ap[g]}
                | ({"xi": np.nan, "q": None, "proj_dim": None, "epochs": None} if used < 0 else _plain(grid, used))
            )
    return pd.DataFrame(rows).astype({"q": "Int64", "proj_dim": "Int64", "epochs": "Int64"})


# settings of the published grid, by number of classes
CLASSES = {1: "one_class", 2: "two_class", 4: "four_class"}


def rules_of(scores: pd.DataFrame) -> pd.DataFrame:
    """`rules_table` of each setting and encoder in a scores table, with the columns `setting` and `encoder`.

    Settings are named by their number of classes, LDM by its training set. Raises `ValueError` where there is
    nothing to select from.
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
        parts.append(rules_table(grid_of(part)).assign(setting=setting, encoder=backbone))
    return pd.concat(parts, ignore_index=True)
