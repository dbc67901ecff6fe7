"""The scores table: one row a run and generator, in the form of the scores that RINE's authors published.

A CSV file in UTF-8 with these columns, in any order:

| column | what | empty |
|---|---|---|
| `study` | one of `STUDIES` | never |
| `training_set`, `backbone` | `progan`, `ViT-L/14` | never |
| `n_classes`, `classes` | training classes, joined by spaces in any order | where the training set has no classes |
| `xi`, `q`, `d` | weight of the contrastive loss, layers, projected width P | never in a study that selects |
| `batch_size`, `lr`, `epochs` | how it was trained | never in a study that selects |
| `variant`, `fraction` | an ablation or `perturb:blur`; share of training pictures | where neither applies |
| `val_acc`, `val_loss` | accuracy and mean loss on validation pictures | where there are none |
| `generator`, `acc`, `ap` | test set; accuracy at 0.5 and average precision, 0 to 1 | never |
| `seed` | of the head; the column may be missing | where unknown |

The studies that select are `SELECTING`: there a row is a configuration. Elsewhere another method, one that
has no xi or q, can be laid beside ours. `docs/scores.md` says the same to users.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

STUDIES = ("grid", "epochs", "dataset_size", "ablate", "left_out", "ldm", "best", "validate", "perturb", "detect")
SELECTING = ("grid", "epochs", "ldm")

# of a scores file: the paper's whole programme has 10,000 rows, of 100 bytes
MOST_BYTES, MOST_ROWS, LONGEST_LINE = 100_000_000, 1_000_000, 100_000

SETTING = ("study", "training_set", "backbone", "n_classes", "classes")
HYPER = ("xi", "q", "d", "batch_size", "lr", "epochs")
VALIDATION = ("val_acc", "val_loss")
RUN = (*SETTING, *HYPER, "variant", "fraction", *VALIDATION)
COLUMNS = (*RUN, "generator", "acc", "ap")  # as published; ours have `seed` too
IDENTITY = (*SETTING, *HYPER, "variant", "fraction", "seed")  # what makes a run a run of its own

_WHOLE = ("n_classes", "q", "d", "batch_size", "epochs", "seed")
# column -> (lowest, highest, what is allowed in words)
_RANGE: dict[str, tuple[float, float, str]] = {
    "n_classes": (1, np.inf, "a whole number from 1"),
    "xi": (0, np.inf, "a number from 0"),
    "q": (1, np.inf, "a whole number from 1"),
    "d": (1, np.inf, "a whole number from 1"),
    "batch_size": (1, np.inf, "a whole number from 1"),
    "lr": (0, np.inf, "a number from 0"),
    "epochs": (1, np.inf, "a whole number from 1"),
    "fraction": (0, 1, "a number from 0 to 1"),
    "val_acc": (0, 1, "a number from 0 to 1"),
    "val_loss": (0, np.inf, "a number from 0"),
    "acc": (0, 1, "a number from 0 to 1"),
    "ap": (0, 1, "a number from 0 to 1 (pictures of one class have no average precision: leave the row out)"),
    "seed": (0, np.inf, "a whole number from 0"),
}


class ScoresError(ValueError):
    """Scores that cannot be used; the message names the place, the value and what is allowed."""


def read_scores(path: Path | str) -> pd.DataFrame:
    """Read and check a scores file: text as strings ("" where empty), numbers as numbers (NaN where empty).

    Raises `ScoresError` that names line and column for a missing column, an unknown study, a cell that is no
    number of the allowed range (NaN is none), and a second row of one run and generator.
    """
    path = Path(path)
    if path.is_dir():
        raise ScoresError(f"{path} is a folder; `rine report --with {path}` lays it beside the study's own scores")
    if not path.is_file():
        raise ScoresError(f"{path}: no such scores file; docs/scores.md says what one looks like")
    with path.open("rb") as file:
        if len(file.readline(LONGEST_LINE)) == LONGEST_LINE or path.stat().st_size > MOST_BYTES:
            raise ScoresError(f"{path} has more than {MOST_BYTES:,} bytes, or a header of {LONGEST_LINE:,}")
    try:
        # what is compressed could be of any size
        cells = pd.read_csv(
            path, dtype=str, keep_default_na=False, encoding="utf-8-sig", compression=None, nrows=MOST_ROWS + 1
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ScoresError(f"{path} is not a CSV table: {error}") from error
    if len(cells) > MOST_ROWS:
        raise ScoresError(f"{path} has more than {MOST_ROWS:,} rows")
    return check_scores(cells, str(path))


def write_scores(table: pd.DataFrame, path: Path | str) -> None:
    """Write a scores table; `read_scores` reads it back equal."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [*COLUMNS, *(["seed"] if "seed" in table else [])]
    table[columns].to_csv(path, index=False, lineterminator="\n")


