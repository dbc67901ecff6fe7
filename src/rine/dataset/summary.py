"""What `dvc metrics` shows of the pictures."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rine.dataset.doctor import Diagnosis
from rine.dataset.index import Index

LISTED = 100  # files left out that the metrics name; skipped.csv names all


def summary(made: Index, diagnosis: Diagnosis) -> dict[str, Any]:
    """Counts by split and class, what was left out, copies, shortcut AP."""
    rows = diagnosis.files.to_dict("records")
    pictures: dict[str, dict[str, int]] = {}
    for row in rows:
        pictures.setdefault(row["set"], {})["fake" if row["label"] else "real"] = int(row["pictures"])
    skipped = made.skipped.head(LISTED).to_dict("records")
    return {
        "pictures": {
            **{name: len(rows) for name, rows in made.rows.items()},
            "sets": pictures,
        },
        "skipped": {"count": len(made.skipped), "files": skipped},
        "copies": _copies(diagnosis.duplicates),
        "shortcut_ap": _shortcuts(diagnosis.shortcuts),
    }


def _copies(copies: pd.DataFrame) -> dict[str, int]:
    """Groups of copies by kind, and those that join splits that must not meet."""
    counted = {}
    for kind in ("exact", "near"):
        of_kind = copies[copies["kind"] == kind]
        counted[kind] = int(of_kind["group"].nunique())
        counted[f"{kind}_across"] = int(of_kind.loc[of_kind["across"].astype(bool), "group"].nunique())
    return counted


def _shortcuts(baselines: pd.DataFrame) -> dict[str, Any]:
    """Shortcut AP by set: raw, where pictures are aligned aligned, and raw with file size."""
    shown: dict[str, Any] = {}
    for column, name in (("ap", "raw"), ("ap_aligned", "aligned"), ("ap_file_size", "with_file_size")):
        values = baselines.set_index("set")[column].dropna()
        tests = values[baselines.set_index("set")["split"].reindex(values.index) == "test"]
        if len(values):
            mean = {"mean_of_test_sets": round(float(tests.mean()), 4)} if len(tests) else {}
            shown[name] = {**mean, **{str(key): float(value) for key, value in values.items()}}
    return shown
