"""The process whose forks do the work: `python -m rine.apart.host LINE MODULE...`, started by `rine.apart` alone."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rine.apart import bounds


def main(line: int, modules: list[str]) -> None:
    """Import the modules, then make a fork for each connection that comes down the line, until it is closed."""
    # Ctrl+C is for the process that started this one, which then closes the line; the system reaps forks that died
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for module in modules:
        import_module(module)
    with socket.socket(fileno=line) as requests:
        while True:
            asked, connections, _, _ = socket.recv_fds(requests, 1, 1)
            if not asked:
                return
            if os.fork() == 0:
                requests.close()
                break
            os.close(connections[0])
    # C libraries print what they dislike about a file, which would land in our output
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with suppress(EOFError, OSError):
        work(Connection(connections[0]))
    os._exit(0)


def work(connection: Connection) -> None:
    """Do one job after the other; ends with `EOFError` or `OSError` when the other side is gone."""
    connection.send(os.getpid())

    def ask(n: int) -> None:
        if n > bounds.FREE:
            connection.send(("memory", n))
            connection.recv()
            _limit_memory(n)

    bounds.ask = ask
    while True:
        seconds, folder, job = connection.recv()
        with suppress(OSError):  # a folder that is gone
            os.chdir(folder)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # at its end the process ends
        answer = _answer(job)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _limit_memory(None)
        connection.send(answer)


def _answer(job: bytes) -> tuple[str, Any]:
    try:
        # before the limit: it imports the function's modules, and OpenBLAS spins for ever where it may take no memory
        function, args = pickle.loads(job)
        _limit_memory(bounds.FREE)
        return "answer", function(*args)
    except MemoryError:
        return "error", MemoryError("reading it takes more memory than a picture of its size may")
    except Exception as error:  # goes to who called
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # one that pickle cannot carry
            return "error", RuntimeError(f"{type(error).__name__}: {error}")
        return "error", error


def _limit_memory(n: int | None) -> None:
    """Let this process take n more bytes than it has; None: as many as it likes. Linux alone counts them."""
    if sys.platform != "linux":
        return
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if n is not None:
        # program size in pages: all, resident, shared, text, 0, data and stack
        data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        n = data + n if most == resource.RLIM_INFINITY else min(data + n, most)
    resource.setrlimit(resource.RLIMIT_DATA, (most if n is None else n, most))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
