"""Where pictures lie in a head's space of embeddings, drawn on a plane by t-SNE."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rine.features import Features
from rine.features.table import PICTURE, firsts
from rine.heads import Head
from rine.heads.scoring import embeddings
from rine.params import ValidateConfig

COLUMNS = ["x", "y", "group", "generator"]


def plane(head: Head, test: Features, test_sets: pd.DataFrame, config: ValidateConfig, device: str) -> pd.DataFrame:
    """t-SNE of the embeddings z of some test pictures of each group (real, gan, ...): columns x, y, group, generator.

    Which pictures are drawn depends on `tsne_seed` alone. Fewer than three have no plane, nor do those that all lie in
    one place, as with a head that learnt nothing: the table is empty.
    """
    from sklearn.manifold import TSNE

    test = test.select(firsts(test.rows, PICTURE) == np.arange(len(test)))  # of several crops the first
    family = test_sets[test_sets["fake"] != ""].set_index("fake")["family"]
    group = np.where(test.rows["label"] == 0, "real", test.rows["source"].map(family).fillna("own"))
    drawn = _some_of_each(group, config.tsne_pictures, config.tsne_seed)
    if len(drawn) < 3:
        return pd.DataFrame(columns=COLUMNS)
    z = embeddings(head, test.select(np.isin(np.arange(len(group)), drawn)), device)
    if not np.ptp(z, axis=0).any():  # scikit-learn would divide by their spread, and crash
        return pd.DataFrame(columns=COLUMNS)
    perplexity = min(config.tsne_perplexity, (len(drawn) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=config.tsne_seed)
    xy = tsne.fit_transform(z.astype(np.float64)).round(4)
    generators = test.rows["source"].to_numpy()[drawn]
    return pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "group": group[drawn], "generator": generators})


def _some_of_each(group: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Row numbers, in their order, of at most so many rows of each group."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(group == name))[:most] for name in sorted(set(group))]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, int)
