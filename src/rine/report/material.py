"""Sections on what the figures rest on: the pictures, the parameters, the versions, the time."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

import pandas as pd

from rine.generators import title
from rine.report.section import Section
from rine.report.study import Study
from rine.tables.table import Row, Table, number, percent, text

PACKAGES = ("rine", "torch", "open_clip_torch", "numpy", "scikit-learn", "pandas", "pillow", "dvc")


def pictures(study: Study) -> Section:
    """What the dataset doctor found."""
    if study.doctor.empty:
        return Section(
            "pictures", "The pictures", ["The pictures have not been looked at yet: `rine prepare` does it."]
        )
    warnings: list[str] = []
    words: list[str] = []
    for row in study.findings.to_dict("records"):
        place = "" if pd.isna(row["set"]) else str(row["set"])
        line = f"{title(place)}: {row['finding']}" if place else str(row["finding"])
        (warnings if row["severity"] == "warning" else words).append(line)
    tables = [_files_table(study.doctor)]
    if len(study.shortcuts):
        tables.insert(0, _shortcut_table(study.shortcuts))
    return Section("pictures", "The pictures", words, tables, warnings=warnings)


def _shortcut_table(shortcuts: pd.DataFrame) -> Table:
    """AP that file facts alone reach, raw and aligned, by set."""
    rows = []
    for row in shortcuts.to_dict("records"):
        why = "" if pd.isna(row["reason"]) else str(row["reason"])
        strongest = why or ("" if pd.isna(row["strongest"]) else str(row["strongest"]))
        cells = [text(title(row["set"])), number(row["pictures"], 0), *map(percent, (row["chance"], row["ap"]))]
        rows.append(Row([*cells, percent(row["ap_aligned"]), text(strongest)]))
    columns = ["Set", "Pictures", "Chance", "AP raw", "AP aligned", "Told apart most by"]
    notes = ["AP of a small classifier on facts about the files, such as format and size, without one pixel."]
    return Table("shortcuts", "Shortcut baseline: AP without looking (%)", columns, rows, notes=notes)


def _files_table(doctor: pd.DataFrame) -> Table:
    """Files by set and class."""
    rows = []
    for row in doctor.to_dict("records"):
        cells = [text(title(row["set"])), text("synthetic" if row["label"] else "real"), number(row["pictures"], 0)]
        cells += [text(_plain(row["formats"])), text(f"{_span(row, 'width')} × {_span(row, 'height')}")]
        cells += [text(_span(row, "jpeg_quality")), text(_plain(row["modes"])), percent(row["exif"])]
        cells += [number(row[name], 0) for name in ("exact", "near", "exact_across", "near_across")]
        rows.append(Row(cells))
    columns = ["Set", "Class", "Pictures", "Formats", "Size", "JPEG quality", "Modes", "EXIF %"]
    columns += ["exact", "near", "exact across", "near across"]
    groups = [("", 8), ("Copies", 4)]
    return Table("files", "The files by set and class", columns, rows, groups)


def _plain(value: Any) -> str:
    return "–" if pd.isna(value) else str(value)


def _span(row: Mapping[Any, Any], fact: str) -> str:
    low, high = row[f"{fact}_min"], row[f"{fact}_max"]
    if pd.isna(low):
        return "–"
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def making(study: Study) -> Section:
    """Parameters, versions, time, and which stages have not been run."""
    tables = []
    if study.params is not None:
        tables.append(_parameter_table(asdict(study.params)))
    tables.append(_version_table())
    if study.timings:
        tables.append(_timing_table(study.timings))
    words = [f"Not in this report, since it has not been run: {what}." for what in study.missing]
    return Section("making", "How this was made", words, tables)


def _parameter_table(params: Mapping[str, Any]) -> Table:
    rows = [Row([text(key), text(value)]) for key, value in flat(params) if not key.startswith("about")]
    return Table("parameters", "Parameters in force", ["Parameter", "Value"], rows)


def flat(params: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested parameters as (dotted key, value in words)."""
    for key, value in params.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value))
        else:
            yield name, "none" if value is None else str(value)


def _version_table() -> Table:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    rows = [Row([text(name), text(version)]) for name, version in found.items()]
    return Table("versions", "Versions", ["Package", "Version"], rows)


def _timing_table(timings: Mapping[str, float]) -> Table:
    rows = [Row([text(stage), number(seconds, 1)]) for stage, seconds in timings.items()]
    rows.append(Row([text("Together"), number(sum(timings.values()), 1)], strong=True))
    notes = ["The last time each stage ran; a stage whose result DVC had kept did not run again."]
    return Table("timings", "Time of each stage (s)", ["Stage", "Seconds"], rows, notes=notes)
