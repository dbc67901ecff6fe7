"""A unit's pixels to tokens: one call a unit, which needs no other and can be made again at any time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from rine.caching.decode import Job, Pixels
from rine.caching.draft import Draft
from rine.device import usable_cores, usable_threads

if TYPE_CHECKING:
    from torch import Tensor

    from rine.encoder import Encoder

_CORES_AHEAD = 2  # batches under way for each core
_NAMED = 10  # pictures that an error names


class PicturesLost(ValueError):
    """Pictures that the index names and that cannot be read now."""


def encode_unit(
    draft: Draft,
    pictures: Iterable[tuple[Job, Pixels]],
    encoder: Encoder,
    batch: int,
    threads: Executor | None,
    writer: Executor,
) -> Future[None]:
    """Encode the rows that a unit's draft misses, from their pictures' pixels, `batch` views at a time, and store it.

    The future is done when the shard is stored: its last batches and the writing go on beside the caller's next unit.
    Idempotent: whoever makes a unit, in whatever batches and from whatever parts, stores the same file. Raises
    `PicturesLost`, with all that could be encoded kept as a part, and `store.StoreFull`.
    """
    lost: list[str] = []
    depth = _CORES_AHEAD * usable_cores() if threads else 1
    under_way: deque[tuple[list[int], Callable[[], Tensor]]] = deque()

    def land(left: int) -> None:
        """Take in the tokens of the oldest batches, until so many are under way."""
        while len(under_way) > left:
            rows, tokens = under_way.popleft()
            draft.add(rows, tokens().numpy())

    def finish() -> None:
        land(0)
        draft.finish()

    for rows, pixels in _batches(pictures, batch, lost):
        under_way.append((rows, _start(encoder, pixels, threads)))
        land(depth)
    if lost:
        land(0)
        draft.save()
        more = f"\n  and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise PicturesLost(
            "pictures that `prepare` found cannot be read now; run `rine prepare` again (without `digest` where a list "
            "is wrong about them), or bring them back:\n  " + "\n  ".join(lost[:_NAMED]) + more
        )
    return writer.submit(finish)


def _batches(
    pictures: Iterable[tuple[Job, Pixels]], size: int, lost: list[str]
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Rows and pixels (B, S, S, 3) of so many views, at last of fewer; why a picture has none is added to `lost`."""
    rows: list[int] = []
    views: list[np.ndarray] = []
    for job, pixels in pictures:
        if isinstance(pixels, str):
            lost.append(pixels)
            continue
        rows += job.rows
        views += list(pixels)
        while len(views) >= size:
            yield rows[:size], np.stack(views[:size])
            del rows[:size], views[:size]
    if views:
        yield rows, np.stack(views)


def _start(encoder: Encoder, pixels: np.ndarray, threads: Executor | None) -> Callable[[], Tensor]:
    """Send a batch on its way; the call gives its tokens (B, L, D) float16 on the CPU, once they are there."""
    import torch

    batch = torch.from_numpy(pixels)
    if threads:
        return threads.submit(encoder.encode, batch).result
    if encoder.device.startswith("cuda"):
        batch = batch.pin_memory()  # so that the copy runs beside the encoder
    tokens = encoder(batch).half()
    return lambda: encoder.checked(tokens.cpu())


@contextmanager
def encoding_threads(encoder: Encoder) -> Iterator[ThreadPoolExecutor | None]:
    """Threads for an encoder on the CPU, one a core and one core each; None for one on a device, which runs beside us.

    Batches side by side are faster than the cores joining in every product of one batch: no core waits for another,
    which on a machine that does other things as well costs most of the time.
    """
    if encoder.device != "cpu":
        yield None
        return
    import torch

    at_once, n = usable_threads(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(at_once, thread_name_prefix="encode") as pool:
            yield pool
    finally:
        torch.set_num_threads(n)
