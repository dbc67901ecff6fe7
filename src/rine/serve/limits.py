"""Limits on a request before any handler sees it: its size, and the time it may take."""

from __future__ import annotations

import asyncio
import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rine.serve.settings import ServeSettings

DRAINED = 8  # times the size that is allowed: so much of a request that is too large is read and thrown away


class _TooLarge(BaseException):
    """More bytes came than are allowed. No `Exception`: FastAPI takes any of those for a body that it cannot parse."""


class Limits:
    """ASGI middleware that ends a request that is too large (413) or takes too long (408).

    Bytes are counted as they come, since a client need not say how many there will be, or may say something else.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self.app, self.settings = app, settings
        self.most = int(settings.upload_mb * 1_000_000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await asyncio.wait_for(self._within_size(scope, receive, noted), self.settings.seconds)
        except TimeoutError:
            if not started:
                await refuse(send, 408, f"not done within the {self.settings.seconds:g} s that a request may take")

    async def _within_size(self, scope: Scope, receive: Receive, send: Send) -> None:
        came = 0
        more = True

        async def counted() -> Message:
            nonlocal came, more
            message = await receive()
            came += len(message.get("body", b""))
            more = bool(message.get("more_body"))
            if came > self.most:
                raise _TooLarge
            return message

        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        try:
            if said.isdigit() and int(said) > self.most:
                raise _TooLarge
            await self.app(scope, counted, send)
        except _TooLarge:
            # A client that is still sending does not listen: what is not far too much is let in and thrown away
            while more and came < DRAINED * self.most and (not said.isdigit() or int(said) < DRAINED * self.most):
                message = await receive()
                came += len(message.get("body", b""))
                more = bool(message.get("more_body"))
            await refuse(send, 413, f"more than the {self.settings.upload_mb:g} MB that a request may have")


async def refuse(send: Send, status: int, detail: str) -> None:
    """Answer with an error of the other errors' form, and close the connection."""
    body = json.dumps({"detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
