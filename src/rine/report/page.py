"""A report as one HTML page and as Markdown."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from rine.report.section import Report
from rine.report.table import markdown


def html(title: str, notice: str, lead: Sequence[str], report: Report, images: Mapping[str, bytes]) -> str:
    """One page that needs no other file: styles and pictures are in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    inline = {key: (base64.b64encode(png).decode(), _width(png)) for key, png in images.items()}
    page = environment.get_template("page.html.j2")
    return page.render(title=title, notice=notice, lead=lead, report=report, images=inline)


def _width(png: bytes) -> int:
    """Width in pixels, from the header (RFC 2083, section 4.1.1)."""
    return int.from_bytes(png[16:20], "big")


def as_markdown(title: str, notice: str, lead: Sequence[str], report: Report) -> str:
    """The same text and tables; figures are links into the folder `figures` beside the file."""
    lines = [f"# {title}", *([f"> **{notice}**"] if notice else []), *lead]
    for section, content in report.items():
        lines += [f"## {section.title}", *content.text]
        lines += [f"> ⚠ {warning}" for warning in content.warnings]
        lines += [markdown(table) for table in content.tables]
        lines += [f"![{figure.says}](figures/{figure.key}.png)\n\n*{figure.title}*" for figure in content.figures]
    return "\n\n".join(lines) + "\n"
