"""Decoding and augmenting on one core, against the reference's transform chain, which decodes for every view."""

from __future__ import annotations

import random
from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torchvision import transforms

from benchmarks.made import encoded, picture
from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine.caching.views import Recipe, crops
from rine.pixels.config import AugmentationConfig
from rine.pixels.pictures import open_rgb
from rine.pixels.transforms import centre_crop

GOAL = 1.5
SIDE, PICTURES, VIEWS = 256, 24, 4
LARGEST = 10**8  # pixels


def rows(rounds: int) -> list[Figure | Skipped]:
    return [_figure(kind, rounds) for kind in ("PNG", "JPEG")]


class Chain:
    """The reference's training transform: a file's bytes to a normalised tensor (3, size, size)."""

    def __init__(self, config: AugmentationConfig, size: int, pixels: bool = False) -> None:
        """`pixels` stops where the library does, before the tensor and its normalisation."""
        self.config = config
        mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
        self.rest = transforms.Compose(
            [
                transforms.RandomCrop(size),
                transforms.RandomHorizontalFlip(),
                *([np.asarray] if pixels else [transforms.ToTensor(), transforms.Normalize(mean, std)]),
            ]
        )

    def __call__(self, data: bytes) -> Tensor:
        image, config = np.array(Image.open(BytesIO(data)).convert("RGB")), self.config
        if random.random() < config.blur_p:
            sigma = random.uniform(*config.blur_sigma)
            for channel in range(3):
                gaussian_filter(image[:, :, channel], output=image[:, :, channel], sigma=sigma)
        if random.random() < config.jpeg_p:
            file = BytesIO()
            Image.fromarray(image).save(file, "jpeg", quality=random.choice(config.jpeg_quality))
            image = np.array(Image.open(file))
        return self.rest(Image.fromarray(image))


def recipe(config: AugmentationConfig, size: int) -> Recipe:
    return Recipe("train", size, config)


def augmented(data: bytes, digest: str, recipe: Recipe, views: int) -> np.ndarray:
    """The library's way: one decode, then the views' pixels (V, size, size, 3); the encoder normalises."""
    return crops(open_rgb(data, LARGEST), digest, [("augment", str(view)) for view in range(views)], recipe)


def same_as_pillow(data: bytes, size: int) -> bool:
    """Whether the centre crop's pixels are those of Pillow and torchvision."""
    theirs = transforms.CenterCrop(size)(Image.open(BytesIO(data)).convert("RGB"))
    return np.array_equal(centre_crop(open_rgb(data, LARGEST), size), np.asarray(theirs))


def _figure(kind: str, rounds: int) -> Figure:
    files = [encoded(picture(seed, SIDE), kind) for seed in range(PICTURES)]
    config = AugmentationConfig(
        mode="reference", views=VIEWS, blur_p=0.5, blur_sigma=(0.0, 3.0), jpeg_p=0.5, jpeg_quality=(30, 100), seed=0
    )
    how, n = recipe(config, 224), [0]

    def theirs(chain: Chain) -> Callable[[], None]:
        def run() -> None:
            for data in files:
                for _ in range(VIEWS):
                    chain(data)

        return run

    def ours() -> None:
        n[0] += 1  # other draws in each round, as theirs
        for i, data in enumerate(files):
            augmented(data, f"{n[0]} {i}", how, VIEWS)

    random.seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ways = [theirs(Chain(config, 224)), ours, theirs(Chain(config, 224, pixels=True))]
        seconds = in_turn(ways, 3 * rounds)  # draws differ: more rounds
    finally:
        torch.set_num_threads(threads)
    equal = all(same_as_pillow(data, 224) for data in files)
    times = medians(["theirs", "ours", "theirs, to pixels"], seconds)
    alike = float(np.median(seconds[:, 2] / seconds[:, 1]))
    return Figure(
        "views",
        f"decode and augment, views/s per core, {SIDE} x {SIDE} {kind}",
        "the reference's transforms",
        ratios(seconds[:, 0], seconds[:, 1]) if equal else (0.0,) * rounds,
        GOAL,
        times,
        note=f"{PICTURES * VIEWS / times['ours']:.0f} views/s, {VIEWS} a decode; "
        f"centre crop {'as' if equal else 'NOT as'} Pillow's; where both stop at pixels: {alike:.2f} x",
    )
