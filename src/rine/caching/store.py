"""The feature store: tokens of views by what they are made of, in `<encoder key>/<transform key>/` under one root.

The folders are named by digests of what decides the tokens (encoder, weights, precision; transform, seed), rows by the
picture's digest and the view: nothing of another encoder or transform is ever taken for the same. A shard is written
whole, then its manifest (rows and the file's digest): what has no manifest does not exist.

A shard is named by its rows, so whether a unit is done is seen from one name. Rows also lie in shards of other names:
of the set before it grew, of another set, and in parts. A part is a shard like any other, `<unit's shard>.<its own
rows>`, written every few seconds while its unit is encoded and deleted once the whole one is there. Only units whose
shard is missing look for them, many units in one pass over the manifests; one manifest and the places of those units'
rows are in memory, whatever the store holds.

Any number of processes, on any machines, write at once without a lock: names are of contents, so two that make the same
shard write the same file, and temporary names are each process's own.
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rine.caching import files
from rine.features import shards

_ABANDONED = 24 * 3600.0  # seconds after which no process can still be writing a temporary file
_ABOUT = "about.json"
Place = tuple[str, int]  # a shard's name, and the row in it


class StoreFull(OSError):
    """No room is left; what was finished is kept."""


def key(description: dict[str, Any]) -> str:
    """16 hex digits that stand for a description in plain data."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def row_key(digest: str, view: str) -> str:
    """What a row of the store is called: the picture's content and the view's name."""
    return f"{digest}/{view}"


def shard_name(keys: Sequence[str]) -> str:
    """A shard is called by the rows in it: the same rows are the same file, whoever writes it."""
    return hashlib.blake2b("\n".join(keys).encode(), digest_size=12).hexdigest()


