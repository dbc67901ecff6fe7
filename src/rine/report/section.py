"""A report as data: sections of words, tables and figures, whatever it is then written as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure as Drawing

from rine.tables.table import Table

METRIC_NAMES = {"acc": "accuracy", "ap": "AP"}


@dataclass(frozen=True)
class Figure:
    """A figure: `draw` makes it, `says` is what it shows in words, for those who cannot see it too.

    `data` is what is drawn, for `dvc plots`, whose templates in .dvc/plots/ ask for the columns `panel` and `series`.
    """

    key: str
    title: str
    says: str
    draw: Callable[[], Drawing]
    data: pd.DataFrame


@dataclass(frozen=True)
class Section:
    """A part of the report; one without tables and figures says in `text` what is missing."""

    key: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=tuple)
    figures: Sequence[Figure] = field(default_factory=tuple)
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.text or self.tables or self.figures or self.warnings)


def long(table: pd.DataFrame, keep: Sequence[str], into: str) -> pd.DataFrame:
    """A row for each of accuracy and AP: the column `into` ("panel" or "series") names the metric, `value` holds it."""
    parts = [table[list(keep)].assign(**{into: name}, value=table[metric]) for metric, name in METRIC_NAMES.items()]
    return pd.concat(parts, ignore_index=True)
