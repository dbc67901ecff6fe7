"""What a list says of a picture's file: a digest, and the row that says it.

It is one text, "sha256:6f1e... lists/a.csv, line 3".
"""

from __future__ import annotations

import hashlib
import sqlite3
import weakref
from collections.abc import Iterator, Mapping


class Told(Mapping[str, str]):
    """What lists say, by path: on disk, in a file that is gone with this object, since there may be millions."""

    def __init__(self) -> None:
        # threads that look at pictures ask for what is said of theirs
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._db.close)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("CREATE TABLE told (path BLOB PRIMARY KEY, text TEXT) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, path: str, text: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO told VALUES (?, ?)", (_bytes(path), text))

    def __getitem__(self, path: str) -> str:
        found = self._db.execute("SELECT text FROM told WHERE path = ?", (_bytes(path),)).fetchone()
        if found is None:
            raise KeyError(path)
        return str(found[0])

    def __iter__(self) -> Iterator[str]:
        return (path.decode("utf-8", "surrogateescape") for (path,) in self._db.execute("SELECT path FROM told"))

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM told").fetchone()[0])


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def told(kind: str, digest: str, where: str) -> str:
    return f"{kind}:{digest} {where}"


def key(text: str) -> str:
    """What the facts of the picture are remembered by, wherever it lies."""
    return text.partition(" ")[0]


def length(kind: str) -> int:
    """Hex digits of a digest of this kind."""
    return 2 * hashlib.new(kind, usedforsecurity=False).digest_size


def refusal(text: str, content: bytes) -> str:
    """Why a file's content is not what the list says; "" where it is, or where no list says anything."""
    if not text:
        return ""
    said, _, where = text.partition(" ")
    kind, _, digest = said.partition(":")
    own = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    return "" if own == digest else f"its {kind} is {own}; {where} says {digest}"
