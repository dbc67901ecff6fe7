"""Pictures looked at by the actors of a cluster: their facts come back, in the order of the paths."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from rine.cluster import Done, Unfit, Wanted, spread
from rine.dataset.reading import Looked, examined
from rine.params import RuntimeConfig

TOGETHER = 512  # paths of an item
Item = tuple[int, list[str], dict[str, str]]  # the number of the first path, the paths, what lists say of them


class _Quiet:
    """The bar is the caller's."""

    def advance(self, n: float = 1, note: str = "") -> None: ...


class Looking:
    """On an actor; `seen`, a path and its size, is a picture that the driver sees."""

    def __init__(self, root: Path, max_pixels: int, seen: tuple[str, int] | None) -> None:
        self.root, self.max_pixels = root, max_pixels
        if seen and _size(root, seen[0]) != seen[1]:
            raise Unfit(f"it does not see the pictures of the driver in {root} ({seen[0]})")

    def __call__(self, item: Item) -> Done:
        pieces = examined(self.root, item[1], self.max_pixels, None, item[2])
        return Done(len(item[1]), value=[looked for piece in pieces for looked in piece])


def examined_by(
    runtime: RuntimeConfig,
    root: Path,
    paths: list[str],
    max_pixels: int,
    workers: int | None,
    said: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[list[Looked]]:
    """As `reading.examined`, by the actors of `runtime.cluster`, each with all the processes that it has cores for."""
    assert runtime.cluster is not None
    root = root.absolute()
    items: list[Item] = [
        (n, some, {path: said[path] for path in some if path in said})
        for n in range(0, len(paths), TOGETHER)
        for some in [paths[n : n + TOGETHER]]
    ]
    seen = next(((path, size) for path in paths if (size := _size(root, path)) is not None), None)
    make = functools.partial(Looking, root, max_pixels, seen)
    wanted = Wanted(make, n=None if runtime.actors == "auto" else runtime.actors, unit="pictures", weigh=_weigh)
    waiting: dict[int, list[Looked]] = {}
    following = 0
    if not items:
        return
    with closing(spread(runtime.cluster, wanted, items, _Quiet())) as results:
        for (number, *_), done in results:
            waiting[number] = done.value
            while following in waiting:
                yield waiting.pop(following)
                following += TOGETHER


def _weigh(item: Item) -> int:
    return len(item[1])


def _size(root: Path, path: str) -> int | None:
    try:
        return (root / path).stat().st_size
    except OSError:
        return None
