"""The process whose forks do the work, seen from the one that starts it, and the line to each fork."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rine.apart.budget import Budget

PRELOADED = ("rine.pixels.pictures",)
CRASHED = "what reads it crashed or ran out of memory"

_budget = Budget()


class Lost(Exception):
    """A call that gave no answer: too slow, too much memory, or its process died. `str` says which, in plain words."""


class Fork:
    """A forked process, and the connection to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.pid: int = connection.recv()

    def call(self, job: bytes, seconds: float, wall: float) -> tuple[str, Any]:
        """Have it do a job: ("answer", the result) or ("error", what was raised); raises `Lost`."""
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
    """The folder that relative paths start from."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return os.sep


class Host:
    """The process that the workers are forks of; started at the first call, and again where it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._idle: list[Fork] = []
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
    def worker(self) -> Iterator[Fork]:
        """A fork for the caller alone; it is used again afterwards, unless the block raised."""
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

    def _another(self, line: socket.socket) -> Fork:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(line, [b"+"], [theirs.fileno()])
            return Fork(Connection(ours.detach()))
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
