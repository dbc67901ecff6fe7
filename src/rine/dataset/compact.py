"""Many addresses, and pictures that are alike but for their address, in little memory: with millions it counts."""

from __future__ import annotations

import copy
import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # every command imports this, before the study's arithmetic is set
    import numpy as np


class Texts(Sequence[str]):
    """Texts in eight bytes more than their own, where Python's take sixty; each is made when it is asked for."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        self._bytes += text.encode("utf-8", "surrogateescape")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        ends = zip(self._ends, islice(self._ends, 1, None), strict=False)
        return (self._bytes[start:end].decode("utf-8", "surrogateescape") for start, end in ends)


class Pictures(Sequence[Any]):
    """Pictures, or another record that begins with a path, in some twelve bytes more than the path's own.

    Each is one of a few `kinds`, but for its path.
    """

    def __init__(self, pictures: Iterable[Any]) -> None:
        self.paths, self._kinds = Texts(), array("i")
        self.kinds: list[Any] = []
        numbers: dict[tuple[Any, ...], int] = {}
        for picture in pictures:
            self.paths.append(picture.path)
            self._kinds.append(numbers.setdefault(picture[1:], len(numbers)))
            if len(self.kinds) < len(numbers):
                self.kinds.append(picture._replace(path=""))

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return tuple(self[each] for each in range(*number.indices(len(self))))
        return self.kinds[self._kinds[number]]._replace(path=self.paths[number])

    def numbers(self) -> np.ndarray:
        """Which of `kinds` each picture (n,) is."""
        import numpy as np

        return np.frombuffer(self._kinds, np.intc)

    def changed(self, change: Callable[[Any], Any]) -> Pictures:
        """What `change`, asked once a kind, makes of the pictures; those of which it makes None are left out."""
        made = [change(kind) for kind in self.kinds]
        if None in made:
            kept = (
                made[kind] and made[kind]._replace(path=path)
                for path, kind in zip(self.paths, self._kinds, strict=True)
            )
            return Pictures(filter(None, kept))
        others = copy.copy(self)
        others.kinds = made
        return others

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def numbered(lists: Mapping[str, Texts]) -> tuple[Texts, dict[str, np.ndarray]]:
    """All texts of the lists, sorted, each once; and the number that each text of a list has there."""
    import numpy as np

    numbers = {name: np.empty(len(texts), np.int32) for name, texts in lists.items()}

    def inorder(name: str, texts: Texts) -> Iterator[tuple[str, str, int]]:
        follows = all(a <= b for a, b in pairwise(texts))  # as most lists are found
        order = range(len(texts)) if follows else array("i", sorted(range(len(texts)), key=texts.__getitem__))
        return ((texts[at], name, at) for at in order)

    every, last = Texts(), None
    for text, name, at in heapq.merge(*(inorder(*each) for each in lists.items())):
        if text != last:
            every.append(text)
            last = text
        numbers[name][at] = len(every) - 1
    return every, numbers
