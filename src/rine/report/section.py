"""The report as data: what a section is, and what it holds for one study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.report.study import Study
from rine.report.table import Table

PANELS = {"acc": "accuracy", "ap": "AP"}  # as the files in plots/ name the metrics, and the templates in .dvc/plots/


@dataclass(frozen=True)
class Figure:
    """A figure: `draw` makes it (its style is set when it is called), `says` tells those who cannot see what it shows.

    `data` is what is drawn, for `dvc plots`, whose templates in .dvc/plots/ ask for the columns `panel` and `series`.
    """

    key: str
    title: str
    says: str
    draw: Callable[[], Drawing]
    data: pd.DataFrame


@dataclass(frozen=True)
class Content:
    """What a section holds for one study."""

    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A section of the page: `make` gives its content, or None where its stages have left nothing.

    `reads` are the folders of artifacts/ that it is made of. `absent` is what the page says where there is no content;
    without it the section is left out.
    """

    key: str
    title: str
    reads: tuple[str, ...]
    make: Callable[[Study], Content | None]
    absent: str = ""


Report = Mapping[Section, Content]


def long(table: pd.DataFrame, keep: Sequence[str], into: str) -> pd.DataFrame:
    """A row for each of accuracy and AP: the column `into` ("panel" or "series") names the metric, `value` holds it.

    Where there are acc_low, acc_high, ap_low, ap_high, `low` and `high` hold the interval.
    """
    parts = []
    for metric, name in PANELS.items():
        ends = {end: table[f"{metric}_{end}"] for end in ("low", "high") if f"{metric}_{end}" in table}
        parts.append(table[list(keep)].assign(**{into: name}, value=table[metric], **ends))
    return pd.concat(parts, ignore_index=True)
