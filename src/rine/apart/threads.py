"""A few threads that work ahead of their reader, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], n: int) -> Generator[tuple[T, R], None, None]:
    """Each item with what `work` makes of it, in order, made by n threads a bounded number of items ahead.

    Close it when it is not read to its end: the threads stop then.
    """
    if n == 0:
        yield from ((item, work(item)) for item in items)
        return
    pool = ThreadPoolExecutor(n, thread_name_prefix="apart")
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > 4 * n + 4:
                item, result = waiting.popleft()
                yield item, result.result()
        while waiting:
            item, result = waiting.popleft()
            yield item, result.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
