"""Small pictures inside parquet files, zips and tars, as data sets are distributed."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def encoded(seed: int, kind: str = "PNG", size: tuple[int, int] = (40, 32)) -> bytes:
    """A picture's file: smooth noise that the seed decides."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def write_zip(file: Path, members: Mapping[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    return file


def write_tar(file: Path, members: Mapping[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as out:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            out.addfile(about, BytesIO(data))
    return file


def write_parquet(
    file: Path, cells: Sequence[bytes | None], column: str = "image", rows: int = 3, plain: bool = False, **others: Any
) -> Path:
    """A table with so many rows a row group; pictures as Hugging Face's Image, or `plain` as bytes alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    images: list[Any] = list(cells) if plain else [{"bytes": cell, "path": f"{i}.png"} for i, cell in enumerate(cells)]
    pq.write_table(pa.table({column: images, **others}), file, row_group_size=rows)
    return file
