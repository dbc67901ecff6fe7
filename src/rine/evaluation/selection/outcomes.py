"""How configurations are chosen: a function each, from a grid to what the chosen ones score.

The paper reports the best of 48 configurations by their scores on the very test sets (`paper`). What the
chosen one will score on a generator that nobody has seen is another number: `leave_one_generator_out`,
`leave_one_family_out`, `family_out` and `past_to_future` estimate it, by choosing on some generators and scoring on
others. All work on a scores table alone; only `ensemble` needs logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rine.evaluation.selection.grid import Grid


@dataclass(frozen=True)
class Outcome:
    """What a rule gives: accuracy and AP by generator (G,); `used`, the configuration behind each (-1: none).

    `model` is the configuration that the rule would have one train and use, None where it names none. A generator that
    the rule scores nothing on is NaN; where it cannot be applied all are, and `reason` says why.
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


def none(grid: Grid, reason: str) -> Outcome:
    """Of a rule that cannot be applied."""
    empty = np.full(len(grid.generators), np.nan)
    return Outcome(empty, empty, np.full(len(grid.generators), -1), None, reason)


def paper(grid: Grid) -> Outcome:
    """The highest mean accuracy + mean AP over the test sets, scored on those same sets, as published."""
    return _fixed(grid, _best(grid.score.mean(axis=1)))


def leave_one_generator_out(grid: Grid) -> Outcome:
    """For each generator the configuration that is best on all others. The model: the most frequent one."""
    n = len(grid.generators)
    if n < 2:
        return none(grid, f"{n} generator; leaving one out needs two")
    others = grid.score.sum(axis=1, keepdims=True) - grid.score  # (C, G)
    used = others.argmax(axis=0)
    return _chosen(grid, used, _most_frequent(grid, used))


def leave_one_family_out(grid: Grid) -> Outcome:
    """For each family, whatever it is called, the configuration that is best on all others. The model: as above."""
    families = list(dict.fromkeys(grid.families))
    if len(families) < 2:
        return none(grid, f"one family, {', '.join(families)}; leaving one out needs two")
    folds = np.array([families.index(family) for family in grid.families])
    best = np.array([_best(grid.score[:, folds != fold].mean(axis=1)) for fold in range(len(families))])
    return _chosen(grid, best[folds], _most_frequent(grid, best))


def _most_frequent(grid: Grid, used: np.ndarray) -> int:
    """The configuration that most folds used; among those that win equally often, the better on all generators."""
    wins = np.bincount(used, minlength=len(grid.score))
    return int(np.lexsort((-grid.score.mean(axis=1), -wins))[0])


def family_out(grid: Grid) -> Outcome:
    """Chosen on GANs, scored on the rest, and the other way round. The model: the one chosen on GANs.

    The paper's two groups; `leave_one_family_out` takes families as they come.
    """
    gan = np.array([family == "gan" for family in grid.families])
    if gan.all() or not gan.any():
        which = "all" if gan.all() else "none"
        return none(grid, f"{which} of the {len(gan)} generators are of the family gan, which it sets against the rest")
    on_gans = _best(grid.score[:, gan].mean(axis=1))
    on_rest = _best(grid.score[:, ~gan].mean(axis=1))
    return _chosen(grid, np.where(gan, on_rest, on_gans), on_gans)


def past_to_future(grid: Grid) -> Outcome:
    """For each generator the configuration that is best on those that were released before it; the first has none.

    The model: the best on all that are dated, for what comes next.
    """
    dated = np.array([bool(date) for date in grid.released])
    if len({date for date in grid.released if date}) < 2:
        return none(grid, f"{dated.sum()} of {len(dated)} generators have a date (`released`); two dates are needed")
    used = np.full(len(dated), -1)
    for g in np.flatnonzero(dated):
        before = dated & (np.array(grid.released) < grid.released[g])
        if before.any():
            used[g] = _best(grid.score[:, before].mean(axis=1))
    each, later = np.arange(len(dated)), used >= 0
    acc, ap = (np.where(later, values[used, each], np.nan) for values in (grid.acc, grid.ap))
    undated = [name for name, there in zip(grid.generators, dated, strict=True) if not there]
    reason = f"without a date, and left out: {', '.join(undated)}" if undated else ""
    return Outcome(acc, ap, used, _best(grid.score[:, dated].mean(axis=1)), reason)


def validation(grid: Grid) -> Outcome:
    """The lowest loss on the validation pictures. Among equals the first in the order of xi, q, d, epochs."""
    has_loss = np.isfinite(grid.val_loss)
    if not has_loss.any():
        return none(grid, "no validation set: no configuration has a validation loss")
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
        return none(grid, "needs the logit of each picture; a scores file has only means")
    return Outcome(grid.ensemble[0], grid.ensemble[1], np.full(len(grid.generators), -1), None)
