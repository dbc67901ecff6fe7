"""What is done to pixels before the encoder sees them: crops, the training augmentation, and its draws.

Pictures are uint8 (H, W, 3) in and out; the encoder normalises. Every draw comes from a generator that
`rng_for` makes from a seed and names, so that it depends on the picture alone, never on worker, batch or
order.
"""

from __future__ import annotations

from hashlib import blake2b
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

if TYPE_CHECKING:
    from rine.pixels.config import AugmentationConfig

_TRUNCATE = 4.0  # standard deviations at which SciPy cuts a Gaussian off, unless told otherwise
_MCU = 16  # pixels a side of the block that JPEG with halved chroma codes as one


def rng_for(seed: int, *keys: object) -> np.random.Generator:
    """A generator decided by the seed and the keys alone, say a picture's digest and the number of a view.

    Keys count by their text: the view 3 of a program and the view "3" of a table are the same.
    """
    text = "\0".join(str(part) for part in (seed, *keys))
    entropy = int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=entropy))


def centre_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The (size, size) in the middle, as torchvision's CenterCrop: smaller pictures are padded with black."""
    image = pad(image, size)
    # round, not floor: torchvision rounds half to even, so that an odd margin may lie on either side
    top, left = (round((side - size) / 2) for side in image.shape[:2])
    # a copy: a view would keep the whole picture in memory
    return image[top : top + size, left : left + size].copy()


def ten_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Corners and centre, then those of the mirrored picture, in torchvision's order: (10, size, size, 3).

    A picture smaller than `size` is padded as for the centre crop, where torchvision raises.
    """
    image = pad(image, size)
    height, width = image.shape[:2]
    crops = []
    for picture in (image, image[:, ::-1]):
        for top, left in ((0, 0), (0, width - size), (height - size, 0), (height - size, width - size)):
            crops.append(picture[top : top + size, left : left + size])
        crops.append(centre_crop(picture, size))
    return np.stack(crops)


def pad(image: np.ndarray, size: int) -> np.ndarray:
    """Black borders to at least `size` a side; of an odd number the bottom and the right get one more."""
    missing = [max(size - side, 0) for side in image.shape[:2]]
    if not any(missing):
        return image
    return np.pad(image, [(n // 2, (n + 1) // 2) for n in missing] + [(0, 0)])


def enlarged(image: np.ndarray, size: int) -> np.ndarray:
    """A picture whose shorter side is under `size` brought to it, by bicubic interpolation; a larger one as it is."""
    return fitted(image, size) if min(image.shape[:2]) < size else image


def fitted(image: np.ndarray, size: int) -> np.ndarray:
    """A picture whose shorter side is brought to `size`, by bicubic interpolation."""
    height, width = scaled_to((image.shape[0], image.shape[1]), size)
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def scaled_to(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Height and width of a picture (H, W) whose shorter side is brought to `size`."""
    factor = size / min(shape)
    return max(size, round(shape[0] * factor)), max(size, round(shape[1] * factor))


def augment(image: np.ndarray, rng: np.random.Generator, config: AugmentationConfig, size: int) -> np.ndarray:
    """A view of a training picture: blur, JPEG, random crop of `size`, random flip (section 4 of the paper).

    Equal to doing each to the whole picture in turn; but what the crop does not show is left out. `reference`
    mode draws the JPEG quality from the two ends of its range only, as the published code does. That code
    also draws between Pillow and OpenCV to write the JPEG; here it is always Pillow: both are libjpeg with
    the same tables and halved chroma, and gave the same pixels where compared (OpenCV 5.0). A picture smaller
    than `size` is padded as for the centre crop, where that code fails.
    """
    # All draws, always, and before any work: a view's crop does not depend on whether it is blurred
    chances, fractions = rng.random(3), rng.random(4)
    low, high = config.blur_sigma
    sigma = low + (high - low) * fractions[0] if chances[0] < config.blur_p else 0.0
    low, high = config.jpeg_quality
    ends = (low, high) if config.mode == "reference" else range(low, high + 1)
    quality = ends[int(fractions[1] * len(ends))] if chances[1] < config.jpeg_p else None
    tops, lefts = (max(side - size, 0) + 1 for side in image.shape[:2])
    top, left = int(fractions[2] * tops), int(fractions[3] * lefts)

    rows, columns = slice(top, top + size), slice(left, left + size)
    if quality is not None:
        rows, columns = _coded(rows, image.shape[0]), _coded(columns, image.shape[1])
    part = blurred(image, sigma, rows, columns) if sigma > 0 else image[rows, columns]
    if quality is not None:
        top, left = top - rows.start, left - columns.start
        part = jpeg(part, quality)[top : top + size, left : left + size]
    view = pad(part, size)
    return np.ascontiguousarray(view[:, ::-1] if chances[2] < 0.5 else view)


def blurred(image: np.ndarray, sigma: float, rows: slice, columns: slice) -> np.ndarray:
    """`image[rows, columns]` of the picture blurred as SciPy's `gaussian_filter` blurs each uint8 channel.

    SciPy cuts the fraction off after each of the two passes, so that the published heads were trained on
    pictures about one level darker where blurred: kept. A pixel depends on its neighbours up to the kernel's
    radius and on the reflection at the picture's border, so that a margin of that radius gives the same
    values.
    """
    radius = int(_TRUNCATE * sigma + 0.5)
    height, width = image.shape[:2]
    rows, columns = slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))
    top, left = max(rows.start - radius, 0), max(columns.start - radius, 0)
    part = image[top : min(rows.stop + radius, height), left : min(columns.stop + radius, width)]
    part = gaussian_filter1d(part, sigma, axis=0, truncate=_TRUNCATE)[rows.start - top : rows.stop - top]
    part = gaussian_filter1d(part, sigma, axis=1, truncate=_TRUNCATE)
    return part[:, columns.start - left : columns.stop - left]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The picture after one trip through a JPEG file of that quality (chroma halved, Pillow's default)."""
    return recoded(image, "JPEG", quality)


def recoded(image: np.ndarray, kind: str, quality: int) -> np.ndarray:
    """The picture after one trip through a file of a lossy format that Pillow writes: JPEG, WEBP."""
    if not 1 <= quality <= 100:
        raise ValueError(f"{kind} quality {quality}; allowed: 1 to 100")
    file = BytesIO()
    Image.fromarray(image).save(file, kind, quality=quality)
    return np.array(Image.open(file, formats=[kind]))


def _coded(wanted: slice, side: int) -> slice:
    """What has to go through JPEG for the wanted pixels to come out as they do from the whole picture.

    Blocks are coded on their own, so a piece cut on the grid of blocks keeps them; but the decoder
    interpolates the halved chroma from the next sample on either side, two pixels away, which may lie in the
    next block.
    """
    first, last = max(wanted.start - 2, 0), min(wanted.stop + 2, side)
    return slice(first // _MCU * _MCU, min(ceil(last / _MCU) * _MCU, side))
