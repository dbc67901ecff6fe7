"""RINE's trainable part: block CLS tokens to a logit (paper, section 3.2 and figure 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Pool = Literal["importance", "mean", "last"]


@dataclass(frozen=True)
class HeadConfig:
    """Shape of a head.

    `q` linear layers in each of the two projections, projected width `proj_dim`; tokens of `n_blocks` blocks,
    each of `width`. `pool` says how blocks are joined: by the Trainable Importance Estimator, by their plain
    mean (ablation "without importance") or by the last block alone (ablation "without intermediate").
    """

    q: int
    proj_dim: int
    n_blocks: int
    width: int
    pool: Pool = "importance"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("q", "proj_dim", "n_blocks", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}; allowed: a whole number from 1")
        if self.pool not in get_args(Pool):
            raise ValueError(f"pool = {self.pool!r}; choose from {sorted(get_args(Pool))}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout!r}; allowed: 0 <= dropout < 1")


class Head(nn.Module):
    """g = proj1(tokens); z = proj2(sum over blocks of softmax(alpha) * g); logit = head(z).

    Parameters bear the names of the published files (`alpha`, `proj1.1.weight`, ...), so that those load
    strictly. `alpha` is there for every pool, as in the reference, whose ablations differ in the forward pass
    alone.
    """

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.proj_dim
        self.config = config
        self.alpha = nn.Parameter(torch.randn(1, config.n_blocks, width))
        self.proj1 = _projection(config.width, config)
        self.proj2 = _projection(width, config)
        self.head = nn.Sequential(*_layer(width, config), *_layer(width, config), nn.Linear(width, 1))

    def forward(self, tokens: Tensor, masks: Sequence[Tensor | None] | None = None) -> tuple[Tensor, Tensor]:
        """Map block CLS tokens (B, L, D) to logits (B,) and embeddings z (B, P).

        `masks` takes the place of the dropout layers: one factor for each in their order, of the shapes that
        `mask_shapes` gives, None where the input has it already. Heads that are trained together share them.
        """
        drops = None if masks is None else iter(masks)
        if self.config.pool == "last":
            tokens = tokens[:, -1:]  # (B, 1, D)
        g = _through(self.proj1, tokens, drops)  # (B, L, P)
        z = _through(self.proj2, self._pool(g), drops)  # (B, P)
        return _through(self.head, z, drops).squeeze(-1), z

    def importance(self) -> Tensor:
        """Weight of each block for each dimension of the embedding (L, P); every column sums to one."""
        if self.config.pool == "importance":
            return torch.softmax(self.alpha.detach()[0], dim=0)
        weights = torch.zeros_like(self.alpha[0])
        if self.config.pool == "mean":
            return weights + 1 / self.config.n_blocks
        weights[-1] = 1
        return weights

    def _pool(self, g: Tensor) -> Tensor:
        """Join the blocks of g (B, L, P) to (B, P)."""
        if self.config.pool == "importance":
            return (torch.softmax(self.alpha, dim=1) * g).sum(1)
        # of the last block alone the reference sums softmax(alpha) * g over L: that is g, weights sum to one
        return g.mean(1)


def mask_shapes(config: HeadConfig, batch: int) -> list[tuple[int, ...]]:
    """Shapes of the dropout layers' inputs for a batch of B, in the order in which `Head.forward` meets them.

    The first is the input's, (B, L, D), which does not depend on q and P.
    """
    blocks = 1 if config.pool == "last" else config.n_blocks
    projected = [(batch, blocks, config.proj_dim)] * config.q
    return [(batch, blocks, config.width), *projected, *[(batch, config.proj_dim)] * (config.q + 3)]


def seeded_head(config: HeadConfig, seed: int) -> Head:
    """A head with PyTorch's own initialisation from `seed`, whatever was drawn before; drawn on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Head(config)


def importance(head: Head) -> np.ndarray:
    """Share of the embedding's dimensions whose largest importance lies in each block (L,)."""
    largest = head.importance().argmax(dim=0).cpu().numpy()  # (P,)
    return np.bincount(largest, minlength=head.config.n_blocks) / head.config.proj_dim


def _projection(width: int, config: HeadConfig) -> nn.Sequential:
    widths = [width] + [config.proj_dim] * (config.q - 1)
    return nn.Sequential(nn.Dropout(config.dropout), *(m for w in widths for m in _layer(w, config)))


def _layer(width: int, config: HeadConfig) -> list[nn.Module]:
    return [nn.Linear(width, config.proj_dim), nn.ReLU(), nn.Dropout(config.dropout)]


def _through(layers: nn.Sequential, x: Tensor, masks: Iterator[Tensor | None] | None) -> Tensor:
    """Apply layers in turn, with the given factors in place of the dropout layers."""
    if masks is None:
        return layers(x)
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
