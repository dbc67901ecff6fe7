"""The models that `best` stored, ready to score feature sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rine.heads import Head
from rine.models import checkpoint


def stored(folder: Path, models: Mapping[str, str], training_set: str | None = None) -> tuple[list[Head], pd.DataFrame]:
    """Load every seed of the named models (name -> training set), those of one training set where it is given.

    Returns the heads and their rows of the run table, with a column `model`. Raises where a model is missing.
    """
    heads, rows = [], []
    for model, trained_on in models.items():
        if training_set not in {None, trained_on}:
            continue
        files = _files(folder / model)
        for file in files:
            head, meta = checkpoint.load(file)
            heads.append(head)
            rows.append(meta["training"] | {"model": model})
    return heads, table_of(rows)


def table_of(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Rows of checkpoints as a run table (`n_classes` is empty for the LDM model)."""
    table = pd.DataFrame(list(rows))
    table["n_classes"] = table["n_classes"].astype("Int64")
    table["fraction"] = table["fraction"].astype("Float64")
    return table


def _files(folder: Path) -> list[Path]:
    first = folder / "model.safetensors"
    if not first.is_file():
        raise FileNotFoundError(f"{first} is missing: `rine best {folder.name}` makes it")
    return [first, *sorted(folder.glob("model-seed*.safetensors"))]
