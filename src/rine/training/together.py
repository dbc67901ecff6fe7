"""Train many heads in one pass over cached tokens (paper, section 4)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event

import numpy as np
import torch

from rine.device import each_of, usable_threads
from rine.heads import Head
from rine.heads.tokens import TokenSet, rows_by_picture
from rine.params import TrainingConfig
from rine.progress import progress
from rine.training.batches import reader, shuffled
from rine.training.members import Member, Run, batches, members_of, spread, step

_FEW_FLOPS = 10**8  # of a head's step; below, threads cost more than they bring


def train(
    features: TokenSet,
    runs: Sequence[Run],
    config: TrainingConfig,
    lr: float,
    epochs: Sequence[int],
    device: str,
    budget: int | None = None,
    dtype: torch.dtype = torch.float32,
    masks: Mapping[str, np.ndarray] | None = None,
) -> Iterator[tuple[int, list[Head]]]:
    """Train all runs together; after each of `epochs` yield it and their heads, in the order of `runs`.

    Every row of `features` is a view of a training picture; epoch e (from 0) uses view e mod V of each. What
    a run becomes depends on itself alone: runs that are trained beside it change no bit of it. Runs of one
    seed share the order of the pictures and the input's dropout masks; those that also share q, proj_dim and
    pool share the initialisation and all masks, as in the reference, which seeds anew for each run. So tokens
    are read, upcast and masked once for all of them.

    Where `device` stands for several (`cuda`, for all GPUs), the runs are spread over them.

    The heads are those in training (on several devices, copies on the first) in evaluation mode: use or copy them
    before the next is asked for. A run that names one of `masks` (N,) learns from those rows alone: of each batch it
    takes what is among them.
    `budget` is the memory in bytes that tokens may stay in (see `rine.training.batches.reader`). Raises `ValueError`
    where there is nothing to learn.
    """
    masks = masks or {}
    last = _check(features, runs, epochs, masks)
    before, at_once = torch.get_num_threads(), 1
    if device == "cpu" and (before == 1 or _flops(features, runs, config) < _FEW_FLOPS):
        # a thread for each seed, since a single step has too little for two
        at_once = usable_threads()
        torch.set_num_threads(1)
    try:
        yield from _train(features, runs, config, lr, epochs, last, device, budget, dtype, masks, at_once)
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
    masks: Mapping[str, np.ndarray],
    at_once: int,
) -> Iterator[tuple[int, list[Head]]]:
    pictures = rows_by_picture(features.rows)  # (N, V)
    labels = torch.as_tensor(features.rows["label"].to_numpy(np.int64)[pictures[:, 0]])
    views = [pictures[:, epoch % pictures.shape[1]] for epoch in range(last)]
    devices = each_of(device)
    places = spread(runs, devices)
    needed = np.concatenate(views[: pictures.shape[1]])
    seen = {name: torch.from_numpy(mask[pictures[:, 0]]) for name, mask in masks.items()}
    on = {
        place: (
            reader(features, needed, place, budget),
            labels.to(place),
            {name: mask.to(place) for name, mask in seen.items()},
        )
        for place in dict.fromkeys(places)
    }
    members = members_of(runs, features, config, places, dtype)
    groups: dict[tuple[str, int], list[Member]] = {}
    for place, member in zip(places, members, strict=True):
        groups.setdefault((place, member.run.seed), []).append(member)
    at_once = max(at_once, len(on))
    if not all(isinstance(member.head, Head) for member in members):
        at_once = 1  # the dropout of other heads draws from PyTorch's one generator

    n_batches = len(shuffled(len(pictures), config.batch_size, (0,)))
    done = 0
    for eval_epoch in sorted(set(epochs)):
        title = f"training {len(runs)} heads, epochs {done + 1} to {eval_epoch}"
        with progress((eval_epoch - done) * n_batches * len(runs), "run step", title) as bar:

            def go_on(
                key: tuple[str, int], group: list[Member], stopped: Event, first: int = done, end: int = eval_epoch
            ) -> None:
                (read, its, kept), seed = on[key[0]], key[1]
                for epoch in range(first, end):
                    rate = learning_rate(epoch + 1, lr, config)
                    for batch in batches(read, views[epoch], its, kept, (seed, epoch), config, dtype):
                        if stopped.is_set():
                            return
                        step(group, batch, rate, config, bar)

            _all(go_on, groups, at_once)
        done = eval_epoch
        heads = [member.head for member in members]
        yield eval_epoch, heads if len(on) == 1 else [copy.deepcopy(head).to(devices[0]) for head in heads]


Key = tuple[str, int]  # device and seed


def _all(work: Callable[[Key, list[Member], Event], None], groups: dict[Key, list[Member]], at_once: int) -> None:
    """Do the work of each group, so many at once; where one fails the others stop."""
    stopped = Event()
    if at_once == 1 or len(groups) == 1:
        for key, group in groups.items():
            work(key, group, stopped)
        return
    with ThreadPoolExecutor(at_once) as pool:
        started = [pool.submit(work, key, group, stopped) for key, group in groups.items()]
        try:
            for one in as_completed(started):
                one.result()
        finally:
            stopped.set()


def learning_rate(epoch: int, lr: float, config: TrainingConfig) -> float:
    """Learning rate of an epoch (from 1): `lr` times `lr_factor` for each of `lr_steps` reached by then."""
    return lr * config.lr_factor ** sum(epoch >= step for step in config.lr_steps)


def _check(features: TokenSet, runs: Sequence[Run], epochs: Sequence[int], masks: Mapping[str, np.ndarray]) -> int:
    """Return the last epoch; raise where there is nothing to train, or nothing to learn."""
    if not runs or not epochs or min(epochs) < 1:
        raise ValueError(f"training needs runs, and epochs from 1; got {len(runs)} runs, epochs {list(epochs)}")
    counts = {label: int((features.rows["label"] == label).sum()) for label in (0, 1)}
    if min(counts.values()) == 0 or sum(counts.values()) < len(features.rows):
        raise ValueError(
            f"training needs pictures of label 0 (real) and 1 (synthetic) and no other; "
            f"of {len(features.rows)} rows {counts[0]} are real and {counts[1]} synthetic"
        )
    for name in sorted({run.rows for run in runs if run.rows}):
        left = [int((masks[name] & (features.rows["label"] == label).to_numpy()).sum()) for label in (0, 1)]
        if min(left) == 0:
            raise ValueError(
                f"{name}: {left[0]} real and {left[1]} synthetic rows are left to learn from; some of each are needed"
            )
    return max(epochs)
