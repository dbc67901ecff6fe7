"""The server on a free port of this machine, as long as a block lasts, and what asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import httpx
import uvicorn
from PIL import Image

import tiny_model
from rine import Detector
from rine.serve.run import config, listen
from rine.serve.settings import HOST, ServeSettings


@contextmanager
def served(detector: Detector, settings: ServeSettings) -> Iterator[str]:
    """Serve in a thread and give the address; ends with the block."""
    with listen(0) as socket:
        server = uvicorn.Server(config(detector, settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        assert server.started, "the server did not start"
        try:
            yield f"http://{HOST}:{socket.getsockname()[1]}"
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
