"""Train many heads in one pass over cached tokens (paper, section 4)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rine.heads import Head, HeadConfig, seeded_head
from rine.heads.tokens import TokenSet, ahead, rows_by_picture
from rine.params import TrainingConfig
from rine.progress import Bar, progress
from rine.training.batches import Read, reader, shuffled
from rine.training.losses import total
from rine.training.masks import dropout_masks, mask_shapes, masked_forward, seeded_forward

# what a draw is for: the first word of its key, so that no two draws share a key
_ORDER, _INPUT, _HIDDEN = range(3)
_FEW_FLOPS = 10**8  # of a head's step; below, threads cost more than they bring


@dataclass(frozen=True)
class Run:
    """What to train: `q`, `proj_dim` and `pool` shape the head, `xi` weighs the contrastive loss."""

    q: int
    proj_dim: int
    xi: float
    pool: str = "importance"
    seed: int = 0


@dataclass
class _Member:
    """A run in training."""

    run: Run
    head: Head
    adam: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.adam = torch.optim.Adam(self.head.parameters(), fused=True)


@dataclass(frozen=True)
class _Batch:
    """What all runs of one seed share in a step: tokens (B, L, D) after the input's dropout, labels (B,)."""

    tokens: Tensor
    labels: Tensor
    step: tuple[int, int, int]  # seed, epoch, number of the batch


def train(
    features: TokenSet,
    runs: Sequence[Run],
    config: TrainingConfig,
    lr: float,
    epochs: Sequence[int],
    device: str,
    budget: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[int, list[Head]]]:
    """Train all runs together; after each of `epochs` yield it and their heads, in the order of `runs`.

    Every row of `features` is a view of a training picture; epoch e (from 0) uses view e mod V of each. What
    a run becomes depends on itself alone: runs that are trained beside it change no bit of it. Runs of one
    seed share the order of the pictures and the input's dropout masks; those that also share q, proj_dim and
    pool share the initialisation and all masks, as in the reference, which seeds anew for each run. So tokens
    are read, upcast and masked once for all of them.

    The heads are those in training, in evaluation mode: use or copy them before the next is asked for.
    `budget` is the memory in bytes that tokens may stay in (see `rine.training.batches.reader`). Raises `ValueError`
    where there is nothing to learn.
    """
    last = _check(features, runs, epochs)
    before = torch.get_num_threads()
    if device == "cpu" and _flops(features, runs, config) < _FEW_FLOPS:
        torch.set_num_threads(1)
    try:
        yield from _train(features, runs, config, lr, epochs, last, device, budget, dtype)
    finally:
        torch.set_num_threads(before)


def _flops(features: TokenSet, runs: Sequence[Run], config: TrainingConfig) -> int:
    """Operations of the widest head's first layer in one step."""
    return 2 * config.batch_size * features.n_blocks * features.width * max(run.proj_dim for run in runs)


def _train(
    features: TokenSet,
    runs: Sequence[Run],
    config: TrainingConfig,
    lr: float,
    epochs: Sequence[int],
    last: int,
    device: str,
    budget: int | None,
    dtype: torch.dtype,
) -> Iterator[tuple[int, list[Head]]]:
    pictures = rows_by_picture(features.rows)  # (N, V)
    labels = torch.as_tensor(features.rows["label"].to_numpy(np.int64)[pictures[:, 0]], device=device)
    views = [pictures[:, epoch % pictures.shape[1]] for epoch in range(last)]
    read = reader(features, np.concatenate(views[: pictures.shape[1]]), device, budget)
    members = _members(runs, features, config, device, dtype)

    n_batches = len(shuffled(len(pictures), config.batch_size, (0,)))
    done = 0
    for eval_epoch in sorted(set(epochs)):
        title = f"training {len(runs)} heads, epochs {done + 1} to {eval_epoch}"
        with progress((eval_epoch - done) * n_batches * len(runs), "run step", title) as bar:
            for epoch in range(done, eval_epoch):
                rate = learning_rate(epoch + 1, lr, config)
                for (seed,), group in _grouped(members, "seed").items():
                    for batch in _batches(read, views[epoch], labels, (seed, epoch), config, dtype):
                        _step(group, batch, rate, config, bar)
        done = eval_epoch
        yield eval_epoch, [member.head for member in members]


