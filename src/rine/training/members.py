"""Runs in training: the head of each, the batches that those of one seed share, one step of all."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rine.heads import Head, HeadConfig, seeded_head
from rine.heads.tokens import TokenSet, ahead
from rine.params import TrainingConfig
from rine.progress import Bar
from rine.training.batches import Read, shuffled
from rine.training.losses import total
from rine.training.masks import dropout_masks, mask_shapes, masked_forward, seeded_forward

# what a draw is for: the first word of its key, so that no two draws share a key
_ORDER, _INPUT, _HIDDEN = range(3)


@dataclass(frozen=True)
class Run:
    """What to train: `q`, `proj_dim` and `pool` shape the head, `xi` weighs the contrastive loss.

    `rows` names what it learns from, one of the masks that `train` is given; all pictures where it is empty.
    """

    q: int
    proj_dim: int
    xi: float
    pool: str = "importance"
    seed: int = 0
    rows: str = ""


@dataclass
class Member:
    """A run in training."""

    run: Run
    head: Head
    adam: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.adam = torch.optim.Adam(self.head.parameters(), fused=True)


@dataclass(frozen=True)
class Batch:
    """What all runs of one seed share in a step: tokens (B, L, D) after the input's dropout, labels (B,)."""

    tokens: Tensor
    labels: Tensor
    step: tuple[int, int, int]  # seed, epoch, number of the batch
    masks: Mapping[str, Tensor]  # (B,), by the name that a run calls them

    def seen(self, rows: str) -> Batch:
        """The part of the batch that a run with these rows learns from."""
        return (
            replace(self, tokens=self.tokens[self.masks[rows]], labels=self.labels[self.masks[rows]]) if rows else self
        )


def members_of(
    runs: Sequence[Run], features: TokenSet, config: TrainingConfig, devices: Sequence[str], dtype: torch.dtype
) -> list[Member]:
    """Give each run its head, on its device; runs that differ in `xi` alone start from the same one."""
    first: dict[tuple[HeadConfig, int], Head] = {}
    members = []
    for run, device in zip(runs, devices, strict=True):
        shape = HeadConfig(run.q, run.proj_dim, features.n_blocks, features.width, run.pool, config.dropout)
        if (shape, run.seed) not in first:
            first[shape, run.seed] = seeded_head(shape, run.seed).eval()
        head = copy.deepcopy(first[shape, run.seed]).to(device=device, dtype=dtype)
        members.append(Member(run, head))
    return members


def spread(runs: Sequence[Run], devices: Sequence[str]) -> list[str]:
    """A device for each run, with as much to do on each; runs that share all masks stay together."""
    alike: dict[tuple[int, int, int, str], list[int]] = {}
    for number, run in enumerate(runs):
        alike.setdefault((run.proj_dim, run.q, run.seed, run.pool), []).append(number)
    places, load = [""] * len(runs), dict.fromkeys(devices, 0)
    for (proj_dim, _, _, _), numbers in sorted(alike.items(), reverse=True):
        place = min(load, key=load.__getitem__)
        load[place] += proj_dim * len(numbers)  # most of a step is the first layer, which is so wide
        for number in numbers:
            places[number] = place
    return places


def grouped(members: Sequence[Member], *names: str) -> dict[tuple, list[Member]]:
    """Members by the values of these fields of their run."""
    groups: dict[tuple, list[Member]] = {}
    for member in members:
        groups.setdefault(tuple(getattr(member.run, name) for name in names), []).append(member)
    return groups


def batches(
    read: Read,
    rows: np.ndarray,
    labels: Tensor,
    masks: Mapping[str, Tensor],
    key: tuple[int, int],
    config: TrainingConfig,
    dtype: torch.dtype,
) -> Iterator[Batch]:
    """The batches of one seed and epoch, `key`; `rows`, `labels` and `masks` (N,) of the pictures."""
    parts = shuffled(len(rows), config.batch_size, (_ORDER, *key))
    for number, (part, tokens) in enumerate(zip(parts, ahead(read, (rows[p] for p in parts)), strict=True)):
        step = (*key, number)
        tokens = tokens.to(dtype)
        if config.dropout:
            # all blocks for every pool, so that heads with and without the intermediate ones can share it
            shapes, place = [tuple(tokens.shape)], tokens.device
            tokens = tokens * dropout_masks(shapes, config.dropout, (_INPUT, *step), place, dtype)[0]
        here = torch.from_numpy(part).to(labels.device)
        yield Batch(tokens, labels[here], step, {name: mask[here] for name, mask in masks.items()})


def step(members: Sequence[Member], batch: Batch, rate: float, config: TrainingConfig, bar: Bar) -> None:
    """One step of Adam for every member.

    A plain loop over heads: with their parameters stacked into batched products a step took as long at
    P = 128 and up to twice as long at P = 1024, where one head's activations fill the processor's cache.
    """
    for (q, proj_dim, _, rows), group in grouped(members, "q", "proj_dim", "pool", "rows").items():
        bar.advance(len(group))
        seen = batch.seen(rows)
        if not len(seen.labels):
            continue
        masks: list[Tensor | None] = []
        key = (_HIDDEN, *batch.step, q, proj_dim)
        ours = isinstance(group[0].head, Head)
        if config.dropout and ours:
            shapes = mask_shapes(group[0].head.config, len(seen.labels))[1:]
            device, dtype = seen.tokens.device, seen.tokens.dtype
            masks = [None, *dropout_masks(shapes, config.dropout, key, device, dtype)]
        for member in group:
            head = member.head
            if config.dropout and ours:
                logit, z = masked_forward(head, seen.tokens, masks)
            else:
                logit, z = head(seen.tokens) if ours else seeded_forward(head, seen.tokens, key)
            member.adam.zero_grad()
            total(logit, z, seen.labels, member.run.xi, config.temperature).backward()
            member.adam.param_groups[0]["lr"] = rate
            member.adam.step()
