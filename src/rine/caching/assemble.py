"""A feature set's folder from the store: the same bytes whatever is in the store and in which order it came there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rine.caching import files
from rine.caching.plan import Plan, Unit
from rine.caching.store import Store
from rine.features import COLUMNS, shards
from rine.files import whole_folder


def assemble(plan: Plan, stores: Mapping[str, Store], about: dict[str, Any], out: Path) -> None:
    """Write `out` anew: a shard for each unit, `rows.csv` and `features.json`; it takes `out`'s place when it is whole.

    A shard that the store has just so is linked, not copied: neither is ever changed in place. `features.json` notes
    the digest of each other file.
    """
    units = list(plan.units.values())
    owner = np.empty(len(plan.rows), dtype=np.int32)  # the unit that stores a row, and the row in its shard
    place = np.empty(len(plan.rows), dtype=np.int32)
    for number, unit in enumerate(units):
        owner[unit.own], place[unit.own] = number, np.arange(len(unit.own))
    names = [name + shards.SUFFIX for name in plan.units]
    shard, row = np.empty(len(plan.rows), dtype=np.int32), np.empty(len(plan.rows), dtype=np.int32)
    digests: dict[str, str] = {}
    with whole_folder(out) as part:
        for number, unit in enumerate(units):
            file = part / names[number]
            at = plan.original[unit.rows]
            digests[file.name] = _place(stores[unit.family], units, owner[at], place[at], file)
            shard[unit.rows], row[unit.rows] = number, np.arange(len(unit.rows))
        table = plan.rows.assign(shard=pd.Categorical.from_codes(shard, pd.Index(names)), row=row)[list(COLUMNS)]
        table.to_csv(part / "rows.csv", index=False, lineterminator="\n", chunksize=1 << 12)
        digests["rows.csv"] = shards.digest_of(part / "rows.csv")
        about = about | {"digests": dict(sorted(digests.items()))}
        files.write_text(part / "features.json", json.dumps(about, indent=1) + "\n")


def _place(store: Store, units: list[Unit], owner: np.ndarray, place: np.ndarray, file: Path) -> str:
    """Make a unit's file of rows (N,) that lie in its own shard, but for those that others had first; its digest."""
    first = units[owner[0]]
    if (owner == owner[0]).all() and np.array_equal(place, np.arange(len(first.own))):
        whole = store.path(first.shard)
        try:
            os.link(whole, file)
        except OSError:  # another file system, or one without links
            shutil.copyfile(whole, file)
        return store.digest(first.shard)
    numbers, which = np.unique(owner, return_inverse=True)
    tokens = np.empty((len(owner), *store.shape), dtype=np.float16)
    shards.copy_rows(tokens, [shards.tokens_of(store.path(units[n].shard)) for n in numbers], which, place)
    try:
        return files.write_tokens(file, tokens)
    except OSError as error:
        raise store.explain(error, tokens.nbytes) from error
