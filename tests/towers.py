"""Towers of every kind that an entry may name, built once, for tests of what is made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rine.encoder import Encoder, encoder, load
from rine.encoder.config import EncoderConfig, TowerConfig
from tiny_model import crop

OWN = TowerConfig(image_size=32, patch_size=8, width=32, layers=3, head_width=16, cls=False, registers=2)
IMAGENET, HALF, CLIP = 0.485, 0.5, 0.48145466
BOTH: dict[str, Any] = {"token": "cls+mean"}
TWO: dict[str, Any] = {"blocks": (1, 2)}  # large towers are cut


def of_timm(model: str, size: int, **how: Any) -> dict[str, Any]:
    return {"model": model, "source": "timm", "image_size": size} | how


# name -> entry, blocks and width of the tower, rows before its patches, red's mean
TOWERS: dict[str, tuple[dict[str, Any], tuple[int, int], int, float]] = {
    "CLIP B/32": ({"model": "ViT-B-32", **TWO, **BOTH}, (12, 768), 1, CLIP),
    "CLIP L/14": ({"model": "ViT-L-14-quickgelu", **TWO, **BOTH}, (24, 1024), 1, CLIP),
    "EVA02 B": ({"model": "EVA02-B-16", **TWO, **BOTH}, (12, 768), 1, CLIP),
    "PE T": ({"model": "PE-Core-T-16-384", "image_size": 64, **BOTH}, (12, 192), 1, HALF),
    "PE B": (of_timm("vit_pe_core_base_patch16_224", 64, **TWO), (12, 768), 1, HALF),
    "SigLIP2 B": ({"model": "ViT-B-16-SigLIP2", "image_size": 64, "token": "mean", **TWO}, (12, 768), 0, HALF),
    "DINOv2 S": (of_timm("vit_small_patch14_dinov2", 70, **TWO, **BOTH), (12, 384), 1, IMAGENET),
    "DINOv2 S-reg4": (
        of_timm("vit_small_patch14_reg4_dinov2", 70, token="cls+registers", **TWO), (12, 384), 5, IMAGENET,
    ),
    "DINOv3 S": (of_timm("vit_small_patch16_dinov3", 64, token="cls+registers", **TWO), (12, 384), 5, IMAGENET),
    "AIMv2 L": (of_timm("aimv2_large_patch14_224", 56, token="mean", **TWO), (24, 1024), 0, CLIP),
    "own, no CLS": ({"model": OWN, "token": "mean"}, (3, 32), 2, CLIP),
}  # fmt: skip


def entry(model: str | TowerConfig, **how: Any) -> EncoderConfig:
    return EncoderConfig(**({"name": "a tower", "model": model, "pretrained": "random", "seed": 0} | how))


@cache
def built(name: str) -> Encoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoder._ROWS, "cpu", 256)  # a quarter of what is usual, for time
        return load(entry(**TOWERS[name][0]), "cpu")


@cache
def tokens_of(name: str) -> Tensor:
    """Tokens (3, L, D) of the first pictures."""
    return built(name)(pictures(3, built(name).image_size))


def pictures(n: int, size: int) -> Tensor:
    return torch.from_numpy(np.stack([crop(i, size) for i in range(n)])).permute(0, 3, 1, 2)
