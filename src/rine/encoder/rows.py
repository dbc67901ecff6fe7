"""What an entry keeps of a tower: of which blocks, where each is tapped, and which rows make its token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rine.encoder.catalogue import Tower
from rine.encoder.config import EncoderConfig, Tap, Token

if TYPE_CHECKING:
    from torch import Tensor


# Of a plain tower's last block with CLS tokens: the CLS row, and some more, since products of fewer rows sum in another
# order by place
QUERIES = 16


class UnusableTower(ValueError):
    """A tower that gives no such tokens; the message says why, and what to name instead."""


@dataclass(frozen=True)
class Rows:
    """Called with what a block gives, (B, T, D), CLS first, then registers, then patches: the block's token (B, k D).

    Raises `UnusableTower` for rows that the tower has not.
    """

    tap: Tap
    token: Token
    cls: bool  # whether the tower has a CLS row
    registers: int

    def __post_init__(self) -> None:
        there = tokens(self.cls, self.registers)
        if self.token not in there:
            lacks = "no registers" if self.cls else "no CLS token"
            raise UnusableTower(
                f"token = {self.token!r}: the tower has {lacks}; it gives {', '.join(there)}: say token: {there[0]}"
            )

    @property
    def n(self) -> int:
        """k: by how many times the token is wider than the tower."""
        return {"cls+mean": 2, "cls+registers": 1 + self.registers}.get(self.token, 1)

    def __call__(self, x: Tensor) -> Tensor:
        first = self.cls + self.registers
        if self.token == "cls":
            return x[:, 0].clone()
        if self.token == "cls+registers":
            return x[:, :first].flatten(1).clone()
        mean = x[:, first:].mean(dim=1)
        if self.token == "mean":
            return mean
        import torch  # here alone: what a token is can be asked without it

        return torch.cat([x[:, 0], mean], dim=1)


def tokens(cls: bool, registers: int) -> tuple[Token, ...]:
    """What `token` may be, of a tower with such rows before its patches."""
    if not cls:
        return ("mean", "pooled")
    return (
        ("cls", "mean", "cls+mean", "cls+registers", "pooled") if registers else ("cls", "mean", "cls+mean", "pooled")
    )


def layout(tower: Tower, config: EncoderConfig) -> tuple[Rows, tuple[int, ...]]:
    """What an entry takes of a plain tower: which rows, and of which blocks (by number, from 1)."""
    assert tower.shape is not None
    tap, token, chosen = config.tap, config.token, numbers(config, tower.shape.layers)
    if token == "pooled":  # CLIP pools by its CLS row under the final norm
        tap, token, chosen = "block_normed", "cls", (tower.shape.layers,)
    return Rows(tap, token, tower.shape.cls, tower.shape.registers), chosen


def numbers(config: EncoderConfig, depth: int) -> tuple[int, ...]:
    """The blocks that an entry names, of a tower of so many; raises `UnusableTower` for one that is not there."""
    if config.blocks == "all":
        return tuple(range(1, depth + 1))
    if config.blocks[-1] > depth:
        raise UnusableTower(f"blocks = {list(config.blocks)}: the tower of {config.name} has blocks 1 to {depth}")
    return config.blocks
