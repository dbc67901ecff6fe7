"""What the feature store holds, and what of it no feature set is made of."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rine.caching.store import key, row_key
from rine.features import shards
from rine.features.features import read_table

_ABOUT = "about.json"


@dataclass(frozen=True)
class Held:
    """The tokens of one encoder and one transform: names of feature sets that use them, sizes in bytes."""

    folder: Path
    encoder: str
    family: str  # of views
    sets: tuple[str, ...]
    size: int
    unused: int
    shards: tuple[str, ...]  # that no set is made of


def usage(store: Path, features: Path) -> Iterator[Held]:
    """Every part of a store, and what of it the feature sets below `features` (artifacts/features) are made of."""
    rows: dict[tuple[str, str], set[str]] = defaultdict(set)
    sets: dict[tuple[str, str], list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    for file in sorted(features.glob("*/*/features.json")):
        table, about = read_table(file.parent)
        encoder = key({name: value for name, value in about["encoder"].items() if name != "name"})
        names[encoder] = about["encoder"]["name"]
        own = {row_key(digest, view) for digest, view in zip(table["digest"], table["view"], strict=True)}
        for transform in about["transforms"].values():
            place = (encoder, key(transform))
            rows[place] |= own
            sets[place].append(f"{file.parent.parent.name}/{file.parent.name}")
    for file in sorted(store.glob(f"*/*/{_ABOUT}")):
        folder = file.parent
        place = (folder.parent.name, folder.name)
        sizes = {path.stem: path.stat().st_size for path in folder.glob(f"*{shards.SUFFIX}")}
        if not sizes:  # all of it was deleted
            continue
        unused = tuple(name for name in sorted(sizes) if not rows[place].intersection(_rows(folder / f"{name}.json")))
        about = json.loads(file.read_text(encoding="utf-8"))
        encoder, family = names.get(place[0]) or _called(about["encoder"]), about["transform"].get("family", "")
        unused_size = sum(sizes[name] for name in unused)
        yield Held(folder, encoder, family, tuple(sets[place]), sum(sizes.values()), unused_size, unused)


def delete(held: Held) -> None:
    """Delete the shards that no feature set is made of, manifest first: what has none does not exist."""
    for name in held.shards:
        (held.folder / f"{name}.json").unlink(missing_ok=True)
        (held.folder / (name + shards.SUFFIX)).unlink(missing_ok=True)


def _rows(manifest: Path) -> list[str]:
    try:
        return json.loads(manifest.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError):  # without it the shard is of no use
        return []


def _called(encoder: dict[str, Any]) -> str:
    return str(encoder.get("model")) if isinstance(encoder.get("model"), str) else "an own tower"
