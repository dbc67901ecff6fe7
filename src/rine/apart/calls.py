"""Calls of functions in processes apart."""

from __future__ import annotations

import atexit
import pickle
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from rine.apart.processes import Host, Lost

T = TypeVar("T")

SECONDS = 60.0  # of a processor, that a call may take
PATIENCE = 10  # times as long it may take by the clock: a disk may be slow, and the processor busy


class Limits(TypedDict, total=False):
    """Limits of a call: seconds of a processor, and by the clock."""

    seconds: float
    wall: float


def call(function: Callable[..., T], *args: Any, seconds: float = SECONDS, wall: float | None = None) -> T:
    """Run `function(*args)`, which pickle must be able to send, in a process apart; only the calling thread waits.

    It may take `seconds` of a processor and `wall` seconds by the clock. Raises what the function raises, and `Lost`.
    """
    job = pickle.dumps((function, args))
    with _host.worker() as worker:
        kind, answer = worker.call(job, seconds, PATIENCE * seconds if wall is None else wall)
    if kind == "error":
        raise Lost(str(answer)) if isinstance(answer, MemoryError) else answer
    return answer


def start(*modules: str) -> None:
    """Start the first process in the background, with these modules imported; else the first `call` does and waits."""
    _host.start(modules)


_host = Host()
atexit.register(_host.stop)
