"""Picture files to the pixels of their views, some ahead of the encoder, in threads or processes of their own."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from rine.device import usable_cores
from rine.features.views import Recipe, crops
from rine.pixels.pictures import UnreadablePicture, open_rgb


@dataclass(frozen=True)
class Job:
    """A picture to decode once, and the (family, view) pairs to make of it."""

    path: str
    digest: str
    views: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """Where pictures lie and what is made of them; the same for all of a feature set."""

    root: Path
    recipe: Recipe
    max_pixels: int


def decode(source: Source, job: Job) -> np.ndarray | str:
    """The views' pixels uint8 (V, size, size, 3), or why there are none."""
    try:
        data = (source.root / job.path).read_bytes()
        if hashlib.blake2b(data, digest_size=16).hexdigest() != job.digest:
            return f"{job.path}: changed since `prepare` looked at it"
        return crops(open_rgb(data, source.max_pixels), job.digest, job.views, source.recipe)
    except OSError as error:
        return f"{job.path}: {error.strerror or error}"
    except UnreadablePicture as error:
        return f"{job.path}: {error.reason}"


Workers = tuple[Literal["threads", "processes"], int]


def workers(asked: int | Literal["auto"], device: str) -> Workers:
    """How to decode; `auto` is one worker a core that this process may use, less one for a GPU's encoder.

    Beside an encoder on the CPU, threads: decoders let go of Python's lock, a thread costs no start, and those that
    have nothing to wait for share the cores with the encoder's. A GPU is so much faster that the lock would hold it up:
    processes.
    """
    if device.startswith("cpu"):
        return "threads", usable_cores() if asked == "auto" else asked
    return "processes", max(usable_cores() - 1, 1) if asked == "auto" else asked


@contextmanager
def decoded(source: Source, jobs: Iterable[Job], how: Workers) -> Iterator[Iterator[np.ndarray | str]]:
    """Give the results of `decode` for the jobs in their order, made a bounded number of pictures ahead."""
    kind, n = how
    work = partial(decode, source)
    if n == 0:
        yield map(work, jobs)
        return
    executor: Executor
    if kind == "threads":
        executor = ThreadPoolExecutor(n, thread_name_prefix="decode")
    else:
        # spawn: a fork of a process with threads or a GPU may hang
        executor = ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield _ahead(executor, work, jobs, depth=4 * n + 4)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _ahead(executor: Executor, work: partial, jobs: Iterable[Job], depth: int) -> Iterator[np.ndarray | str]:
    waiting: deque[Future] = deque()
    for job in jobs:
        waiting.append(executor.submit(work, job))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
