"""Clients that connect and do not ask, ask for ever, or are too many; and a server that ends."""

from __future__ import annotations

import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rine import Detector

pytest.importorskip("fastapi", reason="rine[serve] is not installed")
pytest.importorskip("uvicorn", reason="rine[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from rine.serve import run, worker  # noqa: E402
from rine.serve.run import listen  # noqa: E402
from rine.serve.settings import ServeSettings  # noqa: E402
from served import Slow, png, post, served, tiny_detector, until, waiting  # noqa: E402  needs what was just asked for

detector = tiny_detector


def test_a_client_that_never_finishes_is_told_so(detector: Detector) -> None:
    with served(detector, ServeSettings(seconds=0.5)) as url:
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as slow:
            slow.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
            )
            slow.settimeout(10)
            assert b" 408 " in slow.recv(1000)
        assert httpx.get(f"{url}/health").status_code == 200


def test_one_connection_too_many_is_refused(detector: Detector) -> None:
    with served(detector, ServeSettings(connections=3)) as url:
        port = urlsplit(url).port or 0
        with ExitStack() as idle:
            for _ in range(3):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            until(lambda: httpx.get(f"{url}/health").status_code == 503)
        until(lambda: httpx.get(f"{url}/health").status_code == 200)  # that they have left it may learn a little later


def test_a_connection_that_asks_nothing_or_in_drops_is_closed(detector: Detector) -> None:
    with served(detector, ServeSettings(idle_seconds=0.3)) as url:
        port = urlsplit(url).port or 0
        for begun in (b"", b"GET /health HTTP/1.1\r\nHost: local"):
            with socket.create_connection(("127.0.0.1", port)) as idle:
                idle.sendall(begun)
                idle.settimeout(20)
                assert idle.recv(1000) == b""
        assert httpx.get(f"{url}/health").status_code == 200


def test_a_server_that_ends_gives_what_is_under_way_so_many_seconds(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (run, worker):
        monkeypatch.setattr(module, "SHUTDOWN", 1)
    slow = Slow(detector)
    with ThreadPoolExecutor(1) as pool:
        with served(slow, ServeSettings(seconds=30)) as url:  # type: ignore[arg-type]
            lost = pool.submit(post, url, ("a.png", png(1)))
            until(lambda: waiting(url) == 1)
            start = time.monotonic()
        assert 0.9 < time.monotonic() - start < 6
        slow.go.set()
        assert lost.exception() is not None or lost.result().status_code >= 500


def test_so_many_connections_wait_while_the_server_is_busy() -> None:
    most = min(run.BACKLOG, int(Path("/proc/sys/net/core/somaxconn").read_text()))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] != resource.RLIM_INFINITY and limit[1] < most + 500:
        pytest.skip(f"a process may open {limit[1]} files here, {most + 500} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most + 500, limit[1]), limit[1]))
    try:
        with listen(0) as server, ExitStack() as stack:  # which takes none of them

            def connect(seconds: float) -> None:
                stack.enter_context(socket.create_connection(server.getsockname(), seconds))

            for _ in range(most + 1):
                connect(10)
            with pytest.raises(TimeoutError):
                connect(0.3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
