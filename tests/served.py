"""The server on a free port of this machine, as long as a block lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

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
