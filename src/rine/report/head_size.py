"""How many parameters a head trains, without building it."""

from __future__ import annotations

import re

import pandas as pd

from rine.encoder.config import EncoderConfig, TowerConfig
from rine.params import Params

# blocks and width of the ViTs that open_clip and OpenAI name by a letter
_VIT = {
    "Ti": (12, 192), "S": (12, 384), "M": (12, 512), "B": (12, 768), "L": (24, 1024), "H": (32, 1280), "g": (40, 1408),
    "bigG": (48, 1664),
}  # fmt: skip


def vit_size(name: str) -> tuple[int, int] | None:
    """(blocks, width) of an image tower by its name ("ViT-L/14", "ViT-B-32"); None where the name does not tell."""
    match = re.match(r"ViT-([A-Za-z]+)[-/]\d+", name)
    return _VIT.get(match[1]) if match else None


def encoder_sizes(params: Params | None, *scores: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """(blocks, width) by an encoder's name: as the params say, else as the name tells."""
    sizes = {name: vit_size(name) for table in scores for name in sorted(table["backbone"].unique())}
    for encoder in params.encoders.values() if params else ():
        model = encoder.model
        size = (model.layers, model.width) if isinstance(model, TowerConfig) else vit_size(model)
        size = size or sizes.get(encoder.name)
        sizes[encoder.name] = size and token_size(encoder, *size)
    return {name: size for name, size in sizes.items() if size}


def token_size(encoder: EncoderConfig, layers: int, width: int) -> tuple[int, int] | None:
    """(blocks, width) of an entry's tokens, of a tower of so many blocks; None where its registers are not known."""
    if encoder.token == "pooled":
        return 1, width
    n_blocks = layers if encoder.blocks == "all" else len(encoder.blocks)
    if encoder.token == "cls+registers":
        registers = encoder.model.registers if isinstance(encoder.model, TowerConfig) else 0
        return (n_blocks, (1 + registers) * width) if registers else None
    return n_blocks, width * (2 if encoder.token == "cls+mean" else 1)


def n_parameters(q: int, proj_dim: int, n_blocks: int, width: int) -> int:
    """Trainable parameters of a head: alpha, q + q linear layers of the two projections, three of the classifier."""
    square = proj_dim * proj_dim + proj_dim
    alpha, first, last = n_blocks * proj_dim, width * proj_dim + proj_dim, proj_dim + 1
    return alpha + first + (q - 1) * square + q * square + 2 * square + last
