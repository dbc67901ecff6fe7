"""Whether anybody answers at an address: asked before a downloader is, which tries again for a minute."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import getproxies

_PATIENCE = 2.0  # seconds in which one of the places of weights has to answer at all


def asked(addresses: Iterable[str]) -> Callable[[], dict[str, str]]:
    """Ask all at once; called, what is returned waits for them and says where nobody answers, and why."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        forbidden = dict.fromkeys(addresses, "HF_HUB_OFFLINE forbids it")
        return lambda: forbidden
    reasons = dict.fromkeys(addresses, f"nobody answers within {_PATIENCE:g} seconds")

    def ask(address: str) -> None:
        try:
            _reach(address)
            del reasons[address]
        except OSError as error:
            reasons[address] = said(error)

    # what looks up names keeps no time limit: nobody waits for such a thread, nor does the end of the process
    threads = [Thread(target=ask, args=(address,), daemon=True) for address in reasons]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _PATIENCE

    def silent() -> dict[str, str]:
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))
        return dict(reasons)

    return silent


def said(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0]


def _reach(address: str) -> None:
    """Raise `OSError` where an address, or the proxy on the way, does not answer."""
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 443)
    socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE).close()
