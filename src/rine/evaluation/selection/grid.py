"""The scores of one grid, laid out for a choice: configurations by generators, means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rine.scores import ImageScores, test_sets_of
from rine.scores.of_runs import accuracy_of_runs, average_precision_of_runs
from rine.scores.table import ScoresError

CONFIGURATION = ("xi", "q", "d", "epochs")


@dataclass(frozen=True)
class Grid:
    """Scores of C configurations on G generators, means over seeds: `acc` and `ap` (C, G), `val_loss` (C,).

    `configurations` has C rows of xi, q, d, epochs. `ensemble` is accuracy and AP (2, G) of the mean logit,
    where there are logits.
    """

    configurations: pd.DataFrame
    generators: tuple[str, ...]
    families: tuple[str, ...]
    acc: np.ndarray
    ap: np.ndarray
    val_loss: np.ndarray
    ensemble: np.ndarray | None = None
    released: tuple[str, ...] = ()  # dates of the generators, 2022-08-22; "" where it is not known

    @property
    def score(self) -> np.ndarray:
        """What the paper ranks by, for each configuration and generator: accuracy + AP, (C, G)."""
        return self.acc + self.ap


def grid_of(
    scores: pd.DataFrame,
    families: Mapping[str, str],
    images: ImageScores | None = None,
    test_sets: pd.DataFrame | None = None,
    released: Mapping[str, str] | None = None,
) -> Grid:
    """Lay out the scores of one study, encoder and setting; `images` and `test_sets` add the ensemble.

    `families`: generator -> family; a generator that it does not name is one's "own". `released`: generator -> date.
    Runs whose generator is "" were scored on no test set. Raises `ScoresError` where the table holds several settings,
    or where a configuration lacks a generator that another has.
    """
    for column in ("study", "training_set", "backbone", "classes", "variant", "fraction"):
        values = scores[column].unique()
        if len(values) != 1:
            raise ScoresError(
                f"column {column}: {list(values)}; a selection is among runs that share it, and needs some"
            )
    keys = list(CONFIGURATION)
    generators = tuple(name for name in scores["generator"].drop_duplicates() if name)
    configurations = scores[keys].drop_duplicates().sort_values(keys).reset_index(drop=True)
    mean = scores.groupby([*keys, "generator"])[["acc", "ap"]].mean()
    each = list(configurations.itertuples(index=False, name=None))
    wanted = pd.MultiIndex.from_tuples([(*row, name) for row in each for name in generators], names=mean.index.names)
    lacking = ~wanted.isin(mean.index)
    if lacking.any():
        *place, generator = wanted[lacking][0]
        named = ", ".join(f"{key} {value}" for key, value in zip(keys, place, strict=True))
        raise ScoresError(f"column generator: no row of {generator} for {named}; needed: one for each configuration")
    laid = mean.loc[wanted].to_numpy().reshape(len(configurations), len(generators), 2)
    # a missing loss stays missing: the mean over seeds must not hide it
    loss = scores.groupby(keys)["val_loss"].agg(lambda values: values.mean(skipna=False)).to_numpy()
    return Grid(
        configurations,
        generators,
        tuple(families.get(name, "own") for name in generators),
        laid[..., 0],
        laid[..., 1],
        loss,
        None if images is None or test_sets is None else _ensemble(images, test_sets, generators),
        tuple((released or {}).get(name, "") for name in generators),
    )


def _ensemble(images: ImageScores, test_sets: pd.DataFrame, generators: Sequence[str]) -> np.ndarray:
    """Accuracy and AP (2, G) of the mean logit over configurations, means over seeds."""
    seeds = images.runs["seed"] if "seed" in images.runs else pd.Series(0, images.runs.index)
    logits = np.stack([images.logits[rows].mean(axis=0) for rows in _indices(seeds)])  # (seeds, N)
    found = {s.generator: s for s in test_sets_of(images.images, test_sets)}
    scores = [
        (
            accuracy_of_runs(found[name].labels, logits[:, found[name].rows]).mean(),
            average_precision_of_runs(found[name].labels, logits[:, found[name].rows]).mean(),
        )
        for name in generators
    ]
    return np.array(scores).T


def _indices(keys: pd.Series) -> list[np.ndarray]:
    """Rows of each value."""
    codes = pd.factorize(keys, use_na_sentinel=False)[0]
    return [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
