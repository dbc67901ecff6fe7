"""The models that `best` stored, ready to score feature sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rine.heads import Head
from rine.models import checkpoint


def stored(folders: Sequence[Path]) -> tuple[list[Head], pd.DataFrame]:
    """Load every seed of the models in these folders, which bear their names.

    Returns the heads and their rows of the run table, with a column `model`. Raises where a model is missing.
    """
    heads, rows = [], []
    for folder in folders:
        for file in _files(folder):
            head, meta = checkpoint.load(file)
            heads.append(head)
            rows.append(meta["training"] | {"model": folder.name})
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