@dataclass
class Store:
    """The tokens (L, D) of one encoder and one transform."""

    folder: Path
    shape: tuple[int, int]  # L, D
    _intact: set[str] = field(default_factory=set)  # shards whose digest is right

    @classmethod
    def open(cls, at: Path, encoder: dict[str, Any], transform: dict[str, Any], shape: tuple[int, int]) -> Store:
        """The store of an encoder and a transform (both described in plain data); made where there is none."""
        folder = at / key(encoder) / key(transform)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _ABOUT).is_file():  # for people who wonder what a folder holds
            files.write_text(folder / _ABOUT, json.dumps({"encoder": encoder, "transform": transform}, indent=1) + "\n")
        _tidy(folder)
        return cls(folder, shape)

    def digest(self, name: str) -> str:
        """The digest of a shard's file, as it was noted when it was written."""
        return self._manifest(name)[1]

    def path(self, name: str) -> Path:
        """The file of a shard's tokens."""
        return self.folder / (name + shards.SUFFIX)

    def has(self, name: str) -> bool:
        """Whether this shard is there; its digest is compared once a run, and a damaged one is named and deleted."""
        if name in self._intact:
            return True
        rows, digest = self._manifest(name)
        if not rows:
            return False
        try:
            if files.digest_of(self.path(name)) == digest:
                self._intact.add(name)
                return True
            self._drop(name, "it was cut short or altered")
        except FileNotFoundError:
            if self._manifest(name)[0]:  # else it was a part, whose unit another process has just finished
                self._drop(name, "it is gone")
        return False

    def find(self, keys: Iterable[str], but: Collection[str] = ()) -> dict[str, Place]:
        """Where rows lie, of those that some shard holds, by one pass over the manifests; not in the shards `but`."""
        there = (file.stem for file in sorted(self.folder.glob("*.json")) if file.name != _ABOUT)
        names, found = [name for name in there if name not in but], dict[str, Place]()
        # eight bytes a row, where a set of names takes 130: two of one hash only find more than was asked for
        wanted = np.sort(np.fromiter(map(hash, keys if names else ()), np.int64))
        for name in names if len(wanted) else ():
            hashes = np.fromiter(map(hash, rows := self._manifest(name)[0]), np.int64)
            here = wanted[np.searchsorted(wanted[:-1], hashes)] == hashes
            found |= {rows[number]: (name, number) for number in np.flatnonzero(here).tolist()}
        return found

    def parts(self, name: str) -> dict[str, Place]:
        """Where rows of a shard lie that is not whole yet: in its parts."""
        names = (file.stem for file in self.folder.glob(f"{name}.*.json"))
        return {row: (part, number) for part in names for number, row in enumerate(self._manifest(part)[0])}

    def take(self, keys: Sequence[str], places: Mapping[str, Place]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (n, L, D) float16 of the rows that lie in these places, and which (n,) of them still do."""
        tokens, there = np.empty((len(keys), *self.shape), dtype=np.float16), np.zeros(len(keys), dtype=bool)
        at: dict[str, list[tuple[int, int]]] = {}  # by shard
        for i, k in enumerate(keys):
            if k in places:
                name, row = places[k]
                at.setdefault(name, []).append((i, row))
        for name, pairs in at.items():
            shard = self._map(name)
            if shard is not None:
                here, rows = map(list, zip(*pairs, strict=True))
                tokens[here], there[here] = shard[rows], True
        return tokens, there

    def write(self, keys: Sequence[str], tokens: np.ndarray, part_of: str = "") -> str:
        """Add a shard, or a part of that of another name; returns its name. Raises `StoreFull` where there is no room.

        The name of a shard of rows that it has already is taken by the same bytes.
        """
        name = f"{part_of}.{shard_name(keys)}" if part_of else shard_name(keys)
        try:
            digest = files.write_tokens(self.path(name), tokens)
            about = {"digest": digest, "shape": list(tokens.shape), "rows": list(keys)}
            files.write_text(self.folder / f"{name}.json", json.dumps(about))
        except OSError as error:
            raise self.explain(error, tokens.nbytes) from error
        self._intact.add(name)
        return name

    def delete(self, name: str) -> None:
        """Forget a shard, the manifest first: what has none does not exist."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        self.path(name).unlink(missing_ok=True)
        self._intact.discard(name)

    def explain(self, error: OSError, needed: int) -> OSError:
        """The error itself, or what it means where it says that the disk is full."""
        full = (
            f"no room is left for the feature store (the next shard takes {needed / 1e6:.0f} MB). Finished shards are "
        )
        cure = "kept: make room, or move the store with RINE_STORE=/another/disk, and run it again to go on"
        known = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        return StoreFull(error.errno, full + cure, str(self.folder)) if known else error

    def _manifest(self, name: str) -> tuple[list[str], str]:
        """A shard's rows and its file's digest; no rows where it is not there."""
        try:
            about = json.loads(files.read_text(self.folder / f"{name}.json"))
            if shard_name(about["rows"]) != name.rpartition(".")[2]:
                raise ValueError("other rows than the shard's")
            return about["rows"], about["digest"]
        except FileNotFoundError:
            return [], ""
        except (ValueError, KeyError, TypeError):
            self._drop(name, "its manifest cannot be read")
            return [], ""

    def _map(self, name: str) -> np.ndarray | None:
        try:
            return shards.tokens_of(self.path(name)) if self.has(name) else None
        except FileNotFoundError:  # a part whose unit another process has just finished
            return None

    def _drop(self, name: str, why: str) -> None:
        warnings.warn(f"{self.path(name)}: {why}; its rows are encoded anew", stacklevel=3)
        self.delete(name)


def _tidy(folder: Path) -> None:
    """Delete what killed processes left and none can want: old temporary files, parts of shards that are whole."""
    for file in folder.iterdir():
        whole, dot, _ = file.stem.partition(".")
        with suppress(FileNotFoundError):  # another process does the same
            # the second kind is safetensors' own, which writes each file under such a name first
            if file.name.endswith(".tmp") or file.name.startswith(".tmp"):
                useless = time.time() - file.stat().st_mtime > _ABANDONED
            else:
                useless = bool(dot) and (folder / f"{whole}.json").is_file()
            if useless:
                file.unlink()
