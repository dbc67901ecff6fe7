"""Every kind of picture as bytes, by name: the same bytes each time, in a second or two, none above a megabyte."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image
from pillow_jxl import JpegXLImagePlugin  # Pillow has JXL then

assert JpegXLImagePlugin
WIDTH, HEIGHT = 70, 50
# name -> (Pillow's format, options, suffix)
FORMATS = {
    "jpeg": ("JPEG", {"quality": 90}, "jpg"),
    "progressive": ("JPEG", {"quality": 90, "progressive": True}, "jpg"),
    "png": ("PNG", {}, "png"),
    "webp": ("WEBP", {}, "webp"),
    "lossless": ("WEBP", {"lossless": True}, "webp"),
    "gif": ("GIF", {}, "gif"),
    "bmp": ("BMP", {}, "bmp"),
    "tiff": ("TIFF", {}, "tif"),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}, "tif"),
    "avif": ("AVIF", {"speed": 10}, "avif"),
    "jp2": ("JPEG2000", {}, "jp2"),
    "ppm": ("PPM", {}, "ppm"),
    "jxl": ("JXL", {"use_container": True}, "jxl"),
}
CUTS = (0.02, 0.15, 0.4, 0.7, 0.97)
MODES = {
    "jpeg": ("L", "CMYK", "YCbCr"),
    "png": ("1", "L", "LA", "P", "RGBA", "I;16"),
    "webp": ("L", "RGBA"),
    "gif": ("1", "L", "P"),
    "bmp": ("1", "L", "P", "RGBA"),
    "tiff": ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"),
    "avif": ("L", "RGBA"),
    "jp2": ("L", "LA", "RGBA", "I;16"),
    "ppm": ("1", "L", "I;16"),
    "jxl": ("L", "RGBA"),
}
HUGE = 30_000  # pixels a side: 900 million of them


def photo() -> Image.Image:
    """A picture with shapes and grain."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    grain = rng.integers(-9, 10, (HEIGHT, WIDTH, 3))
    pixels = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) + grain
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    kind, usual, _ = FORMATS[name]
    file = BytesIO()
    image.save(file, kind, **{**usual, **options})
    return file.getvalue()


def good() -> bytes:
    return encoded(photo(), "png")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, rows: bytes | None = None) -> bytes:
    """A PNG by hand; by default of as many black rows as its header says."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)
    if rows is None:
        rows = (b"\0" + bytes((width * channels * depth + 7) // 8)) * height
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body


def tiff(entries: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """A little-endian TIFF of (tag, type, count, value) entries; the data starts at byte 8 + 2 + 12 n + 4."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + data


def grey_tiff(width: int, height: int, data: bytes, **tags: int) -> bytes:
    """A plain grey TIFF; `tags` are t262=..., of type long."""
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: len(data)}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    entries[273] = entries[273] or 8 + 2 + 12 * len(entries) + 4
    return tiff([(tag, 4, 1, value) for tag, value in sorted(entries.items())], data)


def kinds() -> dict[str, bytes]:
    """Name (with its suffix) -> bytes."""
    made: dict[str, bytes] = {}
    for make in (cut, modes, turned, animated, palettes, tables, metadata, bombs, lies, noise, others):
        for name, content in make():
            assert name not in made, name
            made[name] = content
    return made


Kinds = Iterator[tuple[str, bytes]]


def cut() -> Kinds:
    for name, (_, _, suffix) in FORMATS.items():
        data = encoded(photo(), name)
        yield f"whole-{name}.{suffix}", data
        for share in CUTS:
            yield f"cut-{name}-{share}.{suffix}", data[: int(len(data) * share)]
        yield f"tail-{name}.{suffix}", data + bytes(range(256)) * 4


