"""Files that are whole or not there: written under a temporary name, synced, renamed."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from rine.features import shards


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Lend a temporary name beside `path`, no other process's on whatever machine; what is written there becomes it."""
    part = path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_tokens(path: Path, tokens: np.ndarray) -> str:
    """Write tokens (n, L, D) float16, the same bytes for the same tokens; returns the file's digest.

    Raises `OSError` where there is no room.
    """
    with whole(path) as part:
        try:
            save_file({"tokens": np.ascontiguousarray(tokens, dtype=np.float16)}, part)
        except SafetensorError as error:  # which hides the system's own error in its text
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error
        return digest_of(part)


@contextmanager
def deleted_is_not_found() -> Iterator[None]:
    """Of a file that another machine deletes while it is read, a network file system says something of its own."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise FileNotFoundError(error.errno, error.strerror, error.filename) from error
        raise


@deleted_is_not_found()
def read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@deleted_is_not_found()
def digest_of(path: Path) -> str:
    """xxh3-128 of a file, 32 hex digits."""
    return shards.digest_of(path)
