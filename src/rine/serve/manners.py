"""What every answer says to browsers, and whom none is given to."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rine.serve.limits import refuse

# Nothing from elsewhere, and nothing into another page: what is on the page stays on this machine
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Manners:
    """ASGI middleware: headers that keep the page to itself; no other site's page (403), no key twice (400).

    `X-Rine-Model` says whose answer it is: `rine.serve.answers.identity`.
    """

    def __init__(self, app: ASGIApp, model: str) -> None:
        self.app, self.headers = app, HEADERS | {"X-Rine-Model": model}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        if (b"sec-fetch-site", b"cross-site") in scope["headers"] and scope["method"] != "GET":
            await refuse(with_headers, 403, "a page of another site may not use this server")
            return
        keys = [key for key, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
        if len(keys) > len(set(keys)):  # which of the two was meant?
            await refuse(with_headers, 400, "a key stands twice in the query")
            return
        await self.app(scope, receive, with_headers)
