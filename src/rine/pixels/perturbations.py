"""The paper's five perturbations, in two modes, and the alignment of both classes.

Pictures are uint8 RGB (H, W, 3). Every perturbation has two modes. `paper` does what section 4 of the paper
says; `reference` does what the published code (src/perturbation.py there) did:

- blur: a kernel of 3, 5, 7 or 9 pixels, but sigma is always 4: a border constant stands in its place
- crop: to a picture whose height and width are swapped
- compress: always JPEG quality 95, since the drawn quality is passed as an option's number; and of the
  picture with red and blue exchanged, since OpenCV takes the first channel for blue
- noise: U[5, 20], meant as a variance, is the standard deviation; fractions are cut off, not rounded
- all: squashed to 256 x 256 before the centre crop, while the untouched half of the pictures is only cropped

That last point lets a detector tell the perturbed half by its geometry. In `paper` mode a picture keeps its
full size, and both halves get the same centre crop, so that the perturbation is all that differs.

OpenCV is not needed. Against OpenCV 5.0 on real pictures, the reference's JPEG is equal; its crop and its
blur differ by one grey level, in less than one value in a thousand and in up to four in a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import correlate1d

from rine.pixels.transforms import jpeg, rng_for, scaled_to

if TYPE_CHECKING:
    from rine.values import Mode

KERNELS = (3, 5, 7, 9)  # pixels
CROPPED = (0.05, 0.20)  # of each side
QUALITY = (10, 75)  # of JPEG, inclusive
NOISE = (5.0, 20.0)  # variance in squared grey levels; the reference's standard deviation
SQUASHED = 256  # pixels a side of the reference's perturbed pictures


def drawn(kind: str, seed: int, digest: str) -> bool:
    """Whether a picture is among the half that is perturbed; seed, kind and the picture's digest decide."""
    return bool(rng_for(seed, "drawn", check_kind(kind), digest).random() < 0.5)


def perturb(image: np.ndarray, kind: str, mode: Mode, rng: np.random.Generator) -> np.ndarray:
    """Perturb a picture; `rng` should come from `draws`, so that the strength depends on the picture alone.

    In `paper` mode the result has the picture's size. In `reference` mode it is 256 x 256. Crop it to the
    centre as the untouched pictures.
    """
    result = PERTURBATIONS[check_kind(kind)].apply(image, mode, rng)
    if mode == "reference":
        result = resized(result, (SQUASHED, SQUASHED), Image.Resampling.BILINEAR)
    return result


def draws(kind: str, seed: int, digest: str) -> np.random.Generator:
    """The generator of a picture's perturbation strengths."""
    return rng_for(seed, "perturb", check_kind(kind), digest)


def check_kind(kind: str) -> str:
    """The kind itself; raises where there is no such perturbation."""
    if kind not in PERTURBATIONS:
        raise ValueError(f"unknown perturbation {kind!r}; choose from {sorted(PERTURBATIONS)}")
    return kind


