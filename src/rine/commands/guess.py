"""A guessed entry of the params file, and the words by which names say a class."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# names of folders, and values of columns
REAL = ("0_real", "real", "reals", "nature", "natural", "authentic", "original", "0")
FAKE = ("1_fake", "fake", "fakes", "ai", "synthetic", "generated", "1")


@dataclass(frozen=True)
class Guess:
    """An entry, how many pictures it would have, and what a reader should look at."""

    name: str
    entry: dict[str, Any]
    pictures: int
    remarks: list[str] = field(default_factory=list)


def name_of(text: str, split: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-") or "mine"
    return plain if split == "test" else f"{plain}_{split}"
