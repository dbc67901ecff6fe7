"""Work on files of strangers in processes apart: one may die, hang or want too much memory, and only its file is lost.

`call` runs a function in such a process. The processes are forks of one that has imported what they need and has no
threads, so that another is there in milliseconds; they wait for the next call, and end with this process.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from rine.apart.budget import Budget

T = TypeVar("T")
R = TypeVar("R")

SECONDS = 60.0  # of a processor, that a call may take
PATIENCE = 10  # times as long it may take by the clock: a disk may be slow, and the processor busy
PRELOADED = ("rine.pixels.pictures",)
CRASHED = "what reads it crashed or ran out of memory"


class Lost(Exception):
    """A call that gave no answer: too slow, too much memory, or its process died. `str` says which, in plain words."""


class Limits(TypedDict, total=False):
    """Of a call: seconds of a processor, and by the clock."""

    seconds: float
    wall: float


def call(function: Callable[..., T], *args: Any, seconds: float = SECONDS, wall: float | None = None) -> T:
    """`function(*args)`, both as pickle sends them, in a process apart; blocks its thread alone.

    It may take `seconds` of a processor and `wall` seconds by the clock. Raises what the function raises, and `Lost`.
    """
    job = pickle.dumps((function, args))
    with _host.worker() as worker:
        kind, answer = worker.call(job, seconds, PATIENCE * seconds if wall is None else wall)
    if kind == "error":
        raise Lost(str(answer)) if isinstance(answer, MemoryError) else answer
    return answer


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


def start(*modules: str) -> None:
    """Start the first process beside the caller, with these modules in it; not needed, but then nobody waits for it."""
    _host.start(modules)


class _Worker:
    """One process, and the line to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.pid: int = connection.recv()

    def call(self, job: bytes, seconds: float, wall: float) -> tuple[str, Any]:
        """The answer or the error; raises `Lost`."""
        start, reserved = time.monotonic(), 0
        try:
            self.connection.send((seconds, _folder(), job))
            while True:
                if not self.connection.poll(max(0.0, start + wall - time.monotonic())):
                    raise Lost(f"not read within {wall:.3g} s")
                kind, answer = self.connection.recv()
                if kind != "memory":
                    return kind, answer
                # so many bytes in all, before they are used
                _budget.give(reserved)
                reserved = 0
                if not _budget.take(answer, max(0.0, start + wall - time.monotonic())):
                    raise Lost(f"not read within {wall:.3g} s")
                reserved = answer
                self.connection.send(None)
        except (EOFError, OSError) as error:
            slow = time.monotonic() - start >= seconds
            raise Lost(f"not read within {seconds:.3g} s" if slow else CRASHED) from error
        finally:
            _budget.give(reserved)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.connection.close()


def _folder() -> str:
    """The folder from which relative paths lead on."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return os.sep


class _Host:
    """The process that the workers are forks of; started at the first call, and again where it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._idle: list[_Worker] = []
        self._owner = os.getpid()

    def start(self, modules: tuple[str, ...] = ()) -> None:
        with self._lock:
            self._started(modules)

    def _started(self, modules: tuple[str, ...] = ()) -> socket.socket:
        if self._owner != os.getpid():  # in a fork of ours: the line and the workers are its parent's
            self._forget()
        if self._line is None or self._process is None or self._process.poll() is not None:
            self._line, theirs = socket.socketpair()
            # -P: nothing is imported from the folder that this is run in
            command = [sys.executable, "-P", "-m", "rine.apart.host", str(theirs.fileno()), *(modules or PRELOADED)]
            single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MALLOC_ARENA_MAX": "1"}
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=os.environ | single | own,
                )
        return self._line

    @contextmanager
    def worker(self) -> Iterator[_Worker]:
        """One for the caller alone; the next may have it afterwards, unless the block raised."""
        with self._lock:
            line = self._started()
            worker = self._idle.pop() if self._idle else None
        worker = worker or self._another(line)
        try:
            yield worker
        except BaseException:  # lost, or interrupted in the middle of an answer
            worker.kill()
            raise
        with self._lock:
            self._idle.append(worker)

    def _another(self, line: socket.socket) -> _Worker:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(line, [b"+"], [theirs.fileno()])
            return _Worker(Connection(ours.detach()))
        except (EOFError, OSError) as error:
            raise Lost("no process to read it in can be started") from error

    def stop(self) -> None:
        with self._lock:
            if self._owner != os.getpid() or self._process is None or self._line is None:
                return
            for worker in self._idle:
                worker.connection.close()
            self._line.close()
            self._process.wait()
            self._forget()


_budget = Budget()
_host = _Host()
atexit.register(_host.stop)
