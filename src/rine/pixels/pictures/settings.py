"""Pillow's global settings, the same whatever the process has set."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile

_lock = threading.Lock()
_limits: list[int] = []  # the limit of each picture that is open now
_saved: list[Any] = []  # what the last of them to close restores


@contextmanager
def pillow_settings(max_pixels: int) -> Iterator[None]:
    """Pillow with known settings while a picture is open, whatever the process has set; then as before.

    Pillow's limit, its leniency with truncated files and Python's warning filters are global, and
    `catch_warnings` is not safe among threads, so that the first of several pictures open at once saves them
    and the last restores them.
    """
    with _lock:
        if not _limits:
            caught = warnings.catch_warnings()
            caught.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
            _saved[:] = [caught, Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES]
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _limits.append(max_pixels)
        Image.MAX_IMAGE_PIXELS = max(_limits)
    try:
        yield
    finally:
        with _lock:
            _limits.remove(max_pixels)
            if not _limits:
                caught, Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = _saved
                caught.__exit__(None, None, None)
