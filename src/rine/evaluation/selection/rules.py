"""The selection rules: each is one record in `RULES`, with the words that the page and model cards say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rine.evaluation.selection.grid import Grid
from rine.evaluation.selection.outcomes import (
    Outcome,
    ensemble,
    family_out,
    leave_one_family_out,
    leave_one_generator_out,
    mean,
    none,
    paper,
    past_to_future,
    validation,
)

ONE_CLASS = "no test set has pictures of both classes"


@dataclass(frozen=True)
class Rule:
    """A selection rule: how it chooses, what it does in the words of the page, and whether it names one model.

    One that names none (`mean`, `ensemble`) is reported beside the others, but there is nothing to train by it.
    `on_card` says the same on the card of a model that was chosen so, for those who use it; by default `words`.
    One that looks `by_tests` gives nothing in a study whose test sets are of one class.
    """

    name: str
    choose: Callable[[Grid], Outcome]
    words: str
    names_a_model: bool = True
    on_card: str = ""
    by_tests: bool = True

    def outcome(self, grid: Grid) -> Outcome:
        """What the rule gives, or why it cannot be applied."""
        return self.choose(grid) if grid.generators or not self.by_tests else none(grid, ONE_CLASS)


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
            "leave_one_family_out",
            leave_one_family_out,
            "chosen on all other families, scored on the one left out",
            on_card="scores on all families of generators but the one that is scored",
        ),
        Rule(
            "family_out",
            family_out,
            "chosen on GANs, scored on the rest, and the other way round",
            on_card="scores on the other family of generators",
        ),
        Rule(
            "past_to_future",
            past_to_future,
            "chosen on the generators released before the one that is scored; the earliest are not scored",
            on_card="scores on generators that were released before",
        ),
        Rule(
            "validation",
            validation,
            "lowest loss on validation pictures",
            on_card="lowest cross-entropy on the validation pictures",
            by_tests=False,
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
    outcome = RULES[rule].outcome(grid)
    if outcome.model is None:
        raise ValueError(f"select.rule = {rule!r} cannot be applied: {outcome.reason}")
    by_tests = RULES[rule].by_tests
    rank = -grid.score.mean(axis=1) if by_tests else np.nan_to_num(grid.val_loss, nan=np.inf)
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
