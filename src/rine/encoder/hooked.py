"""Towers of timm's, run by timm's own modules: a hook takes a token of each block, and no block runs after the last."""

from __future__ import annotations

import logging
import threading
from typing import Any

import torch
from torch import Tensor, nn

from rine.encoder import files, tags, weights
from rine.encoder.catalogue import Tower
from rine.encoder.config import EncoderConfig
from rine.encoder.random_weights import draw
from rine.encoder.rows import Rows, UnusableTower, numbers


def library() -> str:
    """The library whose arithmetic it is."""
    import timm

    return f"timm {timm.__version__}"


def sketch(tower: Tower, config: EncoderConfig) -> Hooked:
    """A tower of timm's without numbers, for what can be seen of it without them; raises `UnusableTower`."""
    with torch.device("meta"):
        trunk = _create(tower)
    depth = len(_blocks(trunk))
    return Hooked(trunk, check(trunk, tower, config), numbers(config, depth), depth)


def build(tower: Tower, config: EncoderConfig) -> Hooked:
    """A tower of timm's with an entry's weights, cut to what its tokens need."""
    seen = sketch(tower, config)
    if config.pretrained == "random":
        cut = {"depth": seen.blocks[-1]} if seen.blocks[-1] < seen.depth else {}
        with torch.random.fork_rng(devices=[]):
            trunk = _create(tower, **cut)
        draw(trunk, config.seed)
    else:
        file = weights.locate(config)
        state, _ = files.read(file)
        trunk = _filled(tower, state, f"{file} ({config.name})")
    return Hooked(trunk, seen.rows, seen.blocks, seen.depth)


def check(trunk: Any, tower: Tower, config: EncoderConfig) -> Rows | None:
    """Which rows of a block's output are the token; None for `pooled`. Raises `UnusableTower` where there are none."""
    name, blocks = tower.model, _blocks(trunk)
    if not blocks or not hasattr(trunk, "num_prefix_tokens"):
        raise UnusableTower(
            f"the image tower of {name!r} ({type(trunk).__name__}) is no ViT of equal blocks, which RINE needs; "
            "ViT-L-14 is the paper's, vit_base_patch14_reg4_dinov2 (source: timm) one of today's"
        )
    post = any("Post" in type(block).__name__ for block in blocks)
    if config.tap == "norm2" and config.token != "pooled" and (post or not hasattr(blocks[0], "norm2")):
        why = "it norms after them" if post else "its blocks are of another make"
        raise UnusableTower(f"{name!r} has no norm between attention and MLP ({why}); say tap: block")
    if config.tap == "block_normed" and not _final_norm(trunk):
        raise UnusableTower(f"{name!r} has no norm after its last block; say tap: block")
    if config.token == "pooled":
        return None
    cls = getattr(trunk, "cls_token", None) is not None
    try:
        return Rows(config.tap, config.token, cls, trunk.num_prefix_tokens - cls)
    except UnusableTower as error:
        raise UnusableTower(f"{name!r}: {error}") from None


def _create(tower: Tower, **how: Any) -> Any:
    """A tower of timm's without its classifier, for its input size; raises `UnusableTower` where it takes no such."""
    import timm

    assert tower.arch is not None
    if tower.image_size != tags.own_size(tower.arch):
        how["img_size"] = tower.image_size
    before = logging.root.level
    try:
        trunk = timm.create_model(tower.arch, num_classes=0, **how)
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        raise UnusableTower(f"timm does not build {tower.arch!r} with {how}: {error}") from error
    finally:
        logging.root.setLevel(before)
    patch = getattr(getattr(trunk, "patch_embed", None), "patch_size", (1,))[0]
    if tower.image_size % patch:
        near = [tower.image_size // patch * patch, -(-tower.image_size // patch) * patch]
        raise UnusableTower(
            f"image_size = {tower.image_size}: {tower.model!r} takes multiples of its patches' {patch} pixels; "
            f"near it: {near[0]}, {near[1]}"
        )
    return trunk.eval()


def _filled(tower: Tower, state: dict[str, Tensor], origin: str) -> Any:
    """A tower with these weights, by timm's own loading: it knows other names of tensors and other input sizes."""
    state = {key: value.float() for key, value in state.items() if not key.startswith("head.")}
    try:
        trunk = _create(tower, pretrained=True, pretrained_cfg_overlay={"state_dict": state, "num_classes": 0})
        trunk.pretrained_cfg = {}  # it holds the tensors once more
        return trunk
    except UnusableTower as error:
        cause = str(error.__cause__).splitlines()
        raise files.WeightsError(f"{origin} does not fit the model: {files.listed(cause[1:] or cause)}") from error


def _blocks(trunk: Any) -> list[Any]:
    blocks = getattr(trunk, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList | nn.Sequential) else []


def _final_norm(trunk: Any) -> nn.Module | None:
    norms = [getattr(trunk, name, None) for name in ("norm", "fc_norm")]
    return next((norm for norm in norms if norm is not None and not isinstance(norm, nn.Identity)), None)


class Hooked(nn.Module):
    """timm's own modules up to the last block that is wanted, with a hook at each tap."""

    def __init__(self, trunk: Any, rows: Rows | None, blocks: tuple[int, ...], depth: int) -> None:
        super().__init__()
        self.rows, self.depth = rows, depth
        self.blocks = blocks if rows else (depth,)
        cls = getattr(trunk, "cls_token", None) is not None
        self.made_of = depth, trunk.num_features, cls, trunk.num_prefix_tokens - cls
        self.sequence = trunk.patch_embed.num_patches + trunk.num_prefix_tokens
        self.width = trunk.num_features * (rows.n if rows else 1)
        self._call = threading.local()  # batches may be under way side by side
        self.norm = _final_norm(trunk) if rows and rows.tap == "block_normed" else None
        if rows:
            self._cut(trunk, rows.tap)
        self.trunk = trunk

    def _cut(self, trunk: Any, tap: str) -> None:
        """Hook the blocks that are wanted, and let go what comes after the last tap."""
        trunk.blocks = trunk.blocks[: self.blocks[-1]]
        for number in self.blocks:
            block = trunk.blocks[number - 1]
            (block.norm2 if tap == "norm2" else block).register_forward_hook(self._take)
        if tap == "norm2":
            trunk.blocks[-1].mlp = nn.Identity()
        for name in ("norm", "fc_norm", "attn_pool", "head"):
            if getattr(trunk, name, None) is not None:
                setattr(trunk, name, nn.Identity())

    def _take(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        # timm is batch-first: row i's CLS token is [i, 0]
        assert self.rows is not None
        self._call.tokens.append(self.rows(output if self.norm is None else self.norm(output)))

    def prepare(self) -> None:
        """Nothing to fold."""

    def same_bits(self, few: int, many: int) -> bool:
        """Not known of modules of another's: a batch is always filled up."""
        return few == many

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous()  # a convolution has other bits for pixels that lie in memory in another order
        if self.rows is None:
            return self.trunk.forward_head(self.trunk.forward_features(x), pre_logits=True)[:, None]
        self._call.tokens = []
        self.trunk.forward_features(x)
        return torch.stack(self._call.tokens, dim=1)  # (B, L, k D)
