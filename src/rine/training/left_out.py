"""What to leave out of the training data: each family, and all that came later; and the test sets that tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
import pandas as pd

from rine.scores.left_out import COLUMNS, SLIDING

# what is left out, the name of the rows that remain, the test sets that runs on these are scored on
_Part = tuple[str, str, list[str]]


def left_out(
    by: Collection[str], training: pd.DataFrame, test_sets: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, frozenset[str]]]:
    """Which test sets to score with runs on which rows, and for each name of rows the sources that they lack.

    `training` has the columns source, family and released, `test_sets` generator, family and released. By `family`:
    each family that has a test set, where there is another to learn from; `without:gan`. By `released`: what came from
    a date on, and what has no date; `before:2022-08-22`. It is scored on what was released from then on. The rows of
    `SLIDING` have each test set once, with what was released before it.
    """
    parts = [(kind, *part) for kind in by for part in KINDS[kind](training, test_sets)]
    rows = [(kind, name, key, generator) for kind, name, key, generators in parts for generator in generators]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table, {key: _lacking(key, training) for key in table["rows"].unique() if key}


def _lacking(key: str, training: pd.DataFrame) -> frozenset[str]:
    kind, _, name = key.partition(":")
    dated = training["released"] != ""
    lacking = {
        "without": training["family"] == name,
        "before": ~dated | (training["released"] >= name),
        "dated": ~dated,
    }
    return frozenset(training.loc[lacking[kind], "source"])


def _families(training: pd.DataFrame, test_sets: pd.DataFrame) -> Iterator[_Part]:
    families = list(dict.fromkeys(training["family"]))
    for family in families if len(families) > 1 else ():
        yield family, f"without:{family}", test_sets.loc[test_sets["family"] == family, "generator"].tolist()


def _dates(training: pd.DataFrame, test_sets: pd.DataFrame) -> Iterator[_Part]:
    dates = sorted({*training["released"]} - {""})
    for date in dates[1:]:
        yield date, f"before:{date}", test_sets.loc[test_sets["released"] >= date, "generator"].tolist()
    if len(dates) > 1:
        newest = "dated" if (training["released"] == "").any() else ""
        keys = np.array(["", *(f"before:{date}" for date in dates[1:]), newest])
        # the first of the dates that is not before its own, which is the place of its key too
        place = np.searchsorted(dates, test_sets["released"].tolist())
        for generator, key in zip(test_sets["generator"][place > 0], keys[place[place > 0]], strict=True):
            yield SLIDING, str(key), [str(generator)]


KINDS: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame], Iterator[_Part]]] = {"family": _families, "released": _dates}
