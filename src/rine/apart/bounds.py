"""How much memory a picture takes at most, said before it is taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

FREE = 96 << 20  # bytes that a call apart may take without asking


def reserve(pixels: int, file: int) -> None:
    """Say that a picture of so many pixels, in a file of so many bytes, is about to be decoded.

    In a process apart this waits until there is memory for it, and lets the process take no more.
    """
    if ask is not None:
        ask(memory_for(pixels, file))


ask: Callable[[int], None] | None = None  # of a process apart


def memory_for(pixels: int, file: int) -> int:
    """Bytes that decoding and showing a picture takes at most, whatever its format, with those of its file."""
    return 24 * pixels + 2 * file + FREE


def announced(stream: IO[bytes]) -> int:
    """Pixels that a WebP, AVIF or HEIC file announces; of others 0, which tell before they take memory."""
    here = stream.tell()
    head = stream.read(1 << 16)
    stream.seek(here)
    if head[4:8] == b"ftyp" and any(brand in head[8:40] for brand in (b"avi", b"hei", b"mif1")):
        # of the picture, of its alpha, of its tiles
        sizes = [head[at.end() + 4 : at.end() + 12] for at in re.finditer(b"ispe", head)]
        return max((int.from_bytes(s[:4]) * int.from_bytes(s[4:]) for s in sizes), default=0)
    if head[:4] + head[8:12] != b"RIFFWEBP":
        return 0
    if head[12:16] == b"VP8X":
        return (1 + int.from_bytes(head[24:27], "little")) * (1 + int.from_bytes(head[27:30], "little"))
    bits = int.from_bytes(head[21:25], "little") if head[12:16] == b"VP8L" else int.from_bytes(head[26:30], "little")
    shift = 14 if head[12:16] == b"VP8L" else 16
    return (1 + (bits & 0x3FFF)) * (1 + (bits >> shift & 0x3FFF))
