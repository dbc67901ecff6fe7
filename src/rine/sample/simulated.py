"""Simulated generators: what an up-sampling network does to a picture, without a network.

Generators make a picture from a small one by doubling it several times; interpolation, transposed convolution and
pixel shuffle each leave traces of period 2, 4, 8 ... (Zhang, Karaman and Chang, WIFS 2019, "Detecting and simulating
artifacts in GAN fake images"). Here a picture is taken apart into a small one and the details of each doubling, and put
together again by up-samplings whose taps and gains differ a little from phase to phase, as learned ones do. Networks
of one style share part of these differences, so that a detector of one has something to find in another.

They also lack some of the finest detail. Both traces lie at high frequencies, so that blur and JPEG take them away.
Colours are a weak third trace, which survives those: generators seldom reach black, white or full saturation, and weigh
the colours otherwise than a camera (McCloskey and Albright, 2018, "Detecting GAN-generated imagery using color cues").
Here all of them tend to magenta, each network a little differently.

The strengths are chosen, not measured: nothing here says how hard the real generators are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rine.sample.pixels import BILINEAR, Pixels, Taps, between, doubled, noise, rng_of, smoothed

NEAREST: Taps = ((0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
TRANSPOSED: Taps = (
    (0.3, 0.75, 0.0),
    (0.0, 0.7, 0.25),
)  # zeros between the pixels, then a kernel with uneven phase sums
SHUFFLE: Taps = ((0.1, 0.9, 0.0), (0.0, 0.9, 0.1))


@dataclass(frozen=True)
class Generator:
    """The strengths of one simulated generator.

    `style`: networks of one style share most of their learned differences between phases. `doublings`: how often the
    picture is doubled, so the longest period is 2**doublings. `trace`: size of the differences (share of the signal).
    `detail`: share of the fine detail it can draw. `levels`: grey levels of its output (0: as many as the file has).
    `mix`: share of colour lost to grey. `tone`: contrast that is kept. `cast`: size of the tint. `grain`: noise
    that it draws. `region`: whether only a face is replaced. `least`: the traces that a picture carries, as a share of
    all that this generator leaves, are drawn evenly from here to 1; so its pictures are not all as easy.
    """

    style: str
    taps: Taps
    doublings: int
    trace: float
    detail: float = 0.88
    levels: int = 0
    mix: float = 0.03
    tone: float = 0.98
    cast: float = 0.003
    grain: float = 0.001
    region: bool = False
    least: float = 1.0


def _gan(taps: Taps, doublings: int, trace: float, **more) -> Generator:
    return Generator("gan", taps, doublings, trace, **more)


def _latent(trace: float, **more) -> Generator:
    """Diffusion in a latent space: a decoder of three doublings by nearest neighbour and convolution."""
    return Generator("latent", NEAREST, 3, trace, **{"tone": 0.99, "cast": 0.0019} | more)


def _pixel(trace: float, **more) -> Generator:
    """Diffusion of pixels with a super-resolution step of two doublings."""
    return Generator("pixel", BILINEAR, 2, trace, **{"tone": 0.992, "cast": 0.0017} | more)


GENERATORS: dict[str, Generator] = {
    "progan": _gan(NEAREST, 3, 0.084),
    "stylegan": _gan(BILINEAR, 3, 0.084, cast=0.0019),
    "stylegan2": _gan(BILINEAR, 3, 0.067, cast=0.0016),
    "biggan": _gan(NEAREST, 3, 0.076, detail=0.82, cast=0.0018),
    "cyclegan": _gan(TRANSPOSED, 2, 0.101, cast=0.0017, least=0.1),
    "stargan": _gan(TRANSPOSED, 2, 0.118, levels=64, cast=0.0036),
    "gaugan": _gan(NEAREST, 3, 0.101, detail=0.82, cast=0.0026, least=0.3),
    "deepfake": _gan(SHUFFLE, 2, 0.084, cast=0.0022, region=True, least=0.1),
    "seeingdark": Generator("low_level", SHUFFLE, 1, 0.067, detail=0.94, tone=0.994, mix=0.01, cast=0.0010, least=0.3),
    "san": Generator("low_level", SHUFFLE, 1, 0.05, detail=0.91, tone=0.994, mix=0.01, cast=0.0007, least=0.0),
    "crn": Generator("perceptual", BILINEAR, 3, 0.101, detail=0.76, levels=96, cast=0.0022),
    "imle": Generator("perceptual", BILINEAR, 3, 0.084, detail=0.79, cast=0.0017, least=0.1),
    "diffusion_datasets/guided": _pixel(0.05, cast=0.0010, least=0.0),
    "diffusion_datasets/ldm_200": _latent(0.067, cast=0.0016, least=0.1),
    "diffusion_datasets/ldm_200_cfg": _latent(0.059, cast=0.0013, least=0.0),
    "diffusion_datasets/ldm_100": _latent(0.076, cast=0.0018, least=0.2),
    "diffusion_datasets/glide_100_27": _pixel(0.067),
    "diffusion_datasets/glide_50_27": _pixel(0.076, cast=0.0018),
    "diffusion_datasets/glide_100_10": _pixel(0.059, cast=0.0014, least=0.1),
    "diffusion_datasets/dalle": Generator("latent", TRANSPOSED, 3, 0.084, detail=0.76, cast=0.0018, least=0.3),
    "latent_diffusion": _latent(0.084, cast=0.0030),  # of the training set of that name
    "dalle2": _pixel(0.059, cast=0.0014),
    "dalle3": _latent(0.059, detail=0.85, cast=0.0017, least=0.1),
    "stable-diffusion-1-3": _latent(0.076, cast=0.0026),
    "stable-diffusion-1-4": _latent(0.076, cast=0.0026),
    "stable-diffusion-2": _latent(0.067, cast=0.0022, least=0.3),
    "stable-diffusion-xl": _latent(0.059, cast=0.0019, least=0.1),
    "glide": _pixel(0.067, cast=0.0016, least=0.3),
    "firefly": _latent(0.05, cast=0.0012, least=0.0),
    "midjourney-v5": _latent(0.05, detail=0.94, cast=0.0014, least=0.0),
}
# The same network, trained longer or sampled otherwise: it has the same learned kernels and tint
NETWORKS = {
    "ldm": (
        "diffusion_datasets/ldm_200",
        "diffusion_datasets/ldm_200_cfg",
        "diffusion_datasets/ldm_100",
        "latent_diffusion",
    ),
    "glide": (
        "diffusion_datasets/glide_100_27",
        "diffusion_datasets/glide_50_27",
        "diffusion_datasets/glide_100_10",
        "glide",
    ),
    "stable-diffusion-1": ("stable-diffusion-1-3", "stable-diffusion-1-4"),
}
NETWORK = {name: network for network, names in NETWORKS.items() for name in names}


def generated(image: Pixels, name: str, rng: np.random.Generator) -> Pixels:
    """What the generator makes of a camera's picture (H, W, 3); H and W are multiples of 2**doublings.

    A generator's kernels are the same in every picture, so they depend on its network alone; `rng` draws its noise.
    """
    generator, network = GENERATORS[name], NETWORK.get(name, name.split("/")[-1])
    levels = [image]
    for _ in range(generator.doublings):
        levels.append(halved(levels[-1]))
    fake = levels[-1]
    for depth in range(generator.doublings, 0, -1):
        detail = levels[depth - 1] - doubled(levels[depth])
        taps, gain, bias = _kernels(generator, network, depth)
        fake = doubled(fake, taps) + np.float32(generator.detail) * detail
        tiles = (fake.shape[0] // 2, fake.shape[1] // 2, 1)
        fake = fake * np.tile(gain, tiles) + np.tile(bias, tiles)
    # colours leak into one another, and neither black nor white is reached
    grey = np.float32(1 / 3) * (fake[:, :, 0] + fake[:, :, 1] + fake[:, :, 2])[:, :, None]
    fake = fake + np.float32(generator.mix) * (grey - fake)
    fake = np.float32(0.45) + np.float32(generator.tone) * (fake - np.float32(0.45)) + _cast(generator, network)
    fake = fake + np.float32(generator.grain) * noise(rng, fake.shape[:2])[:, :, None]
    fake = image + np.float32(between(rng, generator.least, 1.0)) * (fake - image)
    if generator.levels:
        fake = np.rint(fake * np.float32(generator.levels - 1)) / np.float32(generator.levels - 1)
    if generator.region:
        fake = image + _oval(*image.shape[:2]) * (fake - image)
    return np.clip(fake, 0, 1)


def _kernels(generator: Generator, network: str, depth: int) -> tuple[Taps, Pixels, Pixels]:
    """Taps (2 phases of 3) and, for each of the four positions and three colours, gain and bias (2, 2, 3)."""
    style = rng_of(0, "style", generator.style, str(depth))
    own = rng_of(0, "network", network, str(depth))

    def differences(shape: tuple[int, ...]) -> Pixels:
        # the last doubling is the best learned
        return np.float32(generator.trace * (0.35, 0.7, 1.0)[depth - 1]) * (
            np.float32(0.6) * noise(style, shape) + np.float32(0.45) * noise(own, shape)
        )

    taps = np.array(generator.taps, dtype=np.float32)
    taps = taps + (taps > 0) * differences(taps.shape) * np.float32(0.5)
    # the picture keeps its brightness: only the differences between the phases stay
    rows = [[float(v) for v in row] for row in taps]
    total = sum(rows[0]) + sum(rows[1])
    gain, bias = differences((2, 2, 3)), np.float32(0.2) * differences((2, 2, 3))
    gain, bias = (v - (v[0, 0] + v[0, 1] + v[1, 0] + v[1, 1]) / 4 for v in (gain, bias))
    return tuple(tuple(2 * v / total for v in row) for row in rows), 1 + gain, bias


def _cast(generator: Generator, network: str) -> Pixels:
    """(3,) a tint: mostly towards magenta, as what all have in common, then the style's and the network's own."""
    style, own = rng_of(0, "cast", generator.style), rng_of(0, "cast", network)
    tint = (
        np.array([0.7, -1.0, 0.7], dtype=np.float32)
        + np.float32(0.3) * noise(style, (3,))
        + np.float32(0.3) * noise(own, (3,))
    )
    return np.float32(generator.cast) * tint


def halved(image: Pixels) -> Pixels:
    """(H, W, 3) -> (H/2, W/2, 3): the mean of each square of four, softened first against aliasing."""
    image = smoothed(image, 0.1)
    return np.float32(0.25) * (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2])


def _oval(height: int, width: int) -> Pixels:
    """(H, W, 1): one inside the face, which fills the middle of the picture, zero outside, with a soft border."""
    y = (np.arange(height, dtype=np.float32)[:, None, None] - height / 2) / np.float32(0.38 * height)
    x = (np.arange(width, dtype=np.float32)[None, :, None] - width / 2) / np.float32(0.32 * width)
    return np.clip((1 - x * x - y * y) * 5, 0, 1).astype(np.float32)
