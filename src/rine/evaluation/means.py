"""Metrics of test sets, and their means over the generators of a family and over all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from rine.evaluation.metrics import evaluate
from rine.scores.calibration import Calibration


def metrics_table(
    sets: Iterable[tuple[str, str, np.ndarray, np.ndarray]], calibration: Calibration | None = None
) -> pd.DataFrame:
    """Metrics of test sets (generator, family, labels, logits): by generator, family and overall.

    Columns level ("generator", "family", "overall"), name, metric, value, reason. A family's
    value is the mean over its generators, as in the paper's tables, and so is the overall one: each generator
    counts the same.
    """
    rows = []
    for generator, family, labels, logits in sets:
        for metric, (value, reason) in evaluate(labels, logits, calibration).items():
            rows.append((generator, family, metric, value, reason))
    columns = ["name", "family", "metric", "value", "reason"]
    each = pd.DataFrame(rows, columns=columns).astype({"value": float})
    families = [_means(part, "family", str(name)) for name, part in each.groupby("family", sort=False)]
    overall = [_means(each, "overall", "")] if len(each) else []
    table = pd.concat([each.assign(level="generator"), *families, *overall], ignore_index=True)
    return table[["level", "name", "metric", "value", "reason"]]


def _means(part: pd.DataFrame, level: str, name: str) -> pd.DataFrame:
    """Means over generators, of those that have the metric; the reason says which have not."""
    rows = []
    for metric, group in part.groupby("metric", sort=False):
        without = group.loc[group["value"].isna(), "name"]
        value = group["value"].mean() if len(without) < len(group) else None
        reason = f"without {', '.join(without)}: {group['reason'][without.index[0]]}" if len(without) else ""
        rows.append((level, name, metric, value, reason))
    columns = ["level", "name", "metric", "value", "reason"]
    return pd.DataFrame(rows, columns=columns).astype({"value": float})
