"""A table as data, and as Markdown and LaTeX (the page's template writes the HTML)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rine.evaluation.intervals import ENOUGH, Difference, Interval

MISSING = "–"
CHANCE = "≈"  # marks a difference that could be chance
CHANCE_NOTE = f"{CHANCE} the difference could be chance: its paired interval holds 0."
FEW = "°"  # after an interval that cannot be trusted
FEW_NOTE = f"{FEW} from fewer than {ENOUGH} real or {ENOUGH} synthetic pictures of a test set: not to be trusted."
WARNING = "⚠"


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the interval under it, a mark that the table's notes explain; `number` aligns it right."""

    text: str
    interval: str = ""
    mark: str = ""
    number: bool = True

    def __str__(self) -> str:
        return " ".join(part for part in (self.text, self.interval, self.mark) if part)


@dataclass(frozen=True)
class Row:
    """A row; `strong` sets it off as a mean, `section` starts a group of rows under that title."""

    cells: Sequence[Cell]
    strong: bool = False
    section: str = ""


@dataclass(frozen=True)
class Table:
    """A table: `groups` are (title, number of columns) over `columns`; the first column names the row.

    `dash` says why a cell has no value; it is a note where there is such a cell.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    groups: Sequence[tuple[str, int]] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    dash: str = ""

    def __post_init__(self) -> None:
        cells = [cell for row in self.rows for cell in row.cells]
        few = [FEW_NOTE] if any(cell.interval.endswith(FEW) for cell in cells) else []
        without = [f"{MISSING} {self.dash}."] if self.dash and any(cell.text == MISSING for cell in cells) else []
        object.__setattr__(self, "notes", [*self.notes, *without, *few])


def text(value: object, mark: str = "") -> Cell:
    """A cell of words."""
    return Cell(str(value), mark=mark, number=False)


def number(value: float | None, digits: int = 1) -> Cell:
    """A plain number with thousands apart; missing values are a dash."""
    if value is None or math.isnan(value):
        return Cell(MISSING)
    return Cell(f"{value:,.{digits}f}".replace(",", "\u202f"))


def percent(value: float | None, interval: Interval | None = None) -> Cell:
    """A value in 0..1 as per cent with one digit, as the paper's tables print it, and its interval."""
    if value is None or math.isnan(value):
        return Cell(MISSING)
    bounds = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]" + FEW * interval.few if interval else ""
    return Cell(f"{100 * value:.1f}", bounds)


def difference(value: float | None, paired: Difference | None = None, bounds: bool = False) -> Cell:
    """A signed difference of two values in 0..1, in points, marked where it could be chance; `bounds`: with both."""
    if value is None or math.isnan(value):
        return Cell(MISSING)
    shown = f"[{_signed(paired.low)}, {_signed(paired.high)}]" + FEW * paired.few if paired and bounds else ""
    return Cell(_signed(value), shown, CHANCE if paired and paired.chance else "")


def _signed(value: float) -> str:
    points = round(100 * value, 1)
    return "0.0" if points == 0 else f"{points:+.1f}".replace("-", "−")


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown; a header of two rows becomes one."""
    names = _flat_columns(table)
    align = [":--" if i == 0 else "--:" for i in range(len(names))]
    lines = [f"**{table.title}**", "", _md_row(names), _md_row(align)]
    for row in table.rows:
        if row.section:
            lines.append(_md_row([f"*{_md(row.section)}*", *[""] * (len(names) - 1)]))
        cells = [_md(str(cell)) for cell in row.cells]
        lines.append(_md_row([f"**{cell}**" if row.strong and cell else cell for cell in cells]))
    return "\n".join([*lines, *(f"\n{_md(note)}" for note in table.notes)])


def _flat_columns(table: Table) -> list[str]:
    """Column names with the title of their group before them."""
    prefixes = [title for title, span in table.groups for _ in range(span)] or [""] * len(table.columns)
    return [_md(f"{prefix} {name}".strip()) for prefix, name in zip(prefixes, table.columns, strict=True)]


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "≈": r"$\approx$", "ξ": r"$\xi$",
    "⚠": r"\textsuperscript{!}", "–": "--", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$", "\u202f": r"\,",
    "≥": r"$\geq$", "≤": r"$\leq$", "→": r"$\to$", "°": r"$^\circ$",
}  # fmt: skip


def escape_latex(value: str) -> str:
    """Escape what LaTeX reads as commands, and replace the signs that it has commands for."""
    return "".join(_LATEX.get(letter, letter) for letter in value)


def latex(table: Table) -> str:
    """The table for LaTeX with the package booktabs; notes stand under it."""
    width = len(table.columns)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape_latex(table.title)}}}"]
    lines += [rf"\label{{tab:{table.key}}}", rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}", r"\toprule"]
    if table.groups:
        lines += _latex_groups(table.groups)
    lines += [" & ".join(escape_latex(name) for name in table.columns) + r" \\", r"\midrule"]
    for row in table.rows:
        if row.section:
            lines += [rf"\multicolumn{{{width}}}{{l}}{{\emph{{{escape_latex(row.section)}}}}} \\"]
        lines.append(" & ".join(_latex_cell(cell, row.strong) for cell in row.cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\\ {{\footnotesize {escape_latex(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_groups(groups: Sequence[tuple[str, int]]) -> list[str]:
    """The upper header row, with a rule under each group that has a title."""
    cells, rules, start = [], [], 1
    for title, span in groups:
        cells.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _latex_cell(cell: Cell, strong: bool) -> str:
    value = escape_latex(cell.text)
    value = rf"\textbf{{{value}}}" if strong and value else value
    interval = rf" {{\scriptsize {escape_latex(cell.interval)}}}" if cell.interval else ""
    return value + interval + (f" {escape_latex(cell.mark)}" if cell.mark else "")
