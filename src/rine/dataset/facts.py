"""What one picture is: digest, size, format, JPEG quality, perceptual hash; or why it is none."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from rine.dataset import told
from rine.pixels.pictures import UnreadablePicture, load, opened, read, to_rgb

# The standard luminance table, ITU-T T.81 (1992) table K.1, in natural order
STANDARD_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
HASH_SIDE = 8
# grey levels: a thumbnail with less between its darkest and brightest cell has no hash worth comparing
FLATTEST = 8


class Facts(NamedTuple):
    """The facts of a file that could be read as a picture."""

    digest: str  # blake2b of the file's bytes, 16 bytes as hex
    bytes: int
    width: int  # of the pixels that later stages see
    height: int
    format: str  # PIL's: JPEG, PNG
    mode: str  # PIL's, as stored: RGB, P, CMYK
    jpeg_quality: int | None
    jpeg_standard: bool | None  # the table is exactly libjpeg's at that quality
    exif: bool  # in the header
    dhash: str  # 32 hex, "" where the picture is too flat to have one


class Skipped(NamedTuple):
    """Why a file is no picture."""

    reason: str


def examine_all(paths: Sequence[Path], max_pixels: int, said: Sequence[str] | None = None) -> list[Facts | Skipped]:
    """`examine` each: of one piece of a data set, which is then open but once."""
    return [examine(path, max_pixels, text) for path, text in zip(paths, said or [""] * len(paths), strict=True)]


def examine(path: Path, max_pixels: int, said: str = "") -> Facts | Skipped:
    """Read and fully decode one picture; never raises for what is wrong with the picture itself.

    `said` is what a list says of its file (`rine.dataset.told`), or nothing.
    """
    if path.is_symlink() and not path.exists():
        return Skipped("a link that leads nowhere")
    try:
        content = read(str(path), max_pixels)  # once: a file that changes meanwhile is one or the other
        if reason := told.refusal(said, content):
            return Skipped(reason)
        with opened(content, max_pixels) as image:
            kind, mode, exif = str(image.format), image.mode, bool(image.info.get("exif"))
            tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
            load(image, str(path))
            pixels = to_rgb(image, str(path))  # (H, W, 3)
        del image  # Pillow's copy of the pixels, before the next is made
    except UnreadablePicture as error:
        return Skipped(error.reason)
    except OSError as error:
        return Skipped(f"cannot be read ({error.strerror or error})")
    # the luminance table is the first, which need not be number 0
    quality, standard = jpeg_quality(tuple(tables[min(tables)])) if tables else (None, None)
    return Facts(
        digest=hashlib.blake2b(content, digest_size=16).hexdigest(),
        bytes=len(content),
        width=pixels.shape[1],
        height=pixels.shape[0],
        format=kind,
        mode=mode,
        jpeg_quality=quality,
        jpeg_standard=standard,
        exif=exif,
        dhash=dhash(Image.fromarray(pixels)),
    )


@functools.lru_cache(maxsize=1024)
def jpeg_quality(table: tuple[int, ...]) -> tuple[int, bool]:
    """Quality 1..100 whose libjpeg luminance table is nearest (L1) to `table`, and whether it is that table.

    Cameras and Photoshop bring tables of their own; for them the number is the nearest, not what was set.
    """
    distances = [sum(abs(a - b) for a, b in zip(table, _scaled(q), strict=True)) for q in range(1, 101)]
    nearest = min(distances)
    # at the low end several qualities share a table; the highest of them stands for all
    return 100 - distances[::-1].index(nearest), nearest == 0


@functools.cache
def _scaled(quality: int) -> tuple[int, ...]:
    """libjpeg's `jpeg_quality_scaling` and `jpeg_add_quant_table` with a baseline limit."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((value * scale + 50) // 100, 1), 255) for value in STANDARD_LUMINANCE)


def dhash(image: Image.Image) -> str:
    """128-bit difference hash: is each cell of an 8 x 9 (9 x 8) grey thumbnail brighter than its neighbour?

    64 bits across and 64 down: smooth pictures agree by chance in one direction far more often than in both.
    """
    grey = image.convert("L")
    across = np.asarray(grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX))  # (8, 9)
    down = np.asarray(grey.resize((HASH_SIDE, HASH_SIDE + 1), Image.Resampling.BOX))  # (9, 8)
    if int(across.max()) - int(across.min()) < FLATTEST:
        return ""
    bits = np.stack([across[:, :-1] > across[:, 1:], down[:-1] > down[1:]])
    return np.packbits(bits).tobytes().hex()
