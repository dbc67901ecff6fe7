"""`rine select --scores`: the selection rules on any scores file, as a table to print."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rine.dataset.generators import FAMILY, RELEASED
from rine.evaluation.selection import rules_of
from rine.scores import read_scores
from rine.terminal import printable


def print_rules(scores_file: Path) -> None:
    """Print `rules_beside`."""
    console = Console()
    # the table has twelve columns: in a narrow window or a file it would be cut to nothing
    Console(width=max(console.width, 130)).print(rules_beside(scores_file))


def rules_beside(scores_file: Path | str) -> Table:
    """All rules side by side on a scores file, for each encoder and setting: a table to print."""
    shown = Table(
        title=escape(printable(f"Selection on {Path(scores_file).name}")),
        caption="Means over the test sets in %; gap: what the paper's rule reports beyond, in points",
    )
    for name in ("setting", "encoder", "rule"):
        shown.add_column(name, no_wrap=True)
    for name in ("xi", "q", "P", "epochs", "acc", "AP", "gap acc", "gap AP"):
        shown.add_column(name, justify="right", no_wrap=True)
    rules = rules_of(read_scores(scores_file), FAMILY, RELEASED)
    notes = [reason for reason in dict.fromkeys(rules["reason"]) if reason]
    for row in rules.to_dict("records"):
        model = [row[name] for name in ("xi", "q", "proj_dim", "epochs")]
        values = [row[name] for name in ("acc", "ap", "gap_acc", "gap_ap")]
        note = f" ({notes.index(row['reason']) + 1})" if row["reason"] else ""
        shown.add_row(
            escape(printable(row["setting"])),
            escape(printable(row["encoder"])),
            str(row["rule"]) + note,
            *("" if pd.isna(value) else f"{value:g}" for value in model),
            *("" if pd.isna(value) else f"{round(100 * value, 1) + 0.0:.1f}" for value in values),
            end_section=row["rule"] == "ensemble",
        )
    shown.caption = "\n".join(
        [str(shown.caption), *(f"({n}) {escape(printable(note))}" for n, note in enumerate(notes, start=1))]
    )
    return shown