def modes() -> Kinds:
    image = photo()
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(image.size))
    grey = np.asarray(image.convert("L"))
    wide = {
        "I;16": Image.fromarray(grey.astype(np.uint16) * 257),
        "I": Image.fromarray(grey.astype(np.int32) * 1000),
        "F": Image.fromarray(grey.astype(np.float32) / 255),
        "LAB": Image.merge("LAB", image.split()),
        "RGBA": alpha,
        "LA": alpha.convert("LA"),
    }
    for name, of_format in MODES.items():
        for mode in of_format:
            made = wide[mode] if mode in wide else image.convert(mode)
            yield f"mode-{name}-{mode.replace(';', '')}.{FORMATS[name][2]}", encoded(made, name)
    for bits in (1, 2, 4, 8, 16):
        yield f"depth-grey-{bits}.png", png(9, 7, depth=bits, colour=0)
    for colour in (2, 4, 6):
        yield f"depth-16-colour-{colour}.png", png(9, 7, depth=16, colour=colour)
    numbers = np.array([[np.nan, np.inf], [-np.inf, 1e38]], np.float32)
    yield "mode-not-finite.tif", encoded(Image.fromarray(numbers), "tiff")
    yield "mode-negative.tif", encoded(Image.fromarray(np.array([[-(2**31), 2**31 - 1]], np.int32)), "tiff")


