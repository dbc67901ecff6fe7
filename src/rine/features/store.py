"""The feature store: tokens of views by what they are made of, in `<encoder key>/<transform key>/` under one root.

The folders are named by digests of what decides the tokens (encoder, weights, precision; transform, seed),
rows by the picture's digest and the view, so that nothing of another encoder or transform is ever taken for
the same. A shard is written whole, then its manifest (rows and the file's digest): what has no manifest does
not exist. A shard that is being made keeps a journal of its finished rows, from which a run that was killed
goes on.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from filelock import FileLock, Timeout

from rine.features import shards

SECONDS_BETWEEN_JOURNAL_ENTRIES = 5.0
_JOURNAL = ".rows"
_FORGOTTEN = 7 * 24 * 3600.0  # seconds after which a journal that nobody went on with is deleted
_ENTRY = struct.Struct("<QI")  # digest and length in bytes of what follows


class StoreFull(OSError):
    """No room is left; what was finished is kept."""


def root() -> Path:
    """Where the store lies: `$RINE_STORE`, else `.rine/store`; outside what DVC owns, so that it outlives a rerun."""
    return Path(os.environ.get("RINE_STORE", ".rine/store"))


def key(description: dict[str, Any]) -> str:
    """16 hex digits that stand for a description in plain data."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def row_key(digest: str, view: str) -> str:
    """What a row of the store is called: the picture's content and the view's name."""
    return f"{digest}/{view}"


@dataclass
class Store:
    """The rows of one encoder and one transform; `found` counts on what is in `folder`."""

    folder: Path
    shape: tuple[int, int]  # L, D
    about: dict[str, Any] = field(default_factory=dict)  # what decides the tokens
    found: dict[str, tuple[str, int]] = field(default_factory=dict)  # row key -> shard name, row
    _checked: set[str] = field(default_factory=set)  # shards whose digest is right

    @classmethod
    def open(cls, at: Path, encoder: dict[str, Any], transform: dict[str, Any], shape: tuple[int, int]) -> Store:
        """The store of an encoder and a transform (both described in plain data); made where there is none."""
        folder = at / key(encoder) / key(transform)
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, shape, {"encoder": encoder, "transform": transform})
        store.refresh()
        return store

    def refresh(self) -> None:
        """Read the manifests again: another process may have added shards."""
        self.found.clear()
        for manifest in sorted(self.folder.glob("*.json")):
            if manifest.name == "about.json":
                continue
            try:
                rows = json.loads(manifest.read_text(encoding="utf-8"))["rows"]
                if shard_name(rows) != manifest.stem:
                    raise ValueError("other rows than the shard's")
            except FileNotFoundError:  # another process has just dropped it
                continue
            except (ValueError, KeyError, TypeError):
                self._drop(manifest.stem, "its manifest cannot be read")
                continue
            for number, row in enumerate(rows):
                self.found.setdefault(row, (manifest.stem, number))

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of the rows that are not there, each once, in their order; shards that hold the others are checked."""
        for name in dict.fromkeys(self.found[k][0] for k in keys if k in self.found):
            self._check(name)
        return [k for k in dict.fromkeys(keys) if k not in self.found]

    def tokens(self, keys: Sequence[str]) -> np.ndarray:
        """Tokens (n, L, D) float16 of rows that are there, in the order asked."""
        names = list(dict.fromkeys(self.found[k][0] for k in keys))
        maps = [shards.tokens_of(self.folder / (name + shards.SUFFIX)) for name in names]
        number = {name: i for i, name in enumerate(names)}
        places = [self.found[k] for k in keys]
        out = np.empty((len(keys), *self.shape), dtype=np.float16)
        which = np.array([number[name] for name, _ in places], dtype=np.int64)
        shards.copy_rows(out, maps, which, np.array([row for _, row in places], dtype=np.int64))
        return out

    def shard_of(self, keys: Sequence[str]) -> Path | None:
        """The file that holds exactly these rows in this order, where there is one."""
        name = shard_name(keys)
        if keys and self.found.get(keys[0]) == (name, 0) and self.found.get(keys[-1]) == (name, len(keys) - 1):
            return self.folder / (name + shards.SUFFIX)
        return None

    def write(self, keys: Sequence[str], tokens: np.ndarray) -> None:
        """Add a shard; raises `StoreFull` where there is no room."""
        name = shard_name(keys)
        try:
            digest = shards.write(self.folder / (name + shards.SUFFIX), tokens)
            about = {"digest": digest, "shape": list(tokens.shape), "rows": list(keys)}
            shards.write_text(self.folder / f"{name}.json", json.dumps(about))
        except OSError as error:
            raise self.full(error, tokens.nbytes) from error
        self._checked.add(name)
        for number, row in enumerate(keys):
            self.found[row] = (name, number)

    def full(self, error: OSError, needed: int) -> OSError:
        """The error itself, or what it means where it says that the disk is full."""
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            return error
        return StoreFull(
            error.errno,
            f"no room is left for the feature store (the next shard takes {needed / 1e6:.0f} MB). Finished shards are "
            f"kept: make room, or move the store with RINE_STORE=/another/disk, and run it again to go on",
            str(self.folder),
        )

    def _check(self, name: str) -> None:
        """Compare a shard with the digest in its manifest, once a run; a bad one is named and forgotten."""
        if name in self._checked:
            return
        file = self.folder / (name + shards.SUFFIX)
        try:
            about = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            if shards.digest_of(file) != about["digest"]:
                self._drop(name, "it was cut short or altered")
            else:
                self._checked.add(name)
        except FileNotFoundError:
            self._drop(name, "it is gone")
        except (shards.ShardError, ValueError, KeyError):
            self._drop(name, "it cannot be read")

    def _drop(self, name: str, why: str) -> None:
        file = self.folder / (name + shards.SUFFIX)
        warnings.warn(f"{file}: {why}; its rows are encoded anew", stacklevel=2)
        # the manifest first: what has none does not exist
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        self.found = {row: place for row, place in self.found.items() if place[0] != name}


@contextmanager
def locked(stores: Iterable[Store]) -> Iterator[None]:
    """Keep other processes from the same stores; a process that dies gives its locks back."""
    with ExitStack() as stack:
        stores = sorted(stores, key=lambda each: each.folder)  # one order for all: no two wait for each other
        for folder, same in groupby(stores, key=lambda each: each.folder):
            lock = FileLock(folder / "lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                print(f"waiting for another process that fills {folder}", file=sys.stderr, flush=True)
                lock.acquire()
            stack.callback(lock.release)
            _tidy(folder)
            for store in same:
                about = folder / "about.json"
                if not about.is_file():  # for people who wonder what a folder holds
                    shards.write_text(about, json.dumps(store.about, indent=1) + "\n")
                store.refresh()
        yield


def _tidy(folder: Path) -> None:
    """Delete what killed processes left: files half written, and journals that nobody went on with."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)
    for journal in folder.glob(f"*{_JOURNAL}"):
        if time.time() - journal.stat().st_mtime > _FORGOTTEN:
            journal.unlink()


