"""Folders of pictures to tokens in memory: for work in Python, without a study and its store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from rine.dataset.facts import Skipped, examine
from rine.dataset.listing import pictures_in
from rine.encoder import Encoder
from rine.features import COLUMNS, Features
from rine.pixels.pictures import MAX_PIXELS, open_rgb
from rine.pixels.transforms import centre_crop
from rine.progress import progress

_NAMED = 10  # files that an error names


def encode(
    encoder: Encoder,
    real: Path | str | None = None,
    fake: Path | str | None = None,
    split: str = "test",
    max_pixels: int = MAX_PIXELS,
) -> Features:
    """Tokens of the centre crop of every picture in a folder of real and one of synthetic pictures, and below them.

    Rows are sorted by label and path; their `source` is the folder's name, their split is `split` (train, val or test).
    Raises `FileNotFoundError` for a folder without pictures, and `ValueError` that names files that cannot be read.
    """
    folders = [(Path(folder), label) for label, folder in enumerate((real, fake)) if folder is not None]
    files = []
    for folder, label in folders:
        names = pictures_in(folder, "")
        if not names:
            raise FileNotFoundError(f"{folder} holds no pictures")
        files += [(folder, name, label) for name in names]
    rows: list[list[Any]] = []
    wrong: list[str] = []
    crops: list[np.ndarray] = []
    tokens: list[np.ndarray] = []
    with progress(len(files), "pictures", "encode") as bar:
        for folder, name, label in files:
            fact = examine(folder / name, max_pixels)
            if isinstance(fact, Skipped):
                wrong.append(f"{folder / name}: {fact.reason}")
                continue
            about = [fact.width, fact.height, fact.format, fact.mode, fact.digest]
            rows.append([str(folder / name), label, folder.name, "", split, *about, "0", "", len(rows)])
            crops.append(centre_crop(open_rgb(folder / name, max_pixels), encoder.image_size))
            if len(crops) == encoder.micro_batch:
                tokens.append(encoder.encode(torch.from_numpy(np.stack(crops))).numpy())
                crops = []
            bar.advance(1)
    if wrong:
        more = f"\n  and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise ValueError("files that cannot be read; move them away:\n  " + "\n  ".join(wrong[:_NAMED]) + more)
    if crops:
        tokens.append(encoder.encode(torch.from_numpy(np.stack(crops))).numpy())
    about_set: dict[str, Any] = {"encoder": {"name": encoder.config.name} | encoder.describe()}
    about_set |= {"n_blocks": encoder.n_blocks, "width": encoder.width}
    n, table = len(rows), pd.DataFrame(rows, columns=list(COLUMNS))
    return Features(table, about_set, [np.concatenate(tokens)], np.zeros(n, int), np.arange(n))