def check_scores(cells: pd.DataFrame, origin: str = "scores") -> pd.DataFrame:
    """Check a table of cells (strings or numbers) and type its columns; raises as `read_scores` does."""
    table = _checked(cells, COLUMNS, ("training_set", "backbone", "generator"), origin)
    for column in ("acc", "ap"):
        _refuse(table[column].isna(), cells[column], column, _RANGE[column][2], origin)
    _refuse_twice(table, [column for column in (*IDENTITY, "generator") if column in table], origin)
    return table


def check_runs(cells: pd.DataFrame, origin: str = "runs") -> pd.DataFrame:
    """As `check_scores`, of a table of runs: one row a run, no generator and no scores."""
    return _checked(cells, RUN, ("training_set", "backbone"), origin)


def _checked(cells: pd.DataFrame, needed: Sequence[str], names: Sequence[str], origin: str) -> pd.DataFrame:
    """The needed columns and `seed`, typed; `names` may not be empty."""
    missing = [column for column in needed if column not in cells]
    if missing:
        raise ScoresError(f"{origin}: line 1: missing column {', '.join(missing)}; needed: {', '.join(needed)}")
    columns = [*needed, *(["seed"] if "seed" in cells else [])]
    table = pd.DataFrame({column: _typed(cells[column], column, origin) for column in columns})
    _refuse(~table["study"].isin(STUDIES), cells["study"], "study", f"one of {', '.join(STUDIES)}", origin)
    for column in names:
        _refuse(table[column] == "", cells[column], column, "a name", origin)
    table["classes"] = table["classes"].map(lambda classes: " ".join(sorted(classes.split())))
    counted = table["classes"].map(lambda classes: len(classes.split()))
    contradicts = (counted > 0) & table["n_classes"].notna() & (table["n_classes"].fillna(0) != counted)
    allowed = "how many classes the column classes names; either may be empty"
    _refuse(contradicts.astype(bool), cells["n_classes"], "n_classes", allowed, origin)
    table["n_classes"] = table["n_classes"].fillna(counted.where(counted > 0).astype("Int64"))
    selecting = table["study"].isin(SELECTING)
    for column in HYPER:
        allowed = f"{_RANGE[column][2]}; it may be empty in other studies than {', '.join(SELECTING)}"
        _refuse(selecting & table[column].isna(), cells[column], column, allowed, origin)
    return table


def _typed(cells: pd.Series, column: str, origin: str) -> pd.Series:
    """One column as strings, or as numbers of the allowed range."""
    text = ["" if gone else str(cell) for cell, gone in zip(cells.array, cells.isna().array, strict=True)]
    if column not in _RANGE:
        return pd.Series(text, cells.index, dtype=str)
    low, high, allowed = _RANGE[column]
    stripped = np.array([cell.strip() for cell in text], dtype=object)
    empty = stripped == ""
    numbers = pd.to_numeric(pd.Series(stripped), errors="coerce").to_numpy(float)
    bad = ~empty & ~(np.isfinite(numbers) & (low <= numbers) & (numbers <= high))
    if column in _WHOLE:
        bad |= ~empty & (numbers % 1 != 0)
    _refuse(bad, cells, column, allowed, origin)
    return pd.Series(numbers, cells.index).astype("Int64" if column in _WHOLE else float)


def _refuse(bad: pd.Series | np.ndarray, cells: pd.Series, column: str, allowed: str, origin: str) -> None:
    if bad.any():
        at = int(np.flatnonzero(np.asarray(bad))[0])
        more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
        value = str(cells.iloc[at])[:200]
        raise ScoresError(f"{origin}: line {at + 2}, column {column}: {value or 'empty'}{more}; allowed: {allowed}")


def _refuse_twice(table: pd.DataFrame, key: list[str], origin: str) -> None:
    again = table.duplicated(key)
    if not again.any():
        return
    at = int(np.flatnonzero(again.to_numpy())[0])
    run = table.groupby(key, dropna=False, sort=False).ngroup().to_numpy()
    first = int(np.flatnonzero(run == run[at])[0])
    generator = table["generator"].iloc[at]
    raise ScoresError(
        f"{origin}: line {at + 2}, column generator: {generator} stands at line {first + 2} already "
        f"for the same run; allowed: one row for each of {', '.join(key)}"
    )
