"""Open pictures within the limits on their size; one that cannot be read is an `UnreadablePicture`.

A path may be an address of `rine.pixels.pictures.containers`: a picture inside an archive or a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from rine.apart import bounds
from rine.pixels.pictures import containers
from rine.pixels.pictures.errors import UnreadablePicture, message
from rine.pixels.pictures.places import place
from rine.pixels.pictures.rgb import to_rgb
from rine.pixels.pictures.settings import pillow_settings

Source = str | PathLike[str] | bytes | IO[bytes]

# Raster formats that pictures are published in. Pillow would also open EPS and WMF, which run an interpreter,
# and formats without a signature, which match anything.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "HEIF", "JXL")

MAX_PIXELS = 100_000_000  # of a picture, where nothing else is asked for: 300 MB decoded
MOST_SIDE = 65_500  # pixels; JPEG, through which pictures are sent to perturb them, has no longer side


def open_rgb(source: Source, max_pixels: int) -> np.ndarray:
    """Decode a picture (a path, a file's bytes or an open binary file) to uint8 (H, W, 3).

    Of an animation the first frame counts (one in JPEG XL is refused); transparency lies over white; 16 bits are
    scaled to 8. The EXIF orientation of a JPEG is not applied, since the reference does not apply it either. Raises
    `UnreadablePicture`, and nothing else but `MemoryError`, for a file that cannot be read or has more than
    `max_pixels` pixels, which is found from the header, before any are decoded.
    """
    with opened(source, max_pixels) as image:
        load(image, name_of(source))
        return to_rgb(image, name_of(source))


def read(path: str | PathLike[str], max_pixels: int) -> bytes:
    """The content of a picture's file, or of its place in one.

    Raises `UnreadablePicture`, also for one larger than a picture of so many pixels need be.
    """
    name = name_of(path)
    with _stream(path, name, max_pixels) as stream:
        length = _length(stream)
        bounds.reserve(0, length)
        content = stream.read(length + 1)
    if len(content) != length:
        raise UnreadablePicture(name, "it changed while it was read")
    return content


def most_bytes(max_pixels: int) -> int:
    """The largest file that is looked into: four channels of 16 bits, and room for what comes with them."""
    return 8 * max_pixels + (64 << 20)


@contextmanager
def opened(source: Source, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """An open Pillow picture whose header is read and whose size is allowed; closed after the block."""
    name = name_of(source)
    with _stream(source, name, max_pixels) as stream, pillow_settings(max_pixels):
        try:
            # decoders of some formats take a picture's memory when they are opened
            if (pixels := bounds.announced(stream)) > max_pixels:
                raise Image.DecompressionBombError
            bounds.reserve(pixels, _length(stream))
            image = Image.open(stream, formats=_formats())
        except UnidentifiedImageError as error:
            raise UnreadablePicture(name, _unidentified(stream)) from error
        except Image.DecompressionBombError as error:
            raise UnreadablePicture(name, f"more than the {max_pixels:,} pixels that are allowed") from error
        except MemoryError:
            raise
        except Exception as error:  # decoders answer broken data with nearly any exception
            raise UnreadablePicture(name, f"its header is broken ({message(error)})") from error
        with image:
            if image.format == "JXL" and _animated(stream):
                raise UnreadablePicture(name, "an animated JPEG XL; allowed: one of a single picture")
            width, height = image.size
            if width * height > max_pixels:
                reason = f"{width} x {height} pixels are more than the {max_pixels:,} that are allowed"
                raise UnreadablePicture(name, reason)
            if max(width, height) > MOST_SIDE:
                raise UnreadablePicture(name, f"{width} x {height} pixels: a side may have {MOST_SIDE:,}")
            bounds.reserve(width * height, _length(stream))
            yield image


def load(image: Image.Image, name: str) -> None:
    """Decode the pixels of an `opened` picture; raises `UnreadablePicture`."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders answer broken data with nearly any exception
        text = message(error)
        cut = isinstance(error, EOFError) or "truncated" in text.lower()
        reason = f"the file is cut short ({text})" if cut else f"its pixels cannot be decoded ({text})"
        raise UnreadablePicture(name, reason) from error


def name_of(source: Source) -> str:
    """How messages call a source."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, str | PathLike):
        return str(source)
    return str(getattr(source, "name", "<stream>"))


@contextmanager
def _stream(source: Source, name: str, max_pixels: int) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        stream: IO[bytes] = BytesIO(source)
    elif isinstance(source, str | PathLike):
        inside = containers.content(name, most_bytes(max_pixels))
        stream = _open_file(place(source), name) if inside is None else BytesIO(inside)
    else:
        stream = source if source.seekable() else BytesIO(source.read(most_bytes(max_pixels) + 1))
    try:
        if (length := _length(stream)) > most_bytes(max_pixels):
            raise UnreadablePicture(name, _too_long(length, max_pixels))
        yield stream
    finally:
        if stream is not source:
            stream.close()


def _open_file(path: Path, name: str) -> IO[bytes]:
    try:
        # To open a pipe would wait for ever; and a folder may well be called x.jpg
        if path.is_file() or not path.exists():
            return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise UnreadablePicture(name, getattr(error, "strerror", None) or str(error)) from error
    raise UnreadablePicture(name, "a folder, not a file" if path.is_dir() else "not a regular file")


def _length(stream: IO[bytes]) -> int:
    """Bytes of a file, whose place in it stays."""
    here = stream.tell()
    length = stream.seek(0, 2)
    stream.seek(here)
    return length


def _animated(stream: IO[bytes]) -> bool:
    """Whether a JPEG XL file is an animation, of which its decoder gives the last frame."""
    stream.seek(0)
    return bounds.jxl(stream)[1]


def _too_long(length: int, max_pixels: int) -> str:
    most = most_bytes(max_pixels) / 1e6
    return f"{length / 1e6:,.0f} MB are more than the {most:,.0f} MB that a file of {max_pixels:,} pixels may have"


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener(thumbnails=False)
    with suppress(ImportError):
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = 0  # it decodes in a process apart, beside others
    # AVIF and JPEG 2000 depend on how Pillow was built, HEIC and JPEG XL on whether their packages are there
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _unidentified(stream: IO[bytes]) -> str:
    stream.seek(0)
    if not stream.read(1):
        return "the file is empty"
    return f"not a picture in a format that is read ({', '.join(_formats())})"
