"""A report as one HTML page, as Markdown and as LaTeX."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from rine.report.section import Section
from rine.tables.table import latex, markdown


def html(title: str, notice: str, lead: Sequence[str], sections: Sequence[Section], images: Mapping[str, bytes]) -> str:
    """One page that needs nothing else: styles and pictures stand in it."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    inline = {key: (base64.b64encode(png).decode(), _width(png)) for key, png in images.items()}
    page = environment.get_template("page.html.j2")
    return page.render(title=title, notice=notice, lead=lead, sections=sections, images=inline)


def _width(png: bytes) -> int:
    """Width in pixels, from the header (RFC 2083, section 4.1.1)."""
    return int.from_bytes(png[16:20], "big")


def as_markdown(title: str, notice: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The same words and tables; figures are links into the folder `figures` beside the file."""
    lines = [f"# {title}"]
    if notice:
        lines.append(f"> **{notice}**")
    lines += lead
    for section in sections:
        lines.append(f"## {section.title}")
        lines += section.text
        lines += [f"> ⚠ {warning}" for warning in section.warnings]
        lines += [markdown(table) for table in section.tables]
        lines += [f"![{figure.says}](figures/{figure.key}.png)\n\n*{figure.title}*" for figure in section.figures]
    return "\n\n".join(lines) + "\n"


def as_latex(sections: Sequence[Section]) -> dict[str, str]:
    """Every table by its key, for a document that uses booktabs."""
    return {table.key: latex(table) for section in sections for table in section.tables}
