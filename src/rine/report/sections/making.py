"""How the report was made: parameters, versions, time, and which stages have not been run."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

from rine.report.section import Content, Section
from rine.report.study import PARTS, Study
from rine.report.table import Row, Table, number, text

PACKAGES = ("rine", "torch", "open_clip_torch", "numpy", "scikit-learn", "pandas", "pillow", "dvc")


def make(study: Study) -> Content:
    tables = [_parameter_table(asdict(study.params))] if study.params else []
    tables.append(_version_table())
    if study.timings.is_file():
        tables.append(_timing_table(json.loads(study.timings.read_text(encoding="utf-8"))))
    return Content([f"Not in this report, since it has not been run: {part}." for part in study.missing], tables)


def _parameter_table(params: Mapping[str, Any]) -> Table:
    rows = [Row([text(key), text(value)]) for key, value in flat(params) if not key.startswith("about")]
    return Table("parameters", "Parameters in force", ["Parameter", "Value"], rows)


def flat(params: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested parameters as (dotted key, value for people)."""
    for key, value in params.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value))
        else:
            yield name, "none" if value is None else str(value)


def _version_table() -> Table:
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    rows = [Row([text(name), text(version)]) for name, version in versions.items()]
    return Table("versions", "Versions", ["Package", "Version"], rows)


def _timing_table(timings: Mapping[str, float]) -> Table:
    rows = [Row([text(stage), number(seconds, 1)]) for stage, seconds in timings.items()]
    rows.append(Row([text("Together"), number(sum(timings.values()), 1)], strong=True))
    notes = ["The last time each stage ran; a stage whose result DVC had kept did not run again."]
    return Table("timings", "Time of each stage (s)", ["Stage", "Seconds"], rows, notes=notes)


SECTION = Section("making", "How this was made", tuple(PARTS), make)
