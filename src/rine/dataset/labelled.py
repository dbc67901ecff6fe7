"""A CSV in which a person has written the truth of pictures, such as `rine predict` writes, as a data set."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from rine.dataset.listing import DatasetError

TRUTHS = {"real": 0, "0": 0, "synthetic": 1, "fake": 1, "1": 1}


def truths(table: Path) -> Iterator[tuple[str, int, int]]:
    """Path, label and line of each row that has a truth; raises `ValueError` for another file and for another word."""
    with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file)
        if missing := {"path", "truth"} - set(rows.fieldnames or ()):
            raise ValueError(
                f"{table} has no column {' and no '.join(sorted(missing))}: `rine predict --csv` writes path"
            )
        for row in rows:
            truth = (row["truth"] or "").strip().lower()
            if truth and truth not in TRUTHS:
                allowed = ", ".join(TRUTHS)
                raise ValueError(f"{table}, line {rows.line_num}: truth = {truth!r}; allowed: {allowed}, or nothing")
            if truth:
                yield row["path"], TRUTHS[truth], rows.line_num


def labelled(root: Path, name: str, table: str) -> tuple[list[str], list[str]]:
    """Real and synthetic pictures of a table below `root`, relative to it, sorted.

    Paths lead on from here, as `rine predict` wrote them, from the table's folder or from `root`; pictures elsewhere
    are refused, since DVC would not see them.
    """
    file = root / table
    if not file.is_file():
        raise DatasetError(f"data set {name!r}: expected a table {file}, it is missing")
    found: tuple[set[str], set[str]] = (set(), set())
    try:
        for path, label, line in truths(file):
            there = next((p for p in (Path(path), file.parent / path, root / path) if p.is_file()), None)
            if there is None:
                raise DatasetError(f"data set {name!r}: {file}, line {line}: {path} is not there")
            inside = os.path.relpath(there.absolute(), root.absolute())
            if inside.startswith(".."):
                raise DatasetError(f"data set {name!r}: {file}, line {line}: {path} does not lie below {root}")
            found[label].add(Path(inside).as_posix())
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(f"data set {name!r}: {error}") from error
    if empty := [kind for kind, paths in zip(("real", "synthetic"), found, strict=True) if not paths]:
        raise DatasetError(f"data set {name!r}: {file} has no picture that is called {empty[0]}")
    return sorted(found[0]), sorted(found[1])
