"""The cluster itself: connecting to it, and what is in it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from rine.device import usable_cores

LOCAL = "local"
_SECONDS = 10.0  # for a cluster to answer
_STORE = 128 << 20  # bytes of Ray's own memory: items go through it, tokens never


@contextmanager
def connected(address: str) -> Iterator[tuple[Any, bool]]:
    """Ray, connected to a cluster: `local` starts one on this machine, `auto` finds the one that it belongs to.

    Raises `ImportError` without Ray and `ConnectionError` where there is no such cluster. A connection that this
    process has already is used, and kept; whether it is kept comes with it, since one that ends takes its actors along.
    """
    ray = _ray(address)
    if ray.is_initialized():
        yield ray, True
        return
    # Ray's processes end with the thread that started them, and started by the main one it would put handlers there
    with ThreadPoolExecutor(1, thread_name_prefix="ray") as thread:
        try:
            _kept_in_order(thread.submit(_connect, ray, address))
            yield ray, False
        finally:
            thread.submit(lambda: None).result()  # where an interrupt came first, Ray is there now
            with _silent():
                ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Ray's core writes to standard error itself, of every task that an interrupt ended."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _kept_in_order(connecting: Future[None]) -> None:
    """Wait until Ray is there, and keep our own answer to SIGTERM: its core puts one there that dumps a trace."""
    handler = signal.getsignal(signal.SIGTERM)
    ended = False
    while not ended:
        ended = connecting.done()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
        wait([connecting], 0.02)
    connecting.result()


def _ray(address: str) -> Any:
    if address == LOCAL:
        # read when it is imported: Ray then listens on 127.0.0.1 alone, as it does where it has no clusters
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError("runtime.cluster needs Ray: pip install 'rine[ray]', or say cluster: null") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with _in_a_group_of_their_own():
            ray.init(LOCAL, num_cpus=usable_cores(), include_dashboard=False, object_store_memory=_STORE, **quiet)
        return
    try:
        if ":" in address:  # Ray itself would try for a minute
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), _SECONDS).close()
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()
        raise ConnectionError(
            f"runtime.cluster = {address!r} cannot be reached from here ({reason[0] if reason else 'no answer'}): this "
            f"machine must be one of the cluster's, by `ray start --address={address}`, and where the cluster has a "
            "token (Ray's default) RAY_AUTH_MODE=token must be set here too; see docs/clusters.md"
        ) from error


@contextmanager
def _in_a_group_of_their_own() -> Iterator[None]:
    """What a terminal or DVC sends to our process group does not reach the processes started here: we end them.

    A raylet that got SIGTERM too would be gone at once, and take this process along before it has cleared up.
    """
    starting = [True]
    os.register_at_fork(after_in_child=lambda: os.setpgrp() if starting else None)
    try:
        yield
    finally:
        starting.clear()


def machines(ray: Any) -> list[dict[str, float]]:
    """What each machine of the cluster has: CPU, GPU, ..."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
