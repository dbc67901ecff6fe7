"""Picture files to RGB pixels, and a plain reason for each file that has none.

Pixels are those of Pillow's `Image.open(path).convert("RGB")`, on which the published heads were trained.
Where Pillow would clip or drop something (16 bits, floats, transparency) the picture is shown as a viewer
would show it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from rine.apart import bounds

Source = str | PathLike[str] | bytes | IO[bytes]

# Raster formats that pictures are published in. Pillow would also open EPS and WMF, which run an interpreter,
# and formats without a signature, which match anything.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")


MOST_SIDE = 65_500  # pixels; JPEG, through which pictures are sent to perturb them, has no longer side
_LONGEST = 200  # characters of what a decoder says
_STRIP = 1 << 20  # pixels that are converted at once


class UnreadablePicture(ValueError):
    """A file that has no pixels to offer: `path` names it, `reason` says why in plain words."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # both, so that it survives the way back from a worker process
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def open_rgb(source: Source, max_pixels: int) -> np.ndarray:
    """Decode a picture (a path, a file's bytes or an open binary file) to uint8 (H, W, 3).

    Of an animation the first frame counts; transparency lies over white; 16 bits are scaled to 8. The EXIF
    orientation of a JPEG is not applied, since the reference does not apply it either. Raises
    `UnreadablePicture`, and nothing else but `MemoryError`, for a file that cannot be read or has more than
    `max_pixels` pixels, which is found from the header, before any are decoded.
    """
    with opened(source, max_pixels) as image:
        load(image, name_of(source))
        return to_rgb(image, name_of(source))


def read(path: str | PathLike[str], max_pixels: int) -> bytes:
    """A file's content; raises `UnreadablePicture`, also for one larger than a picture of so many pixels need be."""
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
    with _stream(source, name, max_pixels) as stream, _pillow_settings(max_pixels):
        try:
            # Pillow's decoders of these two take a picture's memory when they are opened
            bounds.reserve(min(bounds.announced(stream), max_pixels), _length(stream))
            image = Image.open(stream, formats=_formats())
        except UnidentifiedImageError as error:
            raise UnreadablePicture(name, _unidentified(stream)) from error
        except Image.DecompressionBombError as error:
            raise UnreadablePicture(name, f"more than the {max_pixels:,} pixels that are allowed") from error
        except MemoryError:
            raise
        except Exception as error:  # decoders answer broken data with nearly any exception
            raise UnreadablePicture(name, f"its header is broken ({_words(error)})") from error
        with image:
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
        words = _words(error)
        cut = isinstance(error, EOFError) or "truncated" in words.lower()
        reason = f"the file is cut short ({words})" if cut else f"its pixels cannot be decoded ({words})"
        raise UnreadablePicture(name, reason) from error


def name_of(source: Source) -> str:
    """How messages call a source."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, str | PathLike):
        return str(source)
    return str(getattr(source, "name", "<stream>"))


def to_rgb(image: Image.Image, name: str) -> np.ndarray:
    """A loaded picture of any mode as uint8 (H, W, 3), writable; raises `UnreadablePicture`."""
    try:
        pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
        # in strips, so that what is made on the way is small beside the picture
        strips = [(top, min(top + _rows(image), image.height)) for top in range(0, image.height, _rows(image))]
        wide = image.mode.startswith("I") or image.mode == "F"
        peak = max(_finite(_strip(image, *strip)).max() for strip in strips) if wide else 0
        for top, bottom in strips:
            strip = _strip(image, top, bottom)
            pixels[top:bottom] = _eight_bits(_finite(strip), strip.mode, peak) if wide else _colours(strip)
        return pixels
    except MemoryError:
        raise
    except Exception as error:  # of a palette that is missing, say
        reason = f"colour mode {image.mode} cannot be shown as RGB ({_words(error)})"
        raise UnreadablePicture(name, reason) from error


def _rows(image: Image.Image) -> int:
    return max(_STRIP // max(image.width, 1), 1)


def _strip(image: Image.Image, top: int, bottom: int) -> Image.Image:
    whole = (top, bottom) == (0, image.height)
    return image if whole else image.crop((0, top, image.width, bottom))


def _colours(image: Image.Image) -> np.ndarray:
    """A picture of 8 bits a channel to RGB (H, W, 3)."""
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        image = converted
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _finite(image: Image.Image) -> np.ndarray:
    """Grey values (H, W) of one of Pillow's wide modes; a NaN is black."""
    values = np.asarray(image)
    return np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0) if image.mode == "F" else values


def _eight_bits(values: np.ndarray, mode: str, peak: float) -> np.ndarray:
    """Grey values (H, W) of Pillow's wide modes to uint8 (H, W, 1); its own `convert` clips them at 255.

    `I;16` holds 16 bits. `I` holds 16 or 32: a picture whose largest value, `peak`, fits into 16 is taken to be of 16.
    Floats are in 0..1 or, where one is larger, in 0..255.
    """
    if mode == "F":
        scaled = values * 255.0 if peak <= 1 else values
    else:
        bits = 16 if peak < 2**16 else 31  # one of the 32 is the sign
        scaled = values.astype(np.float64) * (255.0 / (2**bits - 1))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)[:, :, None]


@contextmanager
def _stream(source: Source, name: str, max_pixels: int) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        stream: IO[bytes] = BytesIO(source)
    elif isinstance(source, str | PathLike):
        stream = _open_file(Path(source), name)
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


def _too_long(length: int, max_pixels: int) -> str:
    most = most_bytes(max_pixels) / 1e6
    return f"{length / 1e6:,.0f} MB are more than the {most:,.0f} MB that a file of {max_pixels:,} pixels may have"


def _formats() -> tuple[str, ...]:
    Image.init()
    # AVIF and JPEG 2000 depend on how Pillow was built
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _unidentified(stream: IO[bytes]) -> str:
    stream.seek(0)
    if not stream.read(1):
        return "the file is empty"
    return f"not a picture in a format that is read ({', '.join(_formats())})"


def _words(error: Exception) -> str:
    """What a decoder says, for a line of a terminal: it may quote the file."""
    words = str(error).strip() or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in words)[:_LONGEST]


_settings_lock = threading.Lock()
_settings_users: list[int] = []  # the limit of each picture that is open now
_settings_before: list[Any] = []  # what the last of them restores


@contextmanager
def _pillow_settings(max_pixels: int) -> Iterator[None]:
    """Pillow with known settings while a picture is open, whatever the process has set; then as before.

    Pillow's limit, its leniency with truncated files and Python's warning filters are global, and
    `catch_warnings` is not safe among threads, so that the first of several pictures open at once saves them
    and the last restores them.
    """
    with _settings_lock:
        if not _settings_users:
            caught = warnings.catch_warnings()
            caught.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
            _settings_before[:] = [caught, Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _settings_users.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_settings_users)
    try:
        yield
    finally:
        with _settings_lock:
            _settings_users.remove(max_pixels)
            if not _settings_users:
                caught, Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = _settings_before
                caught.__exit__(None, None, None)
