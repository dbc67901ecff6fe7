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
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

Source = str | PathLike[str] | bytes | IO[bytes]

# Raster formats that pictures are published in. Pillow would also open EPS and WMF, which run an interpreter,
# and formats without a signature, which match anything.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")


class UnreadablePicture(ValueError):
    """A file that has no pixels to offer: `path` names it, `reason` says why in plain words."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # both, so that it survives the way back from a worker process
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class PictureInfo:
    """What a file's header says; width and height in pixels, format and mode in Pillow's words."""

    width: int
    height: int
    format: str
    mode: str


def open_rgb(source: Source, max_pixels: int) -> np.ndarray:
    """Decode a picture (a path, a file's bytes or an open binary file) to uint8 (H, W, 3).

    Of an animation the first frame counts; transparency lies over white; 16 bits are scaled to 8. The EXIF
    orientation of a JPEG is not applied, since the reference does not apply it either. Raises
    `UnreadablePicture`, and nothing else, for a file that cannot be read or has more than `max_pixels`
    pixels, which is found from the header, before any are decoded.
    """
    with opened(source, max_pixels) as image:
        load(image, name_of(source))
        return to_rgb(image, name_of(source))


def probe(source: Source, max_pixels: int, decode: bool = True) -> PictureInfo:
    """What a picture is; with `decode`, also that its pixels are all there. Raises `UnreadablePicture`."""
    with opened(source, max_pixels) as image:
        size, kind, mode = image.size, str(image.format), image.mode
        if decode:
            # An eighth of the size reads the whole stream, so that a truncated file is found, at half the
            # cost
            if kind == "JPEG":
                image.draft("L", (1, 1))
            load(image, name_of(source))
            if kind != "JPEG":
                size = image.size  # Pillow turns a TIFF by its orientation when it loads it
        return PictureInfo(*size, kind, mode)


@contextmanager
def opened(source: Source, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """An open Pillow picture whose header is read and whose size is allowed; closed after the block."""
    name = name_of(source)
    with _stream(source, name) as stream, _pillow_settings(max_pixels):
        try:
            image = Image.open(stream, formats=_formats())
        except UnidentifiedImageError as error:
            raise UnreadablePicture(name, _unidentified(stream)) from error
        except Image.DecompressionBombError as error:
            raise UnreadablePicture(name, f"more than the {max_pixels:,} pixels that are allowed") from error
        except Exception as error:  # decoders answer broken data with nearly any exception
            raise UnreadablePicture(name, f"its header is broken ({_words(error)})") from error
        with image:
            width, height = image.size
            if width * height > max_pixels:
                reason = f"{width} x {height} pixels are more than the {max_pixels:,} that are allowed"
                raise UnreadablePicture(name, reason)
            yield image


def load(image: Image.Image, name: str) -> None:
    """Decode the pixels of an `opened` picture; raises `UnreadablePicture`."""
    try:
        image.load()
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
    """A loaded picture of any mode as uint8 (H, W, 3), writable."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = _eight_bits(np.asarray(image), image.mode)  # (H, W)
        return np.repeat(grey[:, :, None], 3, axis=2)
    try:
        if image.mode == "LAB":
            lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
            assert converted is not None
            image = converted
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        if image.mode != "RGB":
            image = image.convert("RGB")
    except (ValueError, ImageCms.PyCMSError) as error:
        raise UnreadablePicture(name, f"colour mode {image.mode} cannot be shown as RGB") from error
    return np.array(image)


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey values of Pillow's wide modes to uint8 of the same shape; its own `convert` clips them at 255.

    `I;16` holds 16 bits. `I` holds 16 or 32: a file whose values all fit into 16 is taken to be of 16. Floats
    are in 0..1 or, where one is larger, in 0..255; a NaN is black.
    """
    if mode == "F":
        values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        scaled = values * 255.0 if values.max() <= 1 else values
    else:
        bits = 16 if values.max() < 2**16 else 31  # one of the 32 is the sign
        scaled = values.astype(np.float64) * (255.0 / (2**bits - 1))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


@contextmanager
def _stream(source: Source, name: str) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield BytesIO(source)
    elif isinstance(source, str | PathLike):
        try:
            path = Path(source)
            # To open a pipe would wait for ever; and a folder may well be called x.jpg
            stream = path.open("rb") if path.is_file() or not path.exists() else None
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            raise UnreadablePicture(name, getattr(error, "strerror", None) or str(error)) from error
        if stream is None:
            raise UnreadablePicture(name, "a folder, not a file" if path.is_dir() else "not a regular file")
        with stream:
            yield stream
    else:
        yield source if source.seekable() else BytesIO(source.read())


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
    return str(error).strip() or type(error).__name__


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
