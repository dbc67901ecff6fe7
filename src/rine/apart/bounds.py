"""How much memory a picture takes at most, said before it is taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

FREE = 96 << 20  # bytes that a call apart may take without asking
_JXL = 32  # bytes of a JPEG XL codestream in which all that is looked for is said


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
    """Pixels that a WebP, AVIF, HEIC or JPEG XL file announces; of others 0, which tell before they take memory."""
    here = stream.tell()
    head = stream.read(1 << 16)
    stream.seek(here)
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return jxl(stream)[0]
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


def jxl(stream: IO[bytes]) -> tuple[int, bool]:
    """Pixels of a JPEG XL file, 0 where it does not say so, and whether it is an animation."""
    here = stream.tell()
    head = stream.read(_JXL)
    stream.seek(here)
    header = _header(head if head[:1] == b"\xff" else _codestream(stream))
    stream.seek(here)
    return header


def _codestream(stream: IO[bytes]) -> bytes:
    """How the codestream of a JPEG XL file of boxes begins; its stream is at the first box."""
    while len(box := stream.read(16)) == 16:
        length = int.from_bytes(box[:4])
        length, header = (int.from_bytes(box[8:]), 16) if length == 1 else (length, 8)
        stream.seek(header - 16, 1)
        if box[4:8] in {b"jxlc", b"jxlp"}:
            return stream.read(_JXL + 4)[4 * (box[4:8] == b"jxlp") :]  # the number of a part comes first
        if length < header:
            break
        stream.seek(length - header, 1)
    return b""


def _header(codestream: bytes) -> tuple[int, bool]:
    """What the headers of size and metadata of a JPEG XL codestream say (ISO 18181-1, annex D)."""
    if codestream[:2] != b"\xff\x0a":
        return 0, False
    bits, at = int.from_bytes(codestream[2:], "little"), 0

    def read(n: int) -> int:
        nonlocal at
        at += n
        return bits >> (at - n) & ((1 << n) - 1)

    def size() -> int:
        small = read(1)
        side = lambda: 8 * (read(5) + 1) if small else read((9, 13, 18, 30)[read(2)]) + 1  # noqa: E731
        height, ratio = side(), read(3)
        if not ratio:
            return height * side()
        above, below = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * (height * above // below)

    pixels = size()
    if read(1) or not read(1):  # all as it is by default, or no extra fields
        return pixels, False
    read(3)  # orientation
    if read(1):
        size()  # that it was made for
    return pixels, bool(not read(1) and read(1))  # with a preview, which nobody writes, it is not looked for
