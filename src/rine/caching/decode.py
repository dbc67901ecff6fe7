"""Pictures to the pixels of their views, some ahead of the encoder, in processes apart."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from rine import apart
from rine.caching.views import Recipe, crops
from rine.device import usable_cores
from rine.pixels.pictures import UnreadablePicture, open_rgb, read, split


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


_TOGETHER = 32  # views that a process makes at once of pictures in one file

Pixels = np.ndarray | str  # of a picture's views (V, size, size, 3) uint8, or why there are none


def decode(source: Source, job: Job) -> Pixels:
    """Read a picture and make its views; one that cannot be read, or whose content is another now, gives the reason."""
    try:
        data = read(str(source.root / job.path), source.max_pixels)
        if hashlib.blake2b(data, digest_size=16).hexdigest() != job.digest:
            return f"{job.path}: changed since `prepare` looked at it"
        return crops(open_rgb(data, source.max_pixels), job.digest, job.views, source.recipe)
    except OSError as error:
        return f"{job.path}: {error.strerror or error}"
    except UnreadablePicture as error:
        return f"{job.path}: {error.reason}"
    except MemoryError:
        raise
    except Exception as error:  # of a library, on a picture that nobody thought of
        return f"{job.path}: its views cannot be made ({type(error).__name__}: {error})"


def decode_all(source: Source, jobs: Sequence[Job]) -> list[Pixels]:
    """`decode` each: of one archive or table, which is then open but once."""
    return [decode(source, job) for job in jobs]


def workers(asked: int | Literal["auto"], device: str) -> int:
    """How many processes decode; `auto` is one a core that this process may use, less one for a GPU's encoder."""
    if asked != "auto":
        return asked
    return usable_cores() if device.startswith("cpu") else max(usable_cores() - 1, 1)


T = TypeVar("T")


def decoded(source: Source, jobs: Iterable[tuple[T, Job]], n: int) -> Generator[tuple[T, Job, Pixels], None, None]:
    """Give each job with what came with it and its pixels, in order, made by n processes some pictures ahead.

    For n = 0 in this process, which a decoder that crashes then takes with it. Close it when it is not read to its end.
    """

    def work(some: list[tuple[T, Job]]) -> list[Pixels]:
        its = [job for _, job in some]
        try:
            return (
                apart.call(decode_all, source, its, seconds=apart.SECONDS * len(its)) if n else decode_all(source, its)
            )
        except apart.Lost as lost:
            if len(some) == 1:
                return [f"{its[0].path}: {lost}"]
            return [pixels for pair in some for pixels in work([pair])]  # which of them took the others along

    for some, made in apart.ahead(work, _together(jobs), n):
        yield from ((owner, job, pixels) for (owner, job), pixels in zip(some, made, strict=True))


def _together(jobs: Iterable[tuple[T, Job]]) -> Iterator[list[tuple[T, Job]]]:
    """Jobs in their order, in runs that lie in one archive or table; of plain files each is its own."""
    run: list[tuple[T, Job]] = []
    file, n_views = "", 0
    for owner, job in jobs:
        its, place = split(job.path)
        if run and (not place or its != file or n_views + len(job.views) > _TOGETHER):
            yield run
            run, n_views = [], 0
        run.append((owner, job))
        file, n_views = its, n_views + len(job.views)
    if run:
        yield run
