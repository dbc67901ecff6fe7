"""The server on a free port of this machine, as long as a block lasts, and what asks it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from PIL import Image

import tiny_model
from rine import Detector
from rine.serve.run import config, listen
from rine.serve.settings import HOST, ServeSettings


@pytest.fixture(scope="module")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with tiny_model.model_in(tmp_path_factory.mktemp("study")) as path:
        yield replace(Detector.load(path, device="cpu"), max_pixels=1_000_000)


@pytest.fixture(scope="module")
def small_server(detector: Detector) -> Iterator[str]:
    """The address of a server whose limits a test can meet."""
    with served(detector, ServeSettings(upload_mb=1, files=5, seconds=20)) as address:
        yield address


@contextmanager
def served(detector: Detector, settings: ServeSettings, port: socket.socket | None = None) -> Iterator[str]:
    """Serve in a thread, at a free port or one that is listened at, and give the address; ends with the block."""
    with port.dup() if port else listen(0) as listening:
        server = uvicorn.Server(config(detector, settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        assert server.started, "the server did not start"
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def png(seed: int, side: int = 64) -> bytes:
    file = BytesIO()
    Image.fromarray(tiny_model.crop(seed, side)).save(file, "PNG")
    return file.getvalue()


def post(url: str, *files: tuple[str, bytes], path: str = "predict", field: str = "files", **more: Any) -> Any:
    return httpx.post(f"{url}/{path}", files=[(field, file) for file in files], timeout=60, **more)


def raw(url: str, body: bytes, query: str = "") -> Any:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return httpx.post(f"{url}/predict{query}", content=body, headers=kind, timeout=60)


class Slow:
    """A detector that waits until it is let go."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.go, self.judged = detector, threading.Event(), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.detector, name)

    def judge(self, loaded: Any, crops: Any = "centre") -> Any:
        self.go.wait(20)
        self.judged += len(loaded)
        return self.detector.judge(loaded, crops)


def connected(url: str) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))
    made.settimeout(20)
    return made


def until(true: Any) -> None:
    ends = time.monotonic() + 10
    while not true() and time.monotonic() < ends:
        time.sleep(0.02)
    assert true()


def waiting(url: str) -> int:
    return httpx.get(f"{url}/health").json()["waiting"]
