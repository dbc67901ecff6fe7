"""`rine predict --resume`: the rows of a CSV that was half written."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rine.commands.rows import COLUMNS


@dataclass(frozen=True)
class Done:
    """What a half-written CSV holds: paths that have their row, and how many of those have no verdict."""

    paths: frozenset[str]
    unreadable: int


def resume(path: Path, model: str, crops: str) -> Done:
    """Read the rows of a CSV that `writer` was writing, and cut off a row that was not finished.

    Raises `ValueError` where the file is something else or its rows are by another model or crop rule: nothing is
    cut then.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return Done(frozenset(), 0)
    paths, unreadable, whole = set(), 0, 0
    for number, (values, end) in enumerate(_records(path)):
        if number == 0:
            if tuple(values) != COLUMNS:
                raise ValueError(f"{path} is no CSV of `rine predict`: its columns are {values}, not {list(COLUMNS)}")
            whole = end
            continue
        if len(values) != len(COLUMNS):
            raise ValueError(f"{path}: row {number} has {len(values)} fields, not {len(COLUMNS)}; mend or remove it")
        record = dict(zip(COLUMNS, values, strict=True))
        if (record["model"], record["crops"]) != (model, crops):
            had = f"model {record['model']!r} and crops {record['crops']!r}"
            raise ValueError(f"{path} was written with {had}, not {model!r} and {crops!r}; name another file")
        paths.add(record["path"])
        unreadable += bool(record["error"])
        whole = end
    if whole == 0 and not f"{','.join(COLUMNS)}\n".startswith(path.read_text(encoding="utf-8", errors="replace")):
        raise ValueError(f"{path} is no CSV of `rine predict`: it has no header line {','.join(COLUMNS)}")
    with path.open("r+b") as file:
        file.truncate(whole)
    return Done(frozenset(paths), unreadable)


def _records(path: Path) -> Iterator[tuple[list[str], int]]:
    """Rows of a CSV that were written to their end, each with the byte at which it ends."""
    position = 0
    finished = True

    with path.open("rb") as file:

        def lines() -> Iterator[str]:
            nonlocal position, finished
            for line in file:
                position += len(line)
                finished = line.endswith(b"\n")
                yield line.decode("utf-8", "surrogateescape")

        # strict: an open quote at the end of the file is an error, not a row
        reader = csv.reader(lines(), strict=True)
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if position == os.fstat(file.fileno()).st_size:
                    return
                raise ValueError(f"{path}, line {reader.line_num}: {error}; mend or remove that row") from error
            if not finished:
                return
            yield values, position
