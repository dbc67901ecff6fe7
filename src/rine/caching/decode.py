"""Picture files to the pixels of their views, some ahead of the encoder, in threads or processes of their own."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from rine.caching.views import Recipe, crops
from rine.device import usable_cores
from rine.pixels.pictures import UnreadablePicture, open_rgb


@dataclass(frozen=True)
class Job:
    """A picture to decode once, and the (family, view) pairs to make of it."""

    path: str
    digest: str
    views: tuple[tuple[str, str], ...]
    rows: tuple[int, ...]  # what the unit numbers each view


@dataclass(frozen=True)
class Source:
    """Where pictures lie and what is made of them; the same for all of a feature set."""

    root: Path
    recipe: Recipe
    max_pixels: int


Pixels = np.ndarray | str  # of a picture's views (V, size, size, 3) uint8, or why there are none


def decode(source: Source, job: Job) -> Pixels:
    """Read a picture and make its views; one that cannot be read, or whose content is another now, gives the reason."""
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


T = TypeVar("T")


def decoded(
    source: Source, jobs: Iterable[tuple[T, Job]], how: Workers
) -> Generator[tuple[T, Job, Pixels], None, None]:
    """Give each job with what came with it and its pixels, in order, made a bounded number of pictures ahead.

    Close it when it is not read to its end: the workers stop then.
    """
    kind, n = how
    work = partial(decode, source)
    if n == 0:
        yield from ((owner, job, work(job)) for owner, job in jobs)
        return
    # spawn: a fork of a process with threads or a GPU may hang
    spawn = multiprocessing.get_context("spawn")
    pool: Executor = ThreadPoolExecutor(n) if kind == "threads" else ProcessPoolExecutor(n, mp_context=spawn)
    waiting: deque[tuple[T, Job, Future[Pixels]]] = deque()
    try:
        for owner, job in jobs:
            waiting.append((owner, job, pool.submit(work, job)))
            if len(waiting) > 4 * n + 4:
                owner, job, pixels = waiting.popleft()
                yield owner, job, pixels.result()
        while waiting:
            owner, job, pixels = waiting.popleft()
            yield owner, job, pixels.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
