"""RINE's trainable part: block CLS tokens to a logit (paper, section 3.2 and figure 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MOST_LAYERS, MOST_WIDTH = 1000, 1_000_000  # a file that says more says nothing of a head


@dataclass(frozen=True)
class HeadConfig:
    """Shape of a head.

    `q` linear layers in each of the two projections, projected width `proj_dim`; tokens of `n_blocks` blocks,
    each of `width`. `pool` names the head in `HEADS`: those of the paper differ in how they join blocks.
    """

    q: int
    proj_dim: int
    n_blocks: int
    width: int
    pool: str = "importance"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("q", "proj_dim", "n_blocks", "width"):
            value = getattr(self, name)
            most = MOST_LAYERS if name == "q" else MOST_WIDTH
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name} = {value!r}; allowed: a whole number from 1 to {most:,}")
        if self.pool not in HEADS:
            raise ValueError(f"pool = {self.pool!r}; choose from {sorted(HEADS)}")
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

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map block CLS tokens (B, L, D) to logits (B,) and embeddings z (B, P)."""
        g = self.proj1(self.blocks(tokens))  # (B, L, P)
        z = self.proj2(self.joined(g))  # (B, P)
        return self.head(z).squeeze(-1), z

    def blocks(self, tokens: Tensor) -> Tensor:
        """The blocks of tokens (B, L, D) that the head looks at: all of them."""
        return tokens

    @staticmethod
    def n_joined(config: HeadConfig) -> int:
        """How many blocks `blocks` leaves."""
        return config.n_blocks

    def importance(self) -> Tensor:
        """Weight of each block for each dimension of the embedding (L, P); every column sums to one."""
        return torch.softmax(self.alpha.detach()[0], dim=0)

    def joined(self, g: Tensor) -> Tensor:
        """Join the blocks of g (B, L, P) to (B, P), by their importance."""
        return (torch.softmax(self.alpha, dim=1) * g).sum(1)


class MeanHead(Head):
    """The ablation "without importance": the plain mean over blocks."""

    def importance(self) -> Tensor:
        return torch.zeros_like(self.alpha[0]) + 1 / self.config.n_blocks

    def joined(self, g: Tensor) -> Tensor:
        return g.mean(1)


class LastHead(Head):
    """The ablation "without intermediate": the last block alone."""

    def blocks(self, tokens: Tensor) -> Tensor:
        return tokens[:, -1:]

    @staticmethod
    def n_joined(config: HeadConfig) -> int:
        return 1

    def importance(self) -> Tensor:
        weights = torch.zeros_like(self.alpha[0])
        weights[-1] = 1
        return weights

    def joined(self, g: Tensor) -> Tensor:
        # the reference sums softmax(alpha) * g over L, of one block: that is g, weights sum to one
        return g.mean(1)


# Any module that is made of a `HeadConfig`, keeps it as `config`, and maps tokens (B, L, D) to logits (B,) and
# embeddings (B, P) may stand here; one that is no `Head` trains with the dropout layers that it has.
HEADS: dict[str, type[nn.Module]] = {"importance": Head, "mean": MeanHead, "last": LastHead}


def make_head(config: HeadConfig) -> Any:
    """The head that `config.pool` names, initialised as PyTorch does."""
    return HEADS[config.pool](config)


def seeded_head(config: HeadConfig, seed: int) -> Any:
    """A head with PyTorch's own initialisation from `seed`, whatever was drawn before; drawn on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_head(config)


def _projection(width: int, config: HeadConfig) -> nn.Sequential:
    widths = [width] + [config.proj_dim] * (config.q - 1)
    return nn.Sequential(nn.Dropout(config.dropout), *(m for w in widths for m in _layer(w, config)))


def _layer(width: int, config: HeadConfig) -> list[nn.Module]:
    return [nn.Linear(width, config.proj_dim), nn.ReLU(), nn.Dropout(config.dropout)]