def learning_rate(epoch: int, lr: float, config: TrainingConfig) -> float:
    """Learning rate of an epoch (from 1): `lr` times `lr_factor` for each of `lr_steps` reached by then."""
    return lr * config.lr_factor ** sum(epoch >= step for step in config.lr_steps)


def _check(features: TokenSet, runs: Sequence[Run], epochs: Sequence[int]) -> int:
    """Return the last epoch; raise where there is nothing to train, or nothing to learn."""
    if not runs or not epochs or min(epochs) < 1:
        raise ValueError(f"training needs runs, and epochs from 1; got {len(runs)} runs, epochs {list(epochs)}")
    counts = {label: int((features.rows["label"] == label).sum()) for label in (0, 1)}
    if min(counts.values()) == 0 or sum(counts.values()) < len(features.rows):
        raise ValueError(
            f"training needs pictures of label 0 (real) and 1 (synthetic) and no other; "
            f"of {len(features.rows)} rows {counts[0]} are real and {counts[1]} synthetic"
        )
    return max(epochs)


def _members(
    runs: Sequence[Run], features: TokenSet, config: TrainingConfig, device: str, dtype: torch.dtype
) -> list[_Member]:
    """Give each run its head; runs that differ in `xi` alone start from the same one."""
    first: dict[tuple[HeadConfig, int], Head] = {}
    members = []
    for run in runs:
        shape = HeadConfig(run.q, run.proj_dim, features.n_blocks, features.width, run.pool, config.dropout)
        if (shape, run.seed) not in first:
            first[shape, run.seed] = seeded_head(shape, run.seed).eval()
        head = copy.deepcopy(first[shape, run.seed]).to(device=device, dtype=dtype)
        members.append(_Member(run, head))
    return members


def _grouped(members: Sequence[_Member], *names: str) -> dict[tuple, list[_Member]]:
    """Members by the values of these fields of their run."""
    groups: dict[tuple, list[_Member]] = {}
    for member in members:
        groups.setdefault(tuple(getattr(member.run, name) for name in names), []).append(member)
    return groups


def _batches(
    read: Read,
    rows: np.ndarray,
    labels: Tensor,
    key: tuple[int, int],
    config: TrainingConfig,
    dtype: torch.dtype,
) -> Iterator[_Batch]:
    """The batches of one seed and epoch, `key`; `rows` (N,) and `labels` (N,) of the pictures."""
    parts = shuffled(len(rows), config.batch_size, (_ORDER, *key))
    for number, (part, tokens) in enumerate(zip(parts, ahead(read, (rows[p] for p in parts)), strict=True)):
        step = (*key, number)
        tokens = tokens.to(dtype)
        if config.dropout:
            # all blocks for every pool, so that heads with and without the intermediate ones can share it
            shapes, place = [tuple(tokens.shape)], tokens.device
            tokens = tokens * dropout_masks(shapes, config.dropout, (_INPUT, *step), place, dtype)[0]
        yield _Batch(tokens, labels[torch.from_numpy(part).to(labels.device)], step)


def _step(members: Sequence[_Member], batch: _Batch, rate: float, config: TrainingConfig, bar: Bar) -> None:
    """One step of Adam for every member.

    A plain loop over heads: with their parameters stacked into batched products a step took as long at
    P = 128 and up to twice as long at P = 1024, where one head's activations fill the processor's cache.
    """
    for (q, proj_dim, _), group in _grouped(members, "q", "proj_dim", "pool").items():
        masks: list[Tensor | None] = []
        key = (_HIDDEN, *batch.step, q, proj_dim)
        ours = isinstance(group[0].head, Head)
        if config.dropout and ours:
            shapes = mask_shapes(group[0].head.config, len(batch.labels))[1:]
            device, dtype = batch.tokens.device, batch.tokens.dtype
            masks = [None, *dropout_masks(shapes, config.dropout, key, device, dtype)]
        for member in group:
            head = member.head
            if config.dropout and ours:
                logit, z = masked_forward(head, batch.tokens, masks)
            else:
                logit, z = head(batch.tokens) if ours else seeded_forward(head, batch.tokens, key)
            member.adam.zero_grad()
            total(logit, z, batch.labels, member.run.xi, config.temperature).backward()
            member.adam.param_groups[0]["lr"] = rate
            member.adam.step()
        bar.advance(len(group))
