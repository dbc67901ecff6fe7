"""The server as a process: its socket, its start, its end."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import webbrowser

import numpy as np
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rine.detector import Detector
from rine.serve.app import create_app
from rine.serve.settings import HOST, SHUTDOWN, ServeSettings

BACKLOG = 2048  # connections that the kernel holds while the server is busy
HEADERS = 16 << 10  # bytes of a request before its body, where those do not come at once


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address; raises `OSError` with what to do where the port is taken."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((HOST, port))
        server.listen(BACKLOG)
    except OSError as error:
        server.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"port {port} is taken: choose another with --port, or 0 for any that is free") from error
        raise
    return server


def run(detector: Detector, settings: ServeSettings, server: socket.socket, browser: bool = False) -> None:
    """Serve until interrupted; requests that have come are answered first."""
    detector(np.zeros((1, 1, 3), np.uint8))  # what is set up at first use is not the first visitor's to wait for
    url = f"http://{HOST}:{server.getsockname()[1]}"
    print(f"rine serves {detector.name} at {url} (Ctrl+C ends it)", flush=True)
    if browser:
        threading.Timer(0.5, webbrowser.open, [url]).start()
    uvicorn.Server(config(detector, settings)).run(sockets=[server])


def config(detector: Detector, settings: ServeSettings) -> uvicorn.Config:
    """How the application is served, with the limits on connections."""
    return uvicorn.Config(
        create_app(detector, settings),
        http=impatient(settings.idle_seconds),
        limit_concurrency=settings.connections + 1,  # uvicorn refuses the one that reaches the number
        log_level="error",  # a refused connection is no news
        access_log=False,  # what people look at is not written down
        timeout_keep_alive=max(int(settings.idle_seconds), 1),
        timeout_graceful_shutdown=SHUTDOWN,
        h11_max_incomplete_event_size=HEADERS,
        server_header=False,
    )


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which closes connections that have asked nothing for so long, or ask in drops."""

    class Impatient(H11Protocol):  # not the one in C, which knows no limit on headers
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(seconds, self.look, self.cycle)

        def look(self, before: object) -> None:
            """Close it if it waits for the very request that it waited for before."""
            waits = self.cycle is None or self.cycle.response_complete
            if self.transport.is_closing():
                return
            if waits and self.cycle is before:
                self.transport.close()
                return
            self.loop.call_later(seconds, self.look, self.cycle)

    return Impatient
