"""A decoded picture of any mode to RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

from rine.pixels.pictures.errors import UnreadablePicture, message

_STRIP = 1 << 20  # pixels that are converted at once


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
        reason = f"colour mode {image.mode} cannot be shown as RGB ({message(error)})"
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
