"""How many parameters a head trains, without building it."""

from __future__ import annotations

import re

import pandas as pd

from rine.encoder.facts import remembered
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
    """(blocks, width) of an encoder's tokens by its name: as the params say, else as the name tells."""
    names = {name for table in scores for name in table["backbone"].unique()}
    told = {name: size for name in sorted(names) if (size := vit_size(name))}
    return told | {each.name: remembered(each)[1:] for each in (params.encoders.values() if params else ())}


def n_parameters(q: int, proj_dim: int, n_blocks: int, width: int) -> int:
    """Trainable parameters of a head: alpha, q + q linear layers of the two projections, three of the classifier."""
    square = proj_dim * proj_dim + proj_dim
    alpha, first, last = n_blocks * proj_dim, width * proj_dim + proj_dim, proj_dim + 1
    return alpha + first + (q - 1) * square + q * square + 2 * square + last
