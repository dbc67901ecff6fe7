"""Arithmetic on pictures that gives the same bits on every processor.

Nothing but additions, multiplications, divisions and square roots is used in the sample: those are exact in IEEE
arithmetic, which sines, exponentials, matrix products, FFTs and long float sums are not from one processor to the next.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]  # (H, W, 3) in 0..1, or (H, W) for a texture

# Of a 2x up-sampling: the values at 2i and at 2i + 1 from the pixels i - 1, i, i + 1
Taps = tuple[tuple[float, ...], ...]
BILINEAR: Taps = ((0.25, 0.75, 0.0), (0.0, 0.75, 0.25))


def rng_of(seed: int, *key: str) -> np.random.Generator:
    """Random numbers that depend on the seed and on the key alone, never on order or on who asks."""
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=16).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *words])))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * rng.random()


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Nearly Gaussian numbers of mean 0 and variance 1: the sum of four uniform bytes, which is exact."""
    n = int(np.prod(shape))
    raw = rng.bit_generator.random_raw((n + 1) // 2).view(np.uint8)[: 4 * n].reshape(4, n)
    total = raw[0].astype(np.float32) + raw[1] + raw[2] + raw[3]
    return ((total - 510.0) * np.float32(1 / 147.8)).reshape(shape)


def shifted(image: Pixels, axis: int, step: int) -> Pixels:
    """The neighbour `step` (-1 or 1) pixels along `axis`, the edge repeated."""
    n = image.shape[axis]
    return np.take(image, np.clip(np.arange(n) + step, 0, n - 1), axis=axis)


def doubled(image: Pixels, taps: Taps = BILINEAR) -> Pixels:
    """(H, W, ...) -> (2H, 2W, ...): interpolation, or a stride-2 transposed convolution, by its taps for each phase."""
    for axis in (0, 1):
        before, after = shifted(image, axis, -1), shifted(image, axis, 1)
        phases = [np.float32(a) * before + np.float32(b) * image + np.float32(c) * after for a, b, c in taps]
        shape = list(image.shape)
        shape[axis] *= 2
        image = np.stack(phases, axis=axis + 1).reshape(shape)
    return image


def smoothed(image: Pixels, weight: float) -> Pixels:
    """Blur by the taps (w, 1 - 2w, w) along both axes."""
    for axis in (0, 1):
        image = np.float32(1 - 2 * weight) * image + np.float32(weight) * (
            shifted(image, axis, -1) + shifted(image, axis, 1)
        )
    return image


def texture(rng: np.random.Generator, size: int) -> Pixels:
    """(size, size) of fractal noise, whose amplitude spectrum falls about as 1/f; `size` is 3 times a power of two."""
    field = noise(rng, (3, 3))
    amplitude = 1.0
    while len(field) < size:
        amplitude *= 0.55
        field = doubled(field)
        field += np.float32(amplitude) * noise(rng, field.shape)
    return field


def mean(channel: Pixels) -> float:
    """The mean, by whole numbers, whose sum does not depend on the order in which a processor adds."""
    return max(1, int(np.rint(channel * np.float32(255)).astype(np.int64).sum())) / channel.size / 255
