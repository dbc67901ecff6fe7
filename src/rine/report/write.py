"""From a study to files: figures and their data for DVC, metrics, the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rine.drawing import png, styled
from rine.files import whole_folder, write_whole
from rine.report import page
from rine.report.estimates import by_generator
from rine.report.labels import PAPER_METRICS, settings_of
from rine.report.rules import HEADLINE
from rine.report.section import Content, Figure, Report, Section
from rine.report.sections import SECTIONS
from rine.report.study import Study
from rine.report.table import latex


def compile_report(study: Study, sections: Sequence[Section] = SECTIONS) -> Report:
    """The content of every section, in the order of the page; one that has neither content nor words is left out."""
    report = {}
    for section in sections:
        content = section.make(study)
        if content is None and section.absent and not (study.without(section.key) or study.one_class):
            content = Content([section.absent])
        if content is not None:
            report[section] = content
    return report


def figures_of(report: Report) -> list[Figure]:
    """Every figure of the page, in its order."""
    return [figure for content in report.values() for figure in content.figures]


def render(report: Report, notice: str = "") -> dict[str, bytes]:
    """Draw every figure, all in one style: key -> PNG."""
    return {figure.key: png(styled(figure.draw)(), notice) for figure in figures_of(report)}


def write_plots(report: Report, images: Mapping[str, bytes], folder: Path) -> None:
    """Every figure as a picture and its data as a CSV, for people and for `dvc plots`: all of them, or those before."""
    with whole_folder(folder) as part:
        for key, picture in images.items():
            (part / f"{key}.png").write_bytes(picture)
        for figure in figures_of(report):
            # DVC puts the data into a script of its page, which must not end before its end
            data = figure.data.replace("</", "<|", regex=True)
            data.to_csv(part / f"{figure.key}.csv", index=False, float_format="%.6g", lineterminator="\n")
        for other in folder.iterdir() if folder.is_dir() else ():
            if other.suffix not in {".png", ".csv"}:  # those of stages that left nothing this time go
                shutil.copy2(other, part)


def write_page(
    title: str, notice: str, lead: Sequence[str], report: Report, images: Mapping[str, bytes], folder: Path
) -> None:
    """index.html, which needs no other file, and report.md with its figures beside it."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for key, picture in images.items():
        (folder / "figures" / f"{key}.png").write_bytes(picture)
    write_whole(folder / "index.html", page.html(title, notice, lead, report, images).encode())
    write_whole(folder / "report.md", page.as_markdown(title, notice, lead, report).encode())


def write_latex(report: Report, folder: Path) -> None:
    """One file a table, for a document that uses booktabs."""
    (folder / "latex").mkdir(parents=True, exist_ok=True)
    for table in [table for content in report.values() for table in content.tables]:
        (folder / "latex" / f"{table.key}.tex").write_text(latex(table), encoding="utf-8")


def write_means(study: Study, folder: Path) -> None:
    """report.json: headline means by setting; generators.json: accuracy and AP by setting and generator."""
    means, rules = by_generator(study.reported), study.rules
    # by the names that a user wrote in the params
    names = {label: name for name, label in study.labels.items()}
    headline: dict[str, Any] = {}
    generators: dict[str, Any] = {}
    for setting in settings_of(study.reported):
        name = names.get(setting, setting)
        scores = means.loc[[setting]].droplevel(0)
        headline[name] = {metric: _rounded(scores[metric].mean()) for metric in PAPER_METRICS}
        for row in rules[(rules["setting"] == setting) & rules["rule"].isin(HEADLINE)].to_dict("records"):
            headline[name][row["rule"]] = {metric: _rounded(row[metric]) for metric in PAPER_METRICS}
        generators[name] = {
            str(generator): {metric: _rounded(value) for metric, value in row.items()}
            for generator, row in scores.to_dict("index").items()
        }
    folder.mkdir(parents=True, exist_ok=True)
    for file, values in (("report", headline), ("generators", generators)):
        write_whole(folder / f"{file}.json", (json.dumps(values, indent=2) + "\n").encode())


def _rounded(value: Any) -> float | None:
    return None if pd.isna(value) else round(float(value), 6)