def shard_name(keys: Sequence[str]) -> str:
    """A shard is called by the rows in it: the same rows are the same file, whoever writes it."""
    return hashlib.blake2b("\n".join(keys).encode(), digest_size=12).hexdigest()


class Journal:
    """Finished rows of a shard that is being made, in the order of its keys: what a killed run need not do again.

    Entries are appended every few seconds, each with a digest of its bytes; a last one that was cut short
    does not count.
    """

    def __init__(self, store: Store, keys: Sequence[str]) -> None:
        self.store, self.file = store, store.folder / f"{shard_name(keys)}{_JOURNAL}"
        self.tokens = np.empty((len(keys), *store.shape), dtype=np.float16)
        self.done = self.saved = self._recover()
        self._next = time.monotonic() + SECONDS_BETWEEN_JOURNAL_ENTRIES

    def _recover(self) -> int:
        if not self.file.is_file():
            return 0
        flat = self.tokens.reshape(-1).view(np.uint8)
        filled = valid = 0
        with self.file.open("rb") as file:
            while len(head := file.read(_ENTRY.size)) == _ENTRY.size:
                digest, length = _ENTRY.unpack(head)
                data = file.read(length)
                if len(data) < length or filled + length > len(flat) or xxhash.xxh3_64_intdigest(data) != digest:
                    break
                flat[filled : filled + length] = np.frombuffer(data, np.uint8)
                filled, valid = filled + length, valid + _ENTRY.size + length
        if valid < self.file.stat().st_size:
            os.truncate(self.file, valid)
        return filled // max(self.tokens[:1].nbytes, 1)

    def add(self, tokens: np.ndarray) -> None:
        """Take the next rows."""
        self.tokens[self.done : self.done + len(tokens)] = tokens
        self.done += len(tokens)
        if time.monotonic() >= self._next and self.done < len(self.tokens):
            self.save()

    def save(self) -> None:
        """Append the rows that are not in the file yet."""
        data = self.tokens[self.saved : self.done].tobytes()
        try:
            with self.file.open("ab") as file:
                file.write(_ENTRY.pack(xxhash.xxh3_64_intdigest(data), len(data)) + data)
        except OSError as error:
            raise self.store.full(error, self.tokens.nbytes) from error
        self.saved, self._next = self.done, time.monotonic() + SECONDS_BETWEEN_JOURNAL_ENTRIES

    def finish(self, keys: Sequence[str]) -> None:
        """Write the shard and forget the journal."""
        self.store.write(keys, self.tokens)
        self.file.unlink(missing_ok=True)
