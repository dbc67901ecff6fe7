"""A model of a tiny random encoder and head, and pictures to show it: for the tests of everything that uses a model."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rine import encoder
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.heads import HeadConfig, seeded_head
from rine.models import checkpoint
from rine.scores.calibration import Calibration

SIZE = 32
ENCODER = EncoderConfig(
    name="ViT-tiny",
    model=TowerConfig(image_size=SIZE, patch_size=8, width=32, layers=3, head_width=16),
    pretrained="random",
    seed=0,
)


@contextmanager
def model_in(folder: Path) -> Iterator[Path]:
    """Store a model as `rine best` does, under artifacts/best in `folder`."""
    yield store(folder / "artifacts" / "best" / "four_class" / "model.safetensors")


def store(path: Path, config: EncoderConfig = ENCODER, name: str = "four_class", seed: int = 0, n: int = 40) -> Path:
    """Write a model file whose calibration spreads its logits on noise over all three verdicts."""
    tower = encoder.load(config, "cpu")
    head = seeded_head(HeadConfig(q=1, proj_dim=16, n_blocks=tower.n_blocks, width=tower.width), seed).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter *= 4  # an untrained head of this size gives every picture nearly the same logit
        tokens = tower(torch.from_numpy(np.stack([crop(i, tower.image_size) for i in range(n)])))
        logits = head(tokens)[0]
    centre, spread = float(logits.mean()), float(logits.std())
    fitted = Calibration(4 / spread, -4 * centre / spread, centre + 0.3 * spread, centre - 0.3 * spread, n=n)
    training = {"training_set": "progan", "q": 1, "d": 16, "xi": 0.1, "epochs": 1, "seed": seed, "lr": 0.001}
    meta = {
        "name": name,
        "encoder": config.entry() | {"weights": tower.weights_digest},
        "transform": {"crop": tower.image_size},
        "training": training | {"batch_size": 16},
        "classes": ["horse"],
        "about": "A model for tests.",
        "calibration": asdict(fitted),
    }
    checkpoint.save(path, head, meta, tokens.mean(0))
    return path


def crop(seed: int, size: int = SIZE) -> np.ndarray:
    """A picture (size, size, 3) of waves and noise that the seed decides."""
    return picture(seed, size, size)


def picture(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * rng.uniform(0.05, 1.5) + y * rng.uniform(0.05, 1.5)) for _ in range(3)]
    return (127 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)


def write_pictures(folder: Path, n: int, height: int = 60, width: int = 80) -> list[Path]:
    """Write n PNG files 00.png, 01.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:02d}.png" for i in range(n)]
    for i, path in enumerate(paths):
        Image.fromarray(picture(i, height, width)).save(path)
    return paths


def huge_png(width: int, height: int) -> bytes:
    """A small PNG file that says it has that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
