"""Score feature sets with many heads in one pass over the tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rine.features import table
from rine.features.table import PICTURE
from rine.heads.head import Head
from rine.heads.tokens import TokenSet, ahead
from rine.progress import progress
from rine.scores import IMAGE_COLUMNS, ImageScores

_ROWS_PER_BATCH = 512  # fixed, since a product's last bits can depend on the number of rows


@torch.inference_mode()
def logits(heads: Sequence[Head], features: TokenSet, device: str) -> np.ndarray:
    """Logits (K, N) float32 of K heads for N rows, in one pass over the tokens."""
    scores = np.empty((len(heads), len(features.rows)), np.float32)
    heads = [head.to(device).eval() for head in heads]
    for rows, tokens in _passes(features, device, f"scoring with {len(heads)} heads"):
        for k, head in enumerate(heads):
            scores[k, rows] = head(tokens)[0].cpu().numpy()
    return scores


def score(heads: Sequence[Head], runs: pd.DataFrame, sets: Sequence[TokenSet], device: str) -> ImageScores:
    """Score every picture of the feature sets with each head; a picture with several crops gets their mean logit.

    `runs` has a row for each head.
    """
    images, values = [], []
    for features in sets:
        rows, means = mean_over_views(features.rows[IMAGE_COLUMNS], logits(heads, features, device))
        images.append(rows)
        values.append(means)
    return ImageScores(runs, table.joined(images), np.concatenate(values, axis=1))


@torch.inference_mode()
def embeddings(head: Head, features: TokenSet, device: str) -> np.ndarray:
    """Embeddings z (N, P) float32 of N rows."""
    head = head.to(device).eval()
    parts = [head(tokens)[1].cpu().numpy() for _, tokens in _passes(features, device, "embedding")]
    return np.concatenate(parts) if parts else np.empty((0, head.config.proj_dim), np.float32)


def mean_tokens(features: TokenSet) -> Tensor:
    """Mean token of each block (L, D) float32 over all rows: the baseline of an ablation of blocks."""
    sums = torch.zeros(features.n_blocks, features.width, dtype=torch.float64)
    for _, tokens in _passes(features, "cpu", "mean of the tokens"):
        sums += tokens.sum(0, dtype=torch.float64)
    return (sums / max(len(features.rows), 1)).float()


def block_shares(head: Head, blocks: Sequence[int] | None = None) -> pd.DataFrame:
    """For each block the share of embedding dimensions in which its importance is the largest.

    `blocks` are the blocks' numbers in the tower; by default those from 1.
    """
    largest = head.importance().argmax(dim=0).cpu().numpy()
    shares = np.bincount(largest, minlength=head.config.n_blocks) / len(largest)
    return pd.DataFrame({"block": blocks or range(1, len(shares) + 1), "share": shares})


def _passes(features: TokenSet, device: str, title: str) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Row numbers and tokens (B, L, D) float32 of a feature set, a batch at a time."""
    n = len(features.rows)
    parts = [np.arange(start, min(start + _ROWS_PER_BATCH, n)) for start in range(0, n, _ROWS_PER_BATCH)]
    with progress(n, "picture", title) as bar:
        for rows, tokens in zip(parts, ahead(features.tokens, parts), strict=True):
            yield rows, tokens.to(device).float()
            bar.advance(len(rows))


def mean_over_views(rows: pd.DataFrame, values: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Mean of the logits (K, N) over the views of each picture: M rows, one a picture, and values (K, M).

    The ten-crop rule: the mean of the ten logits, then the sigmoid. Pictures keep the order of their first
    rows.
    """
    first, picture = np.unique(table.firsts(rows, PICTURE), return_inverse=True)
    if len(first) == len(rows):  # one view each: no second table
        return rows.reset_index(drop=True), values
    counts = np.bincount(picture)
    means = np.empty((len(values), len(counts)), np.float32)
    for mean, row in zip(means, values, strict=True):
        mean[:] = np.bincount(picture, weights=row, minlength=len(counts)) / counts  # summed in float64
    return rows.iloc[first].reset_index(drop=True), means