def blur(image: np.ndarray, mode: Mode, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur, kernel 3, 5, 7 or 9 pixels, with the sigma that OpenCV derives from that size."""
    kernel = int(rng.choice(KERNELS))
    sigma = 4.0 if mode == "reference" else 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    taps = np.exp(-0.5 * ((np.arange(kernel) - kernel // 2) / sigma) ** 2)
    taps /= taps.sum()
    levels = image.astype(np.float32)
    for axis in (0, 1):
        levels = correlate1d(levels, taps, axis=axis, mode="mirror")  # OpenCV's border: no edge twice
    return eight_bits(levels)


def crop(image: np.ndarray, mode: Mode, rng: np.random.Generator) -> np.ndarray:
    """Cut 5 to 20 % off height and width, half on each side, and enlarge to the size before, bicubic."""
    low, high = CROPPED
    part = inner(image, rng.uniform(low, high))
    height, width = image.shape[:2]
    if mode == "reference":
        return opencv_bicubic(part, (height, width))
    return resized(part, (width, height), Image.Resampling.BICUBIC)


def compress(image: np.ndarray, mode: Mode, rng: np.random.Generator) -> np.ndarray:
    """JPEG with a quality of 10 to 75."""
    low, high = QUALITY
    quality = int(rng.integers(low, high, endpoint=True))
    if mode == "reference":
        return np.ascontiguousarray(jpeg(image[:, :, ::-1], 95)[:, :, ::-1])
    return jpeg(image, quality)


def noise(image: np.ndarray, mode: Mode, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, independent in each pixel and channel, with a variance of 5 to 20."""
    low, high = NOISE
    strength = rng.uniform(low, high)
    normal = rng.standard_normal(image.shape)
    if mode == "reference":
        return np.clip(image + strength * normal, 0, 255).astype(np.uint8)
    return eight_bits(image + np.sqrt(strength) * normal)


def combined(image: np.ndarray, mode: Mode, rng: np.random.Generator) -> np.ndarray:
    """All four, in the reference's order."""
    for single in (blur, crop, compress, noise):
        image = single(image, mode, rng)
    return image


@dataclass(frozen=True)
class Perturbation:
    """One of the paper's perturbations: what it does to a picture, and what tables call it."""

    name: str
    apply: Callable[[np.ndarray, Mode, np.random.Generator], np.ndarray]
    title: str


PERTURBATIONS: dict[str, Perturbation] = {
    perturbation.name: perturbation
    for perturbation in (
        Perturbation("blur", blur, "Blur"),
        Perturbation("crop", crop, "Crop"),
        Perturbation("compress", compress, "JPEG compression"),
        Perturbation("noise", noise, "Noise"),
        Perturbation("combined", combined, "Combined"),
    )
}


def align(image: np.ndarray, jpeg_quality: int | None, size: int | None) -> np.ndarray:
    """Make a picture like every other of its data set: the same shorter side, the same JPEG quality.

    Up or down by Lanczos; the shape is kept, which a centre crop no larger than `size` does not show. `None`
    leaves a step out. What no alignment removes: a file that was a JPEG before has then been one twice.
    """
    if size is not None and min(image.shape[:2]) != size:
        height, width = scaled_to((image.shape[0], image.shape[1]), size)
        image = resized(image, (width, height), Image.Resampling.LANCZOS)
    return image if jpeg_quality is None else jpeg(image, jpeg_quality)


def inner(image: np.ndarray, fraction: float) -> np.ndarray:
    """The picture without `fraction` of its height and width, half on each side, in whole pixels."""
    rows, columns = (int(side * fraction * 0.5) for side in image.shape[:2])
    return image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]


def resized(image: np.ndarray, size: Sequence[int], method: Image.Resampling) -> np.ndarray:
    """Pillow's resize to (width, height), which filters when it makes smaller."""
    return np.array(Image.fromarray(image).resize((size[0], size[1]), method))


def opencv_bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (width, height) as OpenCV's INTER_CUBIC: a cubic with a = -0.75, where Pillow has -0.5.

    No filter where it makes smaller. Equal to OpenCV but for a level where its fixed point rounds otherwise.
    """
    levels = image.astype(np.float64)
    for axis, length in ((0, size[1]), (1, size[0])):
        side = image.shape[axis]
        centres = (np.arange(length) + 0.5) * side / length - 0.5
        taps = np.floor(centres).astype(int)[:, None] + np.arange(-1, 3)  # (length, 4)
        away = np.abs(centres[:, None] - taps)
        near = (1.25 * away - 2.25) * away**2 + 1
        far = -0.75 * (((away - 5) * away + 8) * away - 4)
        weights = np.where(away <= 1, near, far)
        picked = np.take(levels, np.clip(taps, 0, side - 1), axis=axis)  # one axis more: the four taps
        shape = [1] * picked.ndim
        shape[axis], shape[axis + 1] = weights.shape
        levels = (picked * weights.reshape(shape)).sum(axis=axis + 1)
    return eight_bits(levels)


def eight_bits(levels: np.ndarray) -> np.ndarray:
    """Grey levels of any real type to the nearest that uint8 has."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
