"""`--real`, `--fake` and `--csv`: pictures whose truth a person knows."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rine.commands.arguments import find

if TYPE_CHECKING:
    from rine.own.pictures import Labelled

TRUTHS = {"real": 0, "0": 0, "synthetic": 1, "fake": 1, "1": 1}

Real = Annotated[
    list[str] | None, typer.Option("--real", help="Real pictures: a file, a folder, a glob in quotes, -; repeatable.")
]
Fake = Annotated[list[str] | None, typer.Option("--fake", help="Synthetic pictures, named as --real names them.")]
Table = Annotated[
    Path | None,
    typer.Option("--csv", help="A CSV of `rine predict` with a column `truth` (real or synthetic) that you filled in."),
]


def labelled(real: Iterable[str] | None, fake: Iterable[str] | None, table: Path | None) -> list[Labelled]:
    """All pictures that the options name; raises `ValueError` where they name none, or both read standard input."""
    from rine.own.pictures import Labelled

    kinds = [list(real or ()), list(fake or ())]
    if all("-" in arguments for arguments in kinds):
        raise ValueError("--real - and --fake - cannot both be standard input; put one list into a file")
    found = [
        Labelled(each.path, label, argument, each.error)
        for label, arguments in enumerate(kinds)
        for argument in arguments
        for each in find([argument], sys.stdin)
    ]
    found += _rows(table) if table else []
    if not found:
        raise ValueError("no pictures: name some with --real, --fake or --csv")
    return found


def _rows(table: Path) -> Iterator[Labelled]:
    """Rows of the CSV that have a truth. A path leads on from here, or from the CSV's folder."""
    from rine.own.pictures import Labelled

    n = 0
    for path, label in _truths(table):
        beside = table.parent / path
        at = str(beside) if not Path(path).exists() and beside.exists() else path
        n += 1
        yield from (Labelled(each.path, label, table.name, each.error) for each in find([at]))
    if not n:
        raise ValueError(f"{table}: no row has a truth yet; write real or synthetic into that column")


def _truths(table: Path) -> Iterator[tuple[str, int]]:
    """Path and label of each row that has a truth; raises `ValueError` for another file and for another word."""
    from rine.dataset.layouts.tables import rows_by_column

    with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = rows_by_column(file)
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
                yield row["path"], TRUTHS[truth]
