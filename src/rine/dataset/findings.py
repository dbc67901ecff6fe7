"""What the dataset doctor found, in plain words: one line for each problem of the data."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

NAMED = 10  # findings of a kind that are spelled out; the tables have them all
COLUMNS = ("set", "severity", "finding")
Finding = tuple[str, str, str]  # set or "", note | warning, message


def findings(skipped: pd.DataFrame, files: pd.DataFrame, copies: pd.DataFrame, baselines: pd.DataFrame) -> pd.DataFrame:
    """One row a finding, from the tables of `rine.dataset.doctor.Diagnosis` and the files that could not be read."""
    rows = [*_skipped(skipped), *_empty(files), *_copies(copies), *_shortcuts(files, baselines)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def is_high(ap: float, chance: float) -> bool:
    """Whether a shortcut is worth a warning: more than half of the way from chance to a perfect ranking."""
    return ap > (1 + chance) / 2


def _skipped(skipped: pd.DataFrame) -> list[Finding]:
    if skipped.empty:
        return []
    path, reason = skipped.iloc[0]
    many = "1 file could not be read and is" if len(skipped) == 1 else f"{len(skipped)} files could not be read and are"
    text = f"{many} left out, such as {path}: {reason}"
    return [("", "note", f"{text}; see artifacts/index/skipped.csv")]


def _empty(files: pd.DataFrame) -> list[Finding]:
    empty = files[files["pictures"] == 0].to_dict("records")
    return [
        (
            row["set"],
            "warning",
            f"no {'fake' if row['label'] else 'real'} picture of {row['set']} can be read",
        )
        for row in empty
    ]


def _copies(copies: pd.DataFrame) -> list[Finding]:
    """Copies across splits and files with two labels, by name; copies within a split as a number."""
    across = copies["across"].astype(bool)
    n_labels = copies.groupby("group")["label"].transform("nunique")
    torn = copies[(copies["kind"] == "exact") & ~across & (n_labels > 1)]
    listed = _named(copies[across], "across splits", _across) + _named(torn, "with both labels", _torn)
    for kind in ("exact", "near"):
        n = copies.loc[(copies["kind"] == kind) & ~across, "path"].nunique()
        if n:
            text = f"{n} pictures have {'an' if kind == 'exact' else 'a'} {kind} copy in their own split"
            listed.append(("", "note", f"{text}; see artifacts/index/duplicates.csv"))
    return listed


def _named(copies: pd.DataFrame, of: str, describe: Any) -> list[Finding]:
    """A warning for each of the first groups, and one for all the others."""
    groups = copies["group"].unique()
    listed = [("", "warning", describe(copies[copies["group"] == group])) for group in groups[:NAMED]]
    more = len(groups) - len(listed)
    return listed + (
        [("", "warning", f"{more} more groups of copies {of}; see artifacts/index/duplicates.csv")] if more > 0 else []
    )


def _across(group: pd.DataFrame) -> str:
    one = group.iloc[0]
    other = group[group["split"] != one["split"]].iloc[0]
    alike = "the same file" if one["kind"] == "exact" else "nearly the same picture"
    return f"{one['path']} ({one['split']}) and {other['path']} ({other['split']}) are {alike}"


def _torn(group: pd.DataFrame) -> str:
    real, fake = (group.loc[group["label"] == label, "path"].iloc[0] for label in (0, 1))
    return f"{real} (real) and {fake} (fake) are the same file"


def _shortcuts(files: pd.DataFrame, baselines: pd.DataFrame) -> list[Finding]:
    listed: list[Finding] = []
    sizes: list[str] = []
    rows: list[dict[str, Any]] = baselines.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        if row["reason"]:
            listed.append((row["set"], "note", f"no shortcut baseline: {row['reason']}"))
        elif is_high(row["ap"], row["chance"]):
            its = files[files["set"] == row["set"]]
            real, fake = (_in_words(its[its["label"] == label].iloc[0].to_dict()) for label in (0, 1))
            text = f"reals are {real}; fakes are {fake}: the data can be told apart without looking"
            text += f", most of all by {row['strongest']}; shortcut AP {row['ap']:.2f}"
            if not math.isnan(row["ap_aligned"]):
                text += f", aligned {row['ap_aligned']:.2f}"
            listed.append((row["set"], "warning", f"{text}, chance {row['chance']:.2f}"))
        elif is_high(row["ap_file_size"], row["chance"]):
            sizes.append(f"{row['set']} {row['ap_file_size']:.2f}")
    if sizes:
        # one note for all: pixels that compress otherwise may be the very trace that a detector is to find
        text = f"file size tells the classes of {len(sizes)} sets apart (AP: {', '.join(sizes[:NAMED])}"
        text += f" and {len(sizes) - NAMED} more)" if len(sizes) > NAMED else ")"
        listed.append(("", "note", f"{text}: their pixels compress differently, or were written differently"))
    return listed


def _in_words(row: dict[Any, Any]) -> str:
    """Say "JPEG of quality 75-95, 200-500 x 256, RGB, 0.31 bytes a pixel" for a row of the table of files."""

    def span(fact: str) -> str:
        low, high = row[f"{fact}_min"], row[f"{fact}_max"]
        return f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"

    quality = "" if math.isnan(row["jpeg_quality_min"]) else f" of quality {span('jpeg_quality')}"
    exif = f", {100 * row['exif']:.0f}% with EXIF" if row["exif"] else ""
    size = f"{span('width')} x {span('height')}"
    return f"{row['formats']}{quality}, {size}, {row['modes']}, {row['bytes_per_pixel']:.2f} bytes a pixel{exif}"
