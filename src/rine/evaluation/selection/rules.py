"""Rules that choose a configuration, and what each scores. A rule is one record in `RULES`.

The paper reports the best of 48 configurations by their scores on the very test sets (`paper`). What the
chosen one will score on a generator that nobody has seen is another number: `leave_one_generator_out` and
`family_out` estimate it, by choosing on some generators and scoring on the others. Works on a scores table
alone; only `ensemble` needs logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rine.evaluation.selection.grid import Grid


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
    has_loss = np.isfinite(grid.val_loss)
    if not has_loss.any():
        return _none(grid, "no validation set: no configuration has a validation loss")
    loss = np.where(has_loss, grid.val_loss, np.inf)
    chosen = int(np.argmin(loss))
    equal, without = int((loss == loss[chosen]).sum()), int((~has_loss).sum())
    reasons = [f"{equal} configurations share the lowest loss; the first is taken"] if equal > 1 else []
    reasons += [f"{without} configurations have no validation loss"] if without else []
    return _fixed(grid, chosen, "; ".join(reasons))


def mean(grid: Grid) -> Outcome:
    """Mean over all configurations: the expected score of a random choice."""
    nobody = np.full(len(grid.generators), -1)
    return Outcome(grid.acc.mean(axis=0), grid.ap.mean(axis=0), nobody, None)


def ensemble(grid: Grid) -> Outcome:
    """The mean logit of all configurations."""
    if grid.ensemble is None:
        return _none(grid, "needs the logit of each picture; a scores file has only means")
    return Outcome(grid.ensemble[0], grid.ensemble[1], np.full(len(grid.generators), -1), None)


@dataclass(frozen=True)
class Rule:
    """A selection rule: how it chooses, what it does in the words of the page, and whether it names one model.

    One that names none (`mean`, `ensemble`) is reported beside the others, but there is nothing to train by it.
    `on_card` says the same on the card of a model that was chosen so, for those who use it; by default `words`.
    """

    name: str
    choose: Callable[[Grid], Outcome]
    words: str
    names_a_model: bool = True
    on_card: str = ""


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "paper",
            paper,
            "chosen on the very test sets it is scored on, as published",
            on_card="highest mean accuracy + AP over the test sets, so its test scores are optimistic",
        ),
        Rule(
            "leave_one_generator_out",
            leave_one_generator_out,
            "chosen on all other generators, scored on the one left out",
            on_card="scores on all generators but the one that is scored",
        ),
        Rule(
            "family_out",
            family_out,
            "chosen on GANs, scored on the rest, and the other way round",
            on_card="scores on the other family of generators",
        ),
        Rule(
            "validation",
            validation,
            "lowest loss on validation pictures",
            on_card="lowest cross-entropy on the validation pictures",
        ),
        Rule("mean", mean, "no choice: the mean over all configurations", names_a_model=False),
        Rule("ensemble", ensemble, "no choice: the mean logit of all configurations", names_a_model=False),
    )
}


def choose(grid: Grid, rule: str, top: int = 1) -> list[dict[str, float | int]]:
    """The configuration that the rule would have one train, then the next best, `top` in all.

    The next best follow by validation loss under `validation`, else by accuracy + AP. Raises `ValueError` for
    a rule that names no model (`mean`, `ensemble`) or cannot be applied here.
    """
    if rule not in RULES or not RULES[rule].names_a_model:
        choices = ", ".join(name for name, each in RULES.items() if each.names_a_model)
        raise ValueError(f"select.rule = {rule!r} names no configuration to train; choose from {choices}")
    outcome = RULES[rule].choose(grid)
    if outcome.model is None:
        raise ValueError(f"select.rule = {rule!r} cannot be applied: {outcome.reason}")
    rank = np.nan_to_num(grid.val_loss, nan=np.inf) if rule == "validation" else -grid.score.mean(axis=1)
    rest = [int(c) for c in np.argsort(rank, kind="stable") if c != outcome.model]
    return [configuration(grid, c) for c in [outcome.model, *rest][:top]]


def configuration(grid: Grid, c: int) -> dict[str, float | int]:
    """Configuration `c` of a grid as plain values, by the names of the params file."""
    row = grid.configurations.iloc[c]
    return {
        "xi": float(row["xi"]),
        "q": int(row["q"]),
        "proj_dim": int(row["d"]),
        "epochs": int(row["epochs"]),
    }
