"""Whatever a picture may be (path, bytes, file, PIL image, array, tensor) to its RGB pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any, cast

import numpy as np
from PIL import Image
from torch import Tensor

from rine import apart, provenance
from rine.apart import Limits
from rine.changes import Cut, cut, cut_file
from rine.pixels.crops import CropRule
from rine.pixels.pictures import UnreadablePicture, load, most_bytes, open_rgb, to_rgb
from rine.provenance import Provenance

# An UnreadablePicture stands for one that is known to be unreadable already, and gets its verdict in its place
Picture = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | np.ndarray | Tensor | UnreadablePicture


def is_one(images: Any) -> bool:
    """Whether this is one picture; else it is several, as an array or a tensor (B, ...) is."""
    if isinstance(images, np.ndarray | Tensor):
        return images.ndim < 4
    return isinstance(images, str | bytes | os.PathLike | Image.Image | UnreadablePicture) or hasattr(images, "read")


def crops_from(
    image: Picture, max_pixels: int, rule: CropRule, size: int, small: str, stable: bool, limits: Limits | None = None
) -> Cut:
    """The crops of a picture, see `rine.changes.cut`; raises as `pixels_of`."""
    how = (rule, size, small, stable)
    if _is_file(image):
        return _apart(image, cut_file, _content(image, max_pixels), max_pixels, *how, limits=limits)
    return cut(pixels_of(image, max_pixels), *how)


def pixels_of(image: Picture, max_pixels: int, limits: Limits | None = None) -> np.ndarray:
    """RGB pixels (H, W, 3), uint8, of a picture; a file is decoded in a process apart, within `apart.Limits`.

    Raises `UnreadablePicture` for a file that has none or more than `max_pixels`, `TypeError` for what is no picture,
    and `ValueError` for an array or a tensor of another shape, type or range.
    """
    if isinstance(image, UnreadablePicture):
        raise image
    if isinstance(image, Image.Image):
        return _from_pil(image, max_pixels)
    if _is_file(image):
        return _apart(image, open_rgb, _content(image, max_pixels), max_pixels, limits=limits)
    if isinstance(image, Tensor):
        return _from_array(image.detach().cpu().numpy(), channels_first=True)
    if isinstance(image, np.ndarray):
        return _from_array(image, channels_first=False)
    raise TypeError(f"a picture is a path, bytes, a PIL image, an array or a tensor; got {type(image).__name__}")


def provenance_of(image: Picture, limits: Limits | None = None) -> Provenance | None:
    """What a file (a path or bytes) says of itself, read in a process apart; None for what is none, or is lost."""
    if not isinstance(image, str | os.PathLike | bytes):
        return None
    try:
        content = image if isinstance(image, bytes) else os.fspath(image)
        return apart.call(provenance.read, content, **(limits or {}))
    except (OSError, apart.Lost):
        return None


def _is_file(image: Any) -> bool:
    return isinstance(image, str | os.PathLike | bytes) or hasattr(image, "read")


def _content(image: Any, max_pixels: int) -> str | bytes:
    """What a process apart can open: a path, or bytes."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return cast(str, os.fspath(image))
    return cast(bytes, image.read(most_bytes(max_pixels) + 1))


def _apart(image: Any, function: Callable[..., Any], *args: Any, limits: Limits | None) -> Any:
    try:
        return apart.call(function, *args, **(limits or {}))
    except apart.Lost as lost:
        raise UnreadablePicture(name_of(image), str(lost)) from lost


def name_of(image: Picture) -> str:
    """What a verdict calls a picture that was given no name."""
    if isinstance(image, UnreadablePicture):
        return image.path
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    name = getattr(image, "filename", "") or getattr(image, "name", "")  # of a PIL image, of an open file
    return name if isinstance(name, str) and name else f"<{type(image).__name__}>"


def _from_pil(image: Image.Image, max_pixels: int) -> np.ndarray:
    """A PIL image as the same picture in a file would be read; one that was opened and not loaded is loaded here."""
    name = name_of(image)
    if image.width * image.height > max_pixels:
        raise UnreadablePicture(name, f"{image.width} x {image.height} pixels are more than the {max_pixels:,} allowed")
    load(image, name)
    return to_rgb(image, name)


def _from_array(values: np.ndarray, channels_first: bool) -> np.ndarray:
    """An array (H, W), (H, W, 1) or (H, W, 3), a tensor with its channels first: uint8, or floats in 0..1."""
    given = values.shape
    if channels_first and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in (1, 3) or 0 in values.shape:
        layout = "(3, H, W), (1, H, W) or (H, W)" if channels_first else "(H, W, 3), (H, W, 1) or (H, W)"
        raise ValueError(f"a picture is {layout}; got shape {given}")
    if np.issubdtype(values.dtype, np.floating):
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # so that a NaN is caught too
            raise ValueError(f"floating-point pictures have values in 0..1; got {low:g} to {high:g}")
        values = np.rint(values * 255)
    elif values.dtype != np.uint8:
        raise ValueError(f"pictures are uint8, or floats in 0..1; got {values.dtype}")
    values = values.astype(np.uint8)
    return values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)
