"""What the rows are measured on: pictures of waves and noise, and tokens in memory."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from rine.features import table


def picture(seed: int, size: int) -> np.ndarray:
    """Pixels (size, size, 3) that compress about as a photograph does."""
    rng = np.random.default_rng(seed)
    coarse = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)) for n in (4, 16, 64)]
    large = [np.asarray(layer.resize((size, size), Image.Resampling.BICUBIC), np.float32) for layer in coarse]
    noise = rng.standard_normal((size, size, 3), dtype=np.float32) * 3
    return (0.6 * large[0] + 0.25 * large[1] + 0.15 * large[2] + noise).clip(0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    """A picture's file: PNG, or JPEG of quality 95."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"quality": 95} if kind == "JPEG" else {"compress_level": 1}))
    return file.getvalue()


def index(
    root: Path, source: str, n: int, split: str, size: int, first: int = 0, mirrored: bool = False
) -> pd.DataFrame:
    """Write n PNG files, the later half synthetic, and give their table; `mirrored` ones equal their mirror."""
    rows = []
    (root / source).mkdir(parents=True, exist_ok=True)
    for i in range(n):
        pixels = picture(first + i, size)
        if mirrored:
            pixels[:, size // 2 :] = pixels[:, : size // 2][:, ::-1]
        data, path = encoded(pixels, "PNG"), f"{source}/{i:05d}.png"
        (root / path).write_bytes(data)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        rows.append([path, int(2 * i >= n), source, "", split, size, size, "PNG", "RGB", digest, "centre"])
    return pd.DataFrame(rows, columns=list(table.INDEX))


class Tokens:
    """Random tokens (N, L, D) float16 in memory, one view a picture; half of the pictures are synthetic."""

    def __init__(self, n: int, n_blocks: int, width: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.values = torch.randn(n, n_blocks, width, generator=generator).half()
        digests = [f"{i:06d}" for i in range(n)]
        self.rows = pd.DataFrame({"source": "", "label": np.arange(n) % 2, "path": digests, "digest": digests})
        self.rows["view"] = "0"
        self.n_blocks, self.width = n_blocks, width

    def tokens(self, index: np.ndarray) -> Tensor:
        return self.values[torch.from_numpy(index)]
