"""The index tables that `prepare` writes: one row a picture that can be read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

COLUMNS = ("path", "label", "source", "category", "split", "width", "height", "format", "mode", "digest")
INDEX = (*COLUMNS, "crops")  # the last: what of a test picture is judged, see `rine.pixels.crops`
PICTURE = ("source", "label", "path")  # what names a picture: one file may stand in several sources, as either label


def read(file: Path) -> pd.DataFrame:
    """Read a table back with its types: a digest of digits stays text, and so does a class named "null"."""
    return pd.read_csv(
        file,
        dtype={column: str for column in INDEX if column not in {"label", "width", "height"}},
        keep_default_na=False,
    )
