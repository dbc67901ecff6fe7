"""Tiny data sets in the folder layouts in which the real ones are distributed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from rine.dataset.config import DatasetConfig, PrepareConfig
from rine.dataset.generators import SYNTHBUSTER_GENERATORS
from rine.dataset.layouts.published import DIFFUSION_REALS, WITH_CLASSES, WITHOUT_CLASSES

OLD = 1_600_000_000  # seconds: files as old as downloaded ones are


def save(path: Path, seed: int, size: tuple[int, int] = (40, 32), mode: str = "RGB", **options: Any) -> Path:
    """Save a picture of smooth noise that `seed` decides, and make it look old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path, **options)
    os.utime(path, (OLD, OLD))
    return path


class Seeds:
    """A new seed for each picture, so that no two are alike."""

    def __init__(self) -> None:
        self.last = 0

    def folder(self, folder: Path, n: int = 2, suffix: str = ".png", **options: Any) -> None:
        for i in range(n):
            self.last += 1
            save(folder / f"{i:03d}{suffix}", self.last, **options)


def forensynths(root: Path, seeds: Seeds, n: int = 2) -> None:
    folders = [f"{split}/{category}" for split in ("train", "val") for category in ("car", "horse")]
    folders += [f"test/{name}/{category}" for name in WITH_CLASSES for category in ("cat", "dog")]
    for folder in (*folders, *(f"test/{name}" for name in WITHOUT_CLASSES)):
        for side in ("0_real", "1_fake"):
            seeds.folder(root / folder / side, n)


def universal_fake_detect(root: Path, seeds: Seeds, n: int = 2) -> None:
    base = root / "test/diffusion_datasets"
    for real in sorted(set(DIFFUSION_REALS.values())):
        seeds.folder(base / real / "0_real", n, ".jpg")
    for fake in DIFFUSION_REALS:
        seeds.folder(base / fake / "1_fake", n)


def dmimagedetection(root: Path, seeds: Seeds) -> None:
    """LSUN reals are those of ForenSynths' training; one COCO real lies in train2014, one in val2014."""
    for number, split in enumerate(("train", "valid")):
        base = root / "latent_diffusion_trainingset" / split
        for folder in ("lsun_beds", "ffhq"):
            seeds.folder(base / folder)
        files = [f"a_{number}.png", f"b_c_{number}.png"]
        for file in files:
            seeds.last += 1
            save(root / "train/horse/0_real" / file, seeds.last)
        (base / "real_lsun.txt").write_text("".join(f"horse_{file}\n" for file in files))
        for part in ("train", "val"):
            seeds.last += 1
            save(root / f"coco/{part}2014/COCO_{part}2014_{number}{part}.jpg", seeds.last)
        (base / "real_coco.txt").write_text(f"{number}train.jpg\n{number}val.jpg\n")


def synthbuster(root: Path, seeds: Seeds, n: int = 2) -> None:
    seeds.folder(root / "RAISEpng", n)
    for generator in SYNTHBUSTER_GENERATORS:
        seeds.folder(root / "synthbuster" / generator, n)
        (root / "synthbuster" / generator / "prompts.txt").write_text("a horse\n")
    (root / "synthbuster" / "glide" / "make.py").write_text("print()\n")


def dataset(**keys: Any) -> DatasetConfig:
    return TypeAdapter(DatasetConfig).validate_python(keys)


def config(root: Path, **datasets: dict[str, Any]) -> PrepareConfig:
    raw = {"root": str(root), "max_pixels": 10_000, "datasets": datasets}
    return TypeAdapter(PrepareConfig).validate_python(raw)
