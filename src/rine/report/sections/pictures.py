"""What `prepare` found in the pictures and their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from rine.report.section import Content, Section
from rine.report.study import Study
from rine.report.table import MISSING, Row, Table, number, percent, text


def make(study: Study) -> Content | None:
    files, shortcuts = study.table("index/doctor.csv"), study.table("index/shortcuts.csv")
    if files.empty:
        return None
    lines: dict[bool, list[str]] = {True: [], False: []}  # warnings, and the rest
    for row in study.table("index/findings.csv").to_dict("records"):
        place = "" if pd.isna(row["set"]) else f"{study.title(str(row['set']))}: "
        lines[row["severity"] == "warning"].append(
            place + _in_names(row["finding"], files["set"].unique(), study.title)
        )
    tables = [shortcut_table(shortcuts, study.title)] if len(shortcuts) else []
    return Content(
        [f"{line[0].upper()}{line[1:]}." for line in lines[False]],
        [*tables, files_table(files, study.title)],
        warnings=lines[True],
    )


def _in_names(finding: str, sets: Iterable[str], title: Callable[[str], str]) -> str:
    """A finding with the names that tables have where it says a set and its figure ("imle 0.95")."""
    names = "|".join(map(re.escape, sorted(sets, key=len, reverse=True)))
    return re.sub(rf"(?<![\w/-])({names})(?= \d)", lambda name: title(name[0]), finding)


def shortcut_table(shortcuts: pd.DataFrame, title: Callable[[str], str]) -> Table:
    """AP that facts about files reach alone, raw and aligned, by set."""
    rows = []
    for row in shortcuts.to_dict("records"):
        strongest = "" if pd.isna(row["strongest"]) else str(row["strongest"])
        reason = "" if pd.isna(row["reason"]) else str(row["reason"])
        cells = [text(title(row["set"])), number(row["pictures"], 0), *map(percent, (row["chance"], row["ap"]))]
        rows.append(Row([*cells, percent(row["ap_aligned"]), text(reason or strongest)]))
    columns = ["Set", "Pictures", "Chance", "AP raw", "AP aligned", "Told apart most by"]
    notes = ["AP of a small classifier on facts about the files, such as format and size, without one pixel."]
    why = []
    if shortcuts["ap_aligned"].isna().all():
        why.append("of AP aligned: the pictures were not made alike (cache.align is null)")
    if shortcuts["reason"].notna().any():
        why.append("where the last column has the reason")
    return Table(
        "shortcuts",
        "Shortcut baseline: AP without looking (%)",
        columns,
        rows,
        notes=notes,
        dash="; ".join(why),
    )


def files_table(files: pd.DataFrame, title: Callable[[str], str]) -> Table:
    """Files by set and class."""
    rows = []
    for row in files.to_dict("records"):
        cells = [text(title(row["set"])), text("synthetic" if row["label"] else "real"), number(row["pictures"], 0)]
        cells += [text(_plain(row["formats"])), text(f"{_span(row, 'width')} × {_span(row, 'height')}")]
        cells += [text(_span(row, "jpeg_quality")), text(_plain(row["modes"])), percent(row["exif"])]
        cells += [number(row[name], 0) for name in ("exact", "near", "exact_across", "near_across")]
        rows.append(Row(cells))
    columns = ["Set", "Class", "Pictures", "Formats", "Size", "JPEG quality", "Modes", "EXIF %"]
    columns += ["exact", "near", "exact across", "near across"]
    groups = [("", 8), ("Copies", 4)]
    return Table("files", "The files by set and class", columns, rows, groups, dash="no JPEG, or no picture")


def _plain(value: Any) -> str:
    return MISSING if pd.isna(value) else str(value)


def _span(row: Mapping[Any, Any], fact: str) -> str:
    """The lowest and the highest value of a fact."""
    low, high = row[f"{fact}_min"], row[f"{fact}_max"]
    if pd.isna(low):
        return MISSING
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


SECTION = Section(
    "pictures", "The pictures", ("index",), make, "The pictures have not been looked at yet: `rine prepare` does it."
)
