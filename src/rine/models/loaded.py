"""The models that `best` stored, ready to score feature sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rine.heads import Head
from rine.models import checkpoint

# What tells one encoder's tokens from another's in a model file and in a feature set; what is not said is the default
_TOKENS = ("weights", "tap", "token", "blocks", "image_size")


def stored(folders: Sequence[Path], encoder: Mapping[str, Any]) -> tuple[list[Head], pd.DataFrame]:
    """Load every seed of the models in these folders, which bear their names, to score the tokens of this encoder.

    Returns the heads and their rows of the run table, with a column `model`. Raises where a model is missing, and
    `ValueError` for one that was trained on other tokens than the encoder's.
    """
    heads, rows = [], []
    for folder in folders:
        for file in _files(folder):
            head, meta = checkpoint.load(file)
            every = [*range(1, head.config.n_blocks + 1)]  # what is not said of blocks
            trained = meta["encoder"] | {"image_size": meta["transform"]["crop"]}
            theirs, ours = ([made.get(key) for key in _TOKENS] for made in (trained, encoder))
            if [value or every for value in theirs] != [value or every for value in ours]:
                raise ValueError(
                    f"{file} was trained on other tokens than these: it on {_said(trained)}, these are "
                    f"{_said(encoder)}; `rine best {folder.name}` trains it anew"
                )
            heads.append(head)
            rows.append(meta["training"] | {"model": folder.name})
    return heads, table_of(rows)


def _said(encoder: Mapping[str, Any]) -> str:
    said = ", ".join(f"{key} {encoder[key]}" for key in _TOKENS if encoder.get(key) is not None)
    return f"{encoder['name']} ({said})"


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
