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

from rine.features import COLUMNS, shards
from rine.features.filling import Unit
from rine.features.store import Store


def assemble(
    rows: pd.DataFrame,
    units: Mapping[str, Unit],
    stores: Mapping[str, Store],
    about: dict[str, Any],
    out: Path,
) -> None:
    """Write `out` anew: a shard for each unit, `rows.csv` and `features.json`; it takes `out`'s place when it is whole.

    A shard that the store has just so is linked, not copied: neither is ever changed in place.
    """
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    shard = np.empty(len(rows), dtype=object)
    row = np.empty(len(rows), dtype=np.int64)
    for name, unit in units.items():
        file = part / (name + shards.SUFFIX)
        store = stores[unit.family]
        _place(store, unit.keys, file)
        shard[unit.rows], row[unit.rows] = file.name, np.arange(len(unit.rows))
    table = rows.assign(shard=shard, row=row)[list(COLUMNS)]
    table.to_csv(part / "rows.csv", index=False, lineterminator="\n")
    shards.write_text(part / "features.json", json.dumps(about, indent=1) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    part.replace(out)


def _place(store: Store, keys: list[str], file: Path) -> None:
    whole = store.shard_of(keys)
    if whole is not None:
        try:
            os.link(whole, file)
        except OSError:  # another file system, or one without links
            shutil.copyfile(whole, file)
        return
    try:
        shards.write(file, store.tokens(keys))
    except OSError as error:
        raise store.full(error, 0) from error
