"""Files of tokens: one safetensors tensor `tokens` (n, L, D) float16, read without a copy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xxhash

SUFFIX = ".safetensors"
_CHUNK = 4 << 20  # bytes


class ShardError(ValueError):
    """A file that is damaged or holds something else; the message names it."""


def tokens_of(path: Path) -> np.ndarray:
    """Tokens (n, L, D) float16 as a read-only map of the file; raises `ShardError` for one that is cut short."""
    try:
        with path.open("rb") as file:
            header_length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 0 < header_length < size:
                raise ShardError(f"{path} is cut short or no shard of tokens")
            entry = json.loads(file.read(header_length))["tokens"]
        shape, (start, stop) = tuple(entry["shape"]), entry["data_offsets"]
        right = entry["dtype"] == "F16" and len(shape) == 3 and size == 8 + header_length + stop
        if not right or stop - start != 2 * int(np.prod(shape)):
            raise ShardError(f"{path} is cut short or no shard of tokens (L, D) float16")
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ShardError(f"{path} is no shard of tokens: {error}") from error
    if not stop:
        return np.zeros(shape, np.float16)
    mapped = np.memmap(path, dtype=np.float16, mode="r", offset=8 + header_length + start, shape=shape)
    return np.asarray(mapped)  # the map stays open under it; ndarray's own indexing is faster


def copy_rows(out: np.ndarray, maps: list[np.ndarray], shard: np.ndarray, row: np.ndarray) -> None:
    """Fill `out` (n, L, D) with rows of several shards; `shard` numbers the map of each, `row` the row in it."""
    if len(out):
        rows = [maps[number][i] for number, i in zip(shard.tolist(), row.tolist(), strict=True)]
        # one call for all: row by row, Python takes half as long again as the copy
        np.concatenate(rows, out=out.reshape(-1, out.shape[-1]))


def digest_of(path: Path) -> str:
    """xxh3-128 of a file, 32 hex digits."""
    total = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_CHUNK):
            total.update(block)
    return total.hexdigest()
