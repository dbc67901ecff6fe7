"""Files that are whole or not there: written under a temporary name, synced, renamed."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
from pathlib import Path

import numpy as np
import xxhash
from safetensors import SafetensorError
from safetensors.numpy import save_file

_CHUNK = 4 << 20  # bytes


def write_tokens(path: Path, tokens: np.ndarray) -> str:
    """Write tokens (n, L, D) float16 to a temporary name, sync, rename; returns the file's digest.

    The same tokens give the same bytes. Raises `OSError` where there is no room.
    """
    part = temporary(path)
    try:
        try:
            save_file({"tokens": np.ascontiguousarray(tokens, dtype=np.float16)}, part)
        except SafetensorError as error:  # which hides the system's own error in its text
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error
        digest = digest_of(part)
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)
    return digest


def write_text(path: Path, text: str) -> None:
    """Write a small file whole: temporary name, sync, rename."""
    part = temporary(path)
    try:
        part.write_text(text, encoding="utf-8")
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)


def temporary(path: Path) -> Path:
    """A name beside `path` that no other process has, on whatever machine."""
    return path.with_name(f".{path.name}.{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def publish(part: Path, path: Path) -> None:
    """Give a finished file its name, once its bytes are on the disk."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)


def digest_of(path: Path) -> str:
    """xxh3-128 of a file, 32 hex digits."""
    total = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_CHUNK):
            total.update(block)
    return total.hexdigest()
