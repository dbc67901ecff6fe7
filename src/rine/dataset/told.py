"""What a list says of a picture's file: a digest, and the row that says it.

It is one text, "sha256:6f1e... lists/a.csv, line 3", since there may be millions.
"""

from __future__ import annotations

import hashlib


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
