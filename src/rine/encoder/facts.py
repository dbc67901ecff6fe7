"""What can be known of an encoder without its weights: the shape of its tokens, what they cost, which it could give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from rine.encoder.catalogue import Shape, Tower, look_up
from rine.encoder.config import EncoderConfig, TowerConfig
from rine.encoder.rows import QUERIES, Rows, layout, tokens
from rine.files import note, noted
from rine.paths import store_folder

if TYPE_CHECKING:
    from rine.encoder.hooked import Hooked
    from rine.encoder.vit import ViT


@dataclass(frozen=True)
class Facts:
    """Of an entry's tower: its blocks and width, and what its tokens cost."""

    tower: Tower
    depth: int  # blocks of the whole tower
    width: int
    tokens: tuple[str, ...]  # what `token` may be
    n_blocks: int  # L of the entry's tokens
    token_width: int  # D of the entry's tokens
    parameters: int  # of what is run
    operations: float  # of a picture's matrix products


def token_shape(config: EncoderConfig) -> tuple[int, int]:
    """Blocks and width (L, D) of an entry's tokens; of a plain tower without importing torch.

    Raises `ValueError` for an entry whose tower, weights' tag, size, tap, token or block there is not.
    """
    tower = look_up(config)
    if tower.shape is not None:
        rows, blocks = layout(tower, config)
        return len(blocks), rows.n * tower.shape.width
    body = _sketch(tower, config)
    return len(body.blocks), body.width


def remembered(config: EncoderConfig) -> tuple[int, int, int]:
    """Pixels a side, and blocks and width (S, L, D) of an entry's tokens; raises as `token_shape` does.

    Of a tower that no file of ours describes they are found once on this machine: timm's import, and PyTorch's with
    it, would cost every stage of a study some seconds.
    """
    if isinstance(config.model, TowerConfig):
        return (config.model.image_size, *token_shape(config))
    versions = {name: version(name) for name in ("timm", "open_clip_torch")}
    entry = {key: value for key, value in config.entry().items() if key not in {"name", "seed"}}
    key, file = json.dumps([versions, entry], sort_keys=True), store_folder("index") / "towers.json"
    if (found := noted(file).get(key)) is None:
        found = [look_up(config).image_size, *token_shape(config)]
        note(file, {key: found})
    size, n_blocks, width = found
    return size, n_blocks, width


def facts(config: EncoderConfig) -> Facts:
    """All of it, of a plain tower without importing torch; raises `ValueError` for an entry that gives no tokens."""
    tower = look_up(config)
    if tower.shape is not None:
        rows, blocks = layout(tower, config)
        width, there = tower.shape.width, tokens(tower.shape.cls, tower.shape.registers)
        return Facts(
            tower, tower.shape.layers, width, there, len(blocks), rows.n * width, *_cost(tower.shape, rows, blocks[-1])
        )
    body = _sketch(tower, config)
    depth, width, cls, registers = body.made_of
    there = tokens(cls, registers)
    return Facts(tower, depth, width, there, len(body.blocks), body.width, *counted(body, tower.image_size))


def _cost(shape: Shape, rows: Rows, last: int) -> tuple[int, float]:
    """What `counted` counts of a plain tower up to this block, by arithmetic."""
    D, hidden, patches = shape.width, int(shape.width * shape.mlp_ratio), (shape.image_size // shape.patch_size) ** 2
    T, pixels, scale = shape.cls + shape.registers + patches, 3 * shape.patch_size**2, shape.layer_scale is not None
    n_mlps = last - (rows.tap == "norm2")
    around = D * (pixels + T + shape.cls + 2 * shape.ln_pre + 2 * (rows.tap == "block_normed"))
    parameters = around + last * D * (4 * D + 8 + scale) + n_mlps * (D * (2 * hidden + 1 + scale) + hidden)
    attention = 8 * T * D * D + 4 * T * T * D
    operations = 2 * patches * pixels * D + last * attention + n_mlps * 4 * T * D * hidden
    if rows.tap == "norm2" and rows.token == "cls":
        asked = min(QUERIES, T)
        operations += 4 * (T + asked) * D * D + 4 * asked * T * D - attention
    return parameters, float(operations)


def counted(body: ViT | Hooked, size: int) -> tuple[int, float]:
    """Parameters of a tower, and the operations of its matrix products for a picture, from one without numbers."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    body.requires_grad_(False)  # the counter looks for gradients otherwise
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        body(torch.zeros(1, 3, size, size, device="meta"))
    return sum(parameter.numel() for parameter in body.parameters()), float(counter.get_total_flops())


def _sketch(tower: Tower, config: EncoderConfig) -> Hooked:
    from rine.encoder import hooked

    return hooked.sketch(tower, config)
