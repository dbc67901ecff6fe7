"""Pictures looked at by the actors of a cluster: their facts come back, in the order of the paths."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from rine.cluster import Done, Unfit, Wanted, spread
from rine.dataset.reading import Looked, examined
from rine.params import RuntimeConfig

TOGETHER = 512  # paths of an item


class _Quiet:
    """The bar is the caller's."""

    def advance(self, n: float = 1, note: str = "") -> None: ...


class Looking:
    """On an actor: an item is some paths, and the number of the first.

    `seen`, a path and its size, is a picture that the driver sees.
    """

    def __init__(self, root: Path, max_pixels: int, seen: tuple[str, int] | None) -> None:
        self.root, self.max_pixels = root, max_pixels
        if seen and _size(root, seen[0]) != seen[1]:
            raise Unfit(f"it does not see the pictures of the driver in {root} ({seen[0]})")

    def __call__(self, item: tuple[int, list[str]]) -> Done:
        pieces = examined(self.root, item[1], self.max_pixels, None)
        return Done(len(item[1]), value=[looked for piece in pieces for looked in piece])


def examined_by(
    runtime: RuntimeConfig, root: Path, paths: Sequence[str], max_pixels: int, workers: int | None
) -> Iterator[list[Looked]]:
    """As `reading.examined`, by the actors of `runtime.cluster`, each with all the processes that it has cores for."""
    assert runtime.cluster is not None
    root = root.absolute()
    items = [(n, paths[n : n + TOGETHER]) for n in range(0, len(paths), TOGETHER)]
    seen = next(((path, size) for path in paths if (size := _size(root, path)) is not None), None)
    make = functools.partial(Looking, root, max_pixels, seen)
    wanted = Wanted(make, n=None if runtime.actors == "auto" else runtime.actors, unit="pictures", weigh=_weigh)
    waiting: dict[int, list[Looked]] = {}
    following = 0
    if not items:
        return
    with closing(spread(runtime.cluster, wanted, items, _Quiet())) as results:
        for (number, _), done in results:
            waiting[number] = done.value
            while following in waiting:
                yield waiting.pop(following)
                following += TOGETHER


def _weigh(item: tuple[int, list[str]]) -> int:
    return len(item[1])


def _size(root: Path, path: str) -> int | None:
    try:
        return (root / path).stat().st_size
    except OSError:
        return None
