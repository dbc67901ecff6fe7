"""The sample: procedural pictures in the layouts of the real data sets, the same bytes on every machine of a kind.

`layout` says which files there are, `scenes` and `cameras` make what stands for photographs, `simulated` what stands
for generators' outputs, `folder` writes them and keeps what is there. Figures made from them show that the pipeline
works and say nothing about any method.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from rine.sample.cameras import camera_of, taken
from rine.sample.folder import SampleError, check, keep_or_write, own_files, read_mark, write_mark
from rine.sample.layout import Item, Sizes, lists, pictures
from rine.sample.pixels import rng_of
from rine.sample.scenes import SCENES, paint
from rine.sample.simulated import generated

__all__ = ["SampleError", "Sizes", "make_sample", "render"]

Track = Callable[[Iterable, int, str], Iterable]


def make_sample(
    root: Path, sizes: Sizes | None = None, seed: int = 0, *, workers: int | None = None, track: Track | None = None
) -> dict[str, int]:
    """Fill an empty or missing folder with the sample; return how many pictures each top folder has.

    The last count is `new`: how many of them were not there before.

    Where the same sample is already there and whole, nothing is written; where it was killed half-way, the rest is
    written. Nothing that is there is replaced.

    `workers` changes the time only (None: one for each processor); `track(files, total, description)` shows progress.

    Raises SampleError when the folder holds any other file, or one of the sample's files with other bytes.
    """
    root, sizes = Path(root), sizes or Sizes()
    items, texts = pictures(sizes), lists(sizes)
    settings = {"seed": seed, "sizes": asdict(sizes)}
    here = own_files(root, [*texts, *(item.path for item in items)])
    digests = read_mark(root, settings)
    counts = dict(sorted(Counter(item.path.split("/")[0] for item in items).items()))
    counts["new"] = sum(item.path not in here for item in items)
    check(root, digests)
    if digests and digests.keys() <= here:
        return counts

    root.mkdir(parents=True, exist_ok=True)
    write_mark(root, settings, {})
    digests = {path: keep_or_write(root / path, text.encode()) for path, text in texts.items()}
    digests |= dict(_written(root, items, seed, workers, track or (lambda files, total, description: files)))
    write_mark(root, settings, digests)
    return counts


def render(item: Item, seed: int) -> bytes:
    """The file of one picture: a pure function of the item and the seed."""
    rng = rng_of(seed, item.path)
    scene = SCENES[item.scene]
    image = taken(paint(scene, *item.shape, rng), scene, camera_of(item.source, seed), rng)
    if item.generator:
        image = generated(image, item.generator, rng)
    pixels = Image.fromarray(np.rint(image * np.float32(255)).astype(np.uint8))
    file = io.BytesIO()
    if item.path.endswith(".png"):
        # Huffman coding alone: four times as fast as matching for 5 % more bytes, and no search for matches, which
        # libraries do differently from one processor to the next
        pixels.save(file, "PNG", compress_type=zlib.Z_HUFFMAN_ONLY)
    else:
        pixels.save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def _written(root: Path, items: list[Item], seed: int, workers: int | None, track: Track) -> Iterator[tuple[str, str]]:
    """(path, digest) of every picture, each rendered, and written where it is not there yet."""
    workers = workers or os.cpu_count() or 1
    jobs = [(root, item, seed) for item in items]
    if workers == 1:
        yield from track(map(_make, jobs), len(jobs), "sample")
        return
    # spawn: a fork of a process with threads (torch, a progress bar) can hang
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        yield from track(pool.map(_make, jobs, chunksize=8), len(jobs), "sample")


def _end_with_parent() -> None:
    """Let a worker end when who started it was killed: it holds both ends of its queue, and would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _make(job: tuple[Path, Item, int]) -> tuple[str, str]:
    root, item, seed = job
    return item.path, keep_or_write(root / item.path, render(item, seed))
