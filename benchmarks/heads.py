"""Heads trained together, against one after the other on the same cached tokens with PyTorch's own dropout and Adam."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch

from benchmarks.made import Tokens
from benchmarks.measure import Figure, Skipped, in_turn, medians, ratios
from rine.heads import Head, HeadConfig, seeded_head
from rine.heads.tokens import rows_by_picture
from rine.params import TrainingConfig
from rine.training import Run, train
from rine.training.batches import shuffled
from rine.training.losses import total

GOALS = {128: 2.5, 256: 2.5, 512: 1.5, 1024: 1.2}
WHOLE = 1.4
BLOCKS, WIDTH, BATCH, LR = 24, 1024, 128, 1e-3  # ViT-L/14's tokens, the paper's batch and rate
XIS, QS = (0.1, 0.2, 0.4, 0.8), (1, 2, 4)
STEPS = {128: 8, 256: 4, 512: 2, 1024: 2}  # of those that share a shape; the whole 48 take one
CONFIG = TrainingConfig(batch_size=BATCH, dropout=0.5, temperature=0.07, lr_steps=(6, 11), lr_factor=0.1)


def rows(rounds: int) -> list[Figure | Skipped]:
    made: list[Figure | Skipped] = []
    for width, goal in GOALS.items():
        runs = [Run(q=2, proj_dim=width, xi=xi) for xi in XIS]
        what = f"4 heads that share q = 2, P = {width}, together"
        tokens = Tokens(STEPS[width] * BATCH, BLOCKS, WIDTH)
        made.append(_figure(tokens, runs, goal, what, rounds, f"{STEPS[width]} steps"))
    grid = [Run(q=q, proj_dim=width, xi=xi) for q, width, xi in product(QS, GOALS, XIS)]
    what = f"the paper's {len(grid)} heads together"
    made.append(_figure(Tokens(BATCH, BLOCKS, WIDTH), grid, WHOLE, what, rounds, "1 step"))
    return made


def together(tokens: Tokens, runs: Sequence[Run], config: TrainingConfig) -> list[Head]:
    return next(train(tokens, runs, config, LR, [1], "cpu"))[1]


def one_by_one(tokens: Tokens, runs: Sequence[Run], config: TrainingConfig) -> list[Head]:
    """The reference's way: each run seeds anew, reads the cache and trains its head for an epoch."""
    heads = []
    for run in runs:
        head = seeded_head(HeadConfig(run.q, run.proj_dim, tokens.n_blocks, tokens.width, dropout=config.dropout), 0)
        head.train()
        adam = torch.optim.Adam(head.parameters(), lr=LR)
        labels = torch.tensor(tokens.rows["label"].to_numpy(copy=True))
        pictures = rows_by_picture(tokens.rows)[:, 0]
        for part in shuffled(len(pictures), config.batch_size, (0, run.seed, 0)):
            logit, z = head(tokens.tokens(pictures[part]).float())
            adam.zero_grad()
            total(logit, z, labels[pictures[part]], run.xi, config.temperature).backward()
            adam.step()
        heads.append(head.eval())
    return heads


def _figure(tokens: Tokens, runs: list[Run], goal: float, what: str, rounds: int, length: str) -> Figure:
    ways = [lambda: one_by_one(tokens, runs, CONFIG), lambda: together(tokens, runs, CONFIG)]
    seconds = in_turn(ways, rounds, warm=len(runs) < 10)
    times = medians(["theirs", "ours"], seconds)
    note = f"{length} of {BATCH}, {times['ours']:.2f} s"
    return Figure("heads", what, "one after the other", ratios(seconds[:, 0], seconds[:, 1]), goal, times, note=note)