def turned() -> Kinds:
    for orientation in (*range(1, 9), 0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for name in ("jpeg", "tiff", "png"):
            yield f"turned-{name}-{orientation}.{FORMATS[name][2]}", encoded(photo(), name, exif=exif)


def animated() -> Kinds:
    frames = [photo().rotate(angle) for angle in (90, 180)]
    for name in ("gif", "webp", "png", "tiff", "avif"):
        data = encoded(photo(), name, save_all=True, append_images=frames)
        yield f"animated-{name}.{FORMATS[name][2]}", data
        yield f"animated-cut-{name}.{FORMATS[name][2]}", data[: len(data) * 2 // 3]


def palettes() -> Kinds:
    yield "palette-missing.png", png(9, 7, colour=3)
    yield "palette-short.png", png(9, 7, chunk(b"PLTE", bytes(6)), colour=3, rows=(b"\0" + b"\xff" * 9) * 7)
    yield "palette-odd.png", png(9, 7, chunk(b"PLTE", bytes(7)), colour=3)
    yield "palette-long.png", png(9, 7, chunk(b"PLTE", bytes(3 * 300)), colour=3)
    yield "palette-transparent.png", png(9, 7, chunk(b"PLTE", bytes(6)), chunk(b"tRNS", bytes(300)), colour=3)
    yield "palette-of-letters.ppm", b"Py P\n9 7\n255\n" + bytes(63 * 3)
    yield "palette-of-letters-2.ppm", b"PyP 9 7 255\n" + bytes(63 * 3)
    yield "palette-missing.tif", grey_tiff(9, 7, bytes(63), t262=3)
    data = bytearray(encoded(photo().convert("P"), "gif"))
    data[10] &= 0x7F  # there is no global colour table, says the header
    yield "palette-missing.gif", bytes(data)
    data = bytearray(encoded(photo().convert("P"), "bmp"))
    data[46:50] = struct.pack("<I", 0xFFFF)
    yield "palette-endless.bmp", bytes(data)


def segments(data: bytes) -> list[bytes]:
    """A JPEG's segments up to its scan, and all that follows as the last."""
    parts, at = [data[:2]], 2
    while data[at + 1] != 0xDA:
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append(data[at : at + length])
        at += length
    return [*parts, data[at:]]


def tables() -> Kinds:
    parts = segments(encoded(photo(), "jpeg", subsampling=0))
    first = next(i for i, part in enumerate(parts) if part[1] == 0xDB)
    frame = next(i for i, part in enumerate(parts) if part[1] == 0xC0)
    # legal: the first table is number 2, and the luminance says that it is
    moved, header = bytearray(parts[first]), bytearray(parts[frame])
    assert (moved[4], header[12]) == (0, 0)
    moved[4], header[12] = 2, 2
    yield (
        "tables-first-is-2.jpg",
        b"".join([*parts[:first], moved, *parts[first + 1 : frame], header, *parts[frame + 1 :]]),
    )
    wide = bytearray(parts[first])
    wide[4] |= 0x10  # 16 bits a value, says the header
    yield "tables-wide.jpg", b"".join([*parts[:first], wide, *parts[first + 1 :]])
    for kind, marker in (("quantisation", 0xDB), ("huffman", 0xC4), ("frame", 0xC0)):
        yield f"tables-no-{kind}.jpg", b"".join(part for part in parts if part[1] != marker)
        doubled = [part for part in parts for _ in range(2 if part[1] == marker else 1)]
        yield f"tables-twice-{kind}.jpg", b"".join(doubled)
    for kind, marker in (("lossless", 0xC3), ("arithmetic", 0xC9), ("differential", 0xC5)):
        other = bytearray(parts[frame])
        other[1] = marker
        yield f"frame-{kind}.jpg", b"".join([*parts[:frame], other, *parts[frame + 1 :]])
    for name, at, value in (
        ("12-bit", 4, 12),
        ("no-components", 9, 0),
        ("five-components", 9, 5),
        ("zero-sampling", 11, 0),
    ):
        other = bytearray(parts[frame])
        other[at] = value
        yield f"frame-{name}.jpg", b"".join([*parts[:frame], other, *parts[frame + 1 :]])
    for width, height in ((0, 50), (70, 0), (71, 5000), (65535, 65535), (60000, 1000)):
        other = bytearray(parts[frame])
        other[5:9] = struct.pack(">HH", height, width)
        yield f"frame-{width}x{height}.jpg", b"".join([*parts[:frame], other, *parts[frame + 1 :]])


def metadata() -> Kinds:
    yield "exif-broken.jpg", encoded(photo(), "jpeg", exif=b"Exif\0\0II*\0" + b"\xff" * 300)
    yield "exif-large.jpg", encoded(photo(), "jpeg", exif=b"Exif\0\0" + bytes(65_000))
    yield "exif-broken.png", encoded(photo(), "png", exif=b"II*\0\xff\xff\xff\xff")
    yield "exif-broken.webp", encoded(photo(), "webp", exif=b"\xff" * 99)
    for name in ("jpeg", "png", "webp", "tiff"):
        yield f"profile-broken-{name}.{FORMATS[name][2]}", encoded(photo(), name, icc_profile=b"\xffno profile" * 99)
    yield "profile-large.jpg", encoded(photo(), "jpeg", icc_profile=bytes(900_000))
    for kind in (b"zTXt", b"iTXt", b"iCCP"):
        head = b"key\0\1\0\0\0" if kind == b"iTXt" else b"key\0\0"
        bomb = chunk(kind, head + zlib.compress(bytes(50_000_000)))
        yield f"text-bomb-{kind.decode()}.png", png(9, 7, bomb)
    yield "text-long.png", png(9, 7, chunk(b"tEXt", b"key\0" + b"x" * 900_000))
    yield "text-escapes.png", png(9, 7, chunk(b"tEXt", b"Title\0\x1b[31m<script>alert(1)</script>"))
    yield "chunks-many.png", png(9, 7, *[chunk(b"tEXt", b"k\0v")] * 20_000)
    yield "chunks-unknown.png", png(9, 7, chunk(b"abCD", bytes(99)))
    yield "chunks-wrong-sum.png", png(9, 7, chunk(b"gAMA", bytes(4))[:-1] + b"\xff")
    yield "chunks-no-pixels.png", png(9, 7).replace(b"IDAT", b"iDAT")
    yield "chunks-cHRM.png", png(9, 7, chunk(b"cHRM", bytes(3)))
    yield "chunks-pHYs.png", png(9, 7, chunk(b"pHYs", b""))
    yield "chunks-acTL.png", png(9, 7, chunk(b"acTL", struct.pack(">II", 2**31, 0)))
    yield "xmp-bomb.jpg", encoded(photo(), "jpeg", xmp=b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>")


def bombs() -> Kinds:
    """Small files of very many pixels."""
    yield "bomb.png", png(HUGE, HUGE, rows=bytes(10_000))
    yield "bomb-grey.png", png(100_000, 9_000, colour=0, rows=bytes(10_000))
    gif = bytearray(encoded(photo(), "gif"))
    gif[6:10] = struct.pack("<HH", HUGE, HUGE)
    yield "bomb.gif", bytes(gif)
    bmp = bytearray(encoded(photo(), "bmp"))
    bmp[18:26] = struct.pack("<ii", HUGE, HUGE)
    yield "bomb.bmp", bytes(bmp)
    yield (
        "bomb-rle.bmp",
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 62, 0, 62, 40, HUGE, HUGE, 1, 8, 1, 0, 0, 0, 2, 0) + bytes(8),
    )
    yield "bomb.tif", grey_tiff(HUGE, HUGE, bytes(99))
    yield "bomb.ppm", b"P6 30000 30000 255\n" + bytes(99)
    yield "bomb-digits.ppm", b"P6 " + b"9" * 400 + b" 7 255\n" + bytes(99)
    webp = bytearray(encoded(photo(), "lossless"))
    webp[21:25] = b"\xff\xff\xff\x0f"  # 16,384 pixels a side
    yield "bomb.webp", bytes(webp)
    jp2 = bytearray(encoded(photo(), "jp2"))
    at = jp2.index(b"ihdr") + 4
    jp2[at : at + 8] = struct.pack(">II", HUGE, HUGE)
    yield "bomb.jp2", bytes(jp2)
    at = jp2.index(b"\xff\x51") + 6
    jp2[at : at + 8] = struct.pack(">II", HUGE, HUGE)
    yield "bomb-twice.jp2", bytes(jp2)
    jxl = bytearray(encoded(photo(), "jxl"))
    at = jxl.index(b"\xff\x0a") + 2
    jxl[at : at + 5] = (3 << 1 | (2**30 - 1) << 3 | 1 << 33).to_bytes(5, "little")  # 2**30 pixels high, and as wide
    yield "bomb.jxl", bytes(jxl)
    yield "thin-wide.png", png(200_000, 3, colour=0)
    yield "thin-high.png", png(3, 200_000, colour=0)
    yield "one-pixel.png", png(1, 1)


def lies() -> Kinds:
    """Headers that promise what is not there, and formats within formats."""
    yield "lie-zero.png", png(0, 0)
    yield "lie-minus.png", png(2**31 + 5, 9, rows=bytes(99))
    yield "lie-colour.png", png(9, 7, colour=5)
    yield "lie-depth.png", png(9, 7, depth=3)
    yield "lie-rows.png", png(9, 700, rows=bytes(99))
    yield "lie-filter.png", png(9, 7, rows=(b"\x09" + bytes(27)) * 7)
    yield "lie-deflate.png", png(9, 7).replace(b"\x78\x9c", b"\x78\x9d", 1)
    yield "lie-strip.tif", grey_tiff(9, 7, bytes(63), t273=2**31)
    yield "lie-strip-size.tif", grey_tiff(9, 7, bytes(63), t279=2**31)
    yield "lie-bits.tif", grey_tiff(9, 7, bytes(63), t258=77)
    yield "lie-samples.tif", grey_tiff(9, 7, bytes(63), t277=200)
    yield "lie-compression.tif", grey_tiff(9, 7, bytes(63), t259=31337)
    yield "lie-jpeg.tif", grey_tiff(9, 7, bytes(63), t259=7)
    yield "lie-deflate.tif", grey_tiff(9, 7, bytes(63), t259=8)
    yield "lie-fax.tif", grey_tiff(9, 7, bytes(63), t259=4, t258=1)
    yield "lie-tile.tif", grey_tiff(9, 7, bytes(63), t322=1 << 20, t323=1 << 20, t324=8, t325=63)
    yield "lie-directory.tif", b"II*\0" + struct.pack("<I", 2**31)
    yield "lie-loop.tif", b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8)
    yield "lie-tags.tif", tiff([(256, 3, 1, 9), (257, 12, 2**30, 7)])
    yield "lie-no-tags.tif", tiff([])
    yield "lie-offset.bmp", encoded(photo(), "bmp")[:10] + b"\xff\xff\xff\x7f" + encoded(photo(), "bmp")[14:]
    yield "lie-header.bmp", b"BM" + bytes(12) + struct.pack("<I", 77) + bytes(80)
    yield (
        "lie-minus.bmp",
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, -9, 7, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(300),
    )
    yield "lie-maximum.ppm", b"P5 9 7 0\n" + bytes(63)
    yield "lie-maximum-large.ppm", b"P5 9 7 99999\n" + bytes(126)
    yield "lie-comment.ppm", b"P5 " + b"#" * 90_000
    yield "lie-words.ppm", b"P3 9 7 255\n" + b"red green blue " * 63
    yield "lie-minus.ppm", b"P3 2 1 255\n-1 2 3 4 5 6"
    yield "plain.ppm", b"P3 9 7 255\n" + b"1 2 3 " * 63
    yield "plain-slow.ppm", b"P3 300 300 255\n" + b"1 " * 270_000
    yield "lie-frame.gif", b"GIF89a\x09\0\x07\0\0\0\0,\0\0\0\0\x09\0\x07\0\0\x0c\0"
    yield "lie-block.gif", b"GIF89a\x09\0\x07\0\x80\0\0" + bytes(6) + b",\0\0\0\0\x09\0\x07\0\0\x02\xff\x84"
    yield "lie-no-frame.gif", b"GIF89a\x09\0\x07\0\x80\0\0" + bytes(6) + b";"
    yield (
        "lie-frame-outside.gif",
        b"GIF89a\x09\0\x07\0\x80\0\0" + bytes(6) + b",\xff\x7f\xff\x7f\x09\0\x07\0\0\x02\x02\x44\x01\0;",
    )
    yield "lie-riff.webp", b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\x7f" + bytes(99)
    yield "lie-box.avif", encoded(photo(), "avif").replace(b"iloc", b"ilox")
    yield "lie-box.jp2", encoded(photo(), "jp2").replace(b"jp2c", b"jp2x")
    yield "lie-box-endless.jp2", encoded(photo(), "jp2")[:12] + struct.pack(">I4sQ", 1, b"ftyp", 2**62) + bytes(99)


def noise() -> Kinds:
    """A few bytes of each format's header replaced by others."""
    for name, (_, _, suffix) in FORMATS.items():
        data, rng = encoded(photo(), name), random.Random(name)
        for turn in range(4):
            broken = bytearray(data)
            for _ in range(5):
                broken[rng.randrange(8, min(len(data), 300))] = rng.randrange(256)
            yield f"noise-{name}-{turn}.{suffix}", bytes(broken)


def others() -> Kinds:
    """What is no picture, whatever it is called."""
    yield "empty.jpg", b""
    yield "zeros.jpg", bytes(5000)
    yield "text.jpg", b"This is no picture.\n"
    yield "page.jpg", b"<!DOCTYPE html><script>alert(1)</script>"
    yield "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    yield "document.png", b"%PDF-1.7\n" + bytes(99)
    yield "script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    yield "metafile.jpg", b"\xd7\xcd\xc6\x9a" + bytes(99)
    yield "archive.jpg", b"PK\3\4" + bytes(99)
    yield "pickle.jpg", b"\x80\x04cos\nsystem\n(S'true'\ntR."
    yield "program.png", b"\x7fELF" + bytes(99)
    yield "icon.ico", b"\0\0\1\0\1\0" + bytes(99)
    yield "phone.heic", b"\0\0\0\x18ftypheic" + bytes(99)
    yield "marker.jpg", b"\xff\xd8\xff"
    yield "signature.png", b"\x89PNG\r\n\x1a\n"
    yield "png-called.jpg", good()
    yield "jpeg-called.png", encoded(photo(), "jpeg")
    yield "picture-in-page.png", good() + b"<script>alert(1)</script>"
    yield "page-before.png", b"<html>" + good()
