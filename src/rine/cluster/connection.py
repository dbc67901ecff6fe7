"""The cluster itself: connecting to it, and what is in it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
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
    ray = _ray()
    if ray.is_initialized():
        yield ray, True
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _connect(ray, address)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray puts its own there
        yield ray, False
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError("runtime.cluster needs Ray: pip install 'rine[ray]', or say cluster: null") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(LOCAL, num_cpus=usable_cores(), include_dashboard=False, object_store_memory=_STORE, **quiet)
        return
    try:
        if ":" in address:  # Ray itself would try for a minute
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), _SECONDS).close()
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()
        raise ConnectionError(
            f"runtime.cluster = {address!r} cannot be reached from here ({reason[0] if reason else 'no answer'}): this "
            f"machine must be one of the cluster's, by `ray start --address={address}`; see docs/clusters.md"
        ) from error


def machines(ray: Any) -> list[dict[str, float]]:
    """What each machine of the cluster has: CPU, GPU, ..."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
