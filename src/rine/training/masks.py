"""Dropout masks that depend on a key alone, not on the device or on earlier draws; a head's forward pass with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rine.heads import HEADS, Head, HeadConfig


def dropout_masks(
    shapes: Sequence[tuple[int, ...]],
    p: float,
    key: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """Draw one factor for each shape: 0 with probability `p`, else 1 / (1 - p).

    With p = 0.5 the masks are random bits, 64 to a draw: PyTorch's own dropout draws a float for each
    element, which on a CPU takes longer than the matrix product that follows. The bits are drawn on the CPU
    (an eighth of a byte an element) and spread out on the device.
    """
    sizes = [math.prod(shape) for shape in shapes]
    bits = np.random.SFC64(np.random.SeedSequence(key))
    if p == 0.5:
        octets = torch.from_numpy(bits.random_raw(-(-sum(sizes) // 64)).view(np.uint8)).to(device)
        factors = _factors_of_octets(device, dtype).index_select(0, octets.to(torch.int32))  # (octets, 8)
        flat = factors.view(-1)[: sum(sizes)]
    else:
        kept = np.random.Generator(bits).random(sum(sizes), dtype=np.float32) >= p
        flat = torch.from_numpy(kept).to(device=device, dtype=dtype) / (1 - p)
    return [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]


@cache
def _factors_of_octets(device: torch.device, dtype: torch.dtype) -> Tensor:
    """For each of the 256 octets its eight bits, as factors 0 or 2."""
    octets = torch.arange(256)[:, None]
    return (2 * (octets >> torch.arange(8) & 1)).to(device=device, dtype=dtype)


def mask_shapes(config: HeadConfig, batch: int) -> list[tuple[int, ...]]:
    """Shapes of the dropout layers' inputs for a batch of B, in the order of the forward pass.

    The first is the input's, (B, L, D), which does not depend on q and P.
    """
    blocks = cast("type[Head]", HEADS[config.pool]).n_joined(config)
    projected = [(batch, blocks, config.proj_dim)] * config.q
    return [(batch, blocks, config.width), *projected, *[(batch, config.proj_dim)] * (config.q + 3)]


def masked_forward(head: Head, tokens: Tensor, masks: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """As `Head.forward`, with one mask for each dropout layer in its place: logits (B,), embeddings z (B, P).

    `masks` have the shapes that `mask_shapes` gives; None: the input of the layer has its mask already.
    Heads that are trained together share them.
    """
    left = iter(masks)
    g = _through(head.proj1, head.blocks(tokens), left)  # (B, L, P)
    z = _through(head.proj2, head.joined(g), left)  # (B, P)
    return _through(head.head, z, left).squeeze(-1), z


def seeded_forward(head: nn.Module, tokens: Tensor, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The forward pass in training of a head with dropout layers of its own, whose draws `key` decides."""
    head.train()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            return head(tokens)
    finally:
        head.eval()


def _through(layers: nn.Sequential, x: Tensor, masks: Iterator[Tensor | None]) -> Tensor:
    """Apply layers in turn, with the next masks in place of the dropout layers."""
    rectify = False
    for layer in layers:
        if isinstance(layer, nn.Linear):
            x = layer(x)
        elif isinstance(layer, nn.ReLU):
            rectify = True  # together with the dropout that follows it
        elif (mask := next(masks)) is not None:
            x = _MaskedReLU.apply(x, mask, layer.p) if rectify else x * mask
        elif rectify:
            x = torch.relu(x)
    return x


class _MaskedReLU(torch.autograd.Function):
    """relu(x) * mask in place of x, for factors 0 and 1 / (1 - p).

    The gradient follows from the output alone. Autograd's own would keep two more tensors of that size and pass over
    them, which for narrow heads is a tenth of a step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, p: float) -> Tensor:
        x.relu_().mul_(mask)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        ctx.factor = 1 / (1 - p)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(grad, y, 0).mul_(ctx.factor), None, None
