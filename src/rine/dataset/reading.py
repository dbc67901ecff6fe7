"""Every picture of a data set looked at once, by every core, unless an earlier run knows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from rine import apart
from rine.dataset import told
from rine.dataset.fact_store import FactStore
from rine.dataset.facts import Facts, Skipped, examine_all
from rine.dataset.records import Records
from rine.device import usable_cores
from rine.pixels.pictures import pieces, place, split
from rine.progress import progress

CHUNK = 32  # pieces whose pictures' facts are remembered at once
Looked = tuple[str, os.stat_result | None, Facts | Skipped | apart.Lost]
Examine = Callable[[Path, list[str], int, int | None, Mapping[str, str]], Iterator[list[Looked]]]
_NOTHING: Mapping[str, str] = MappingProxyType({})


def read_all(
    root: Path,
    paths: Sequence[str],
    max_pixels: int,
    store: Path | None = None,
    workers: int | None = None,
    by: Examine | None = None,
    said: Mapping[str, str] = _NOTHING,
) -> tuple[Records, int]:
    """The facts of every path, by its number, and how many of them were remembered from an earlier run.

    `by` looks at the others; by default `examined`, here. `said` is what lists say of a path (`rine.dataset.told`).
    """
    records = Records(len(paths))
    with closing(FactStore(store, max_pixels)) if store else nullcontext() as remembered:
        todo = _recalled(root, paths, remembered, records, said)
        numbers = iter(todo)
        with progress(len(todo), "pictures", "prepare") as bar:
            pieces_of = (by or examined)(root, [paths[number] for number in todo], max_pixels, workers, said)
            while batch := [looked for piece in islice(pieces_of, CHUNK) for looked in piece]:
                for (_, _, fact), number in zip(batch, numbers, strict=False):
                    records.put(number, Skipped(str(fact)) if isinstance(fact, apart.Lost) else fact)
                if remembered:  # not of what was lost: it may have been the machine
                    remembered.put(
                        (*_known_by(root, path, stat, said), fact)
                        for path, stat, fact in batch
                        # of what a list names its facts alone: why a file has none need not hold where it lies next
                        if stat is not None and isinstance(fact, Facts if path in said else (Facts, Skipped))
                    )
                bar.advance(len(batch))
    return records, len(paths) - len(todo) - sum(path != printable(path) for path in paths)


def _recalled(
    root: Path, paths: Sequence[str], remembered: FactStore | None, records: Records, said: Mapping[str, str]
) -> list[int]:
    """Put what is known into the records; the numbers of the others."""
    todo = []
    file, about = "", None
    for number, path in enumerate(paths):
        if path != printable(path):
            records.put(number, Skipped("the file's name is not UTF-8"))
            continue
        if remembered is not None:
            its, inside = split(str(root / path))
            file, about = (file, about) if its == file else (its, _stat(its))
            known = remembered.get(*_known_by(root, path, about, said)) if about else None
            if path in said and about and isinstance(known, Facts) and not inside and known.bytes != about.st_size:
                known = None  # another file, whatever the list says
            if known is not None:
                records.put(number, known)
                continue
        todo.append(number)
    return todo


def _known_by(
    root: Path, path: str, about: os.stat_result | None, said: Mapping[str, str]
) -> tuple[Path | str, os.stat_result | None]:
    """What a picture's facts are remembered by: its file as it is now, or the digest that a list says."""
    return (told.key(said[path]), None) if path in said else ((root / path).absolute(), about)


def _stat(file: str) -> os.stat_result | None:
    """Of the file that a picture is or lies in: where that changed, the picture is read again."""
    try:
        return place(file).stat()
    except OSError:
        return None  # a broken link; `examine` says so


def printable(path: str) -> str:
    """The path as UTF-8 can hold it; another string only where the name's bytes are none."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def examined(
    root: Path, paths: list[str], max_pixels: int, workers: int | None, said: Mapping[str, str] = _NOTHING
) -> Iterator[list[Looked]]:
    """Pieces of the paths with their facts, in order, looked at by so many processes; 0: by this one."""
    workers = usable_cores() if workers is None else workers

    def facts_of(files: list[Path], digests: list[str]) -> list[Facts | Skipped | apart.Lost]:
        if not workers:
            return [*examine_all(files, max_pixels, digests)]
        try:
            return [*apart.call(examine_all, files, max_pixels, digests, seconds=apart.SECONDS + len(files))]
        except apart.Lost as lost:
            if len(files) == 1:
                return [lost]
            half = len(files) // 2  # until the picture is found that takes the others along
            return facts_of(files[:half], digests[:half]) + facts_of(files[half:], digests[half:])

    def look(piece: list[str]) -> list[Looked]:
        files = [root / path for path in piece]
        about = _stat(split(str(files[0]))[0])  # before it is read
        found = facts_of(files, [said.get(path, "") for path in piece])
        return [(path, about, fact) for path, fact in zip(piece, found, strict=True)]

    return (looked for _, looked in apart.ahead(look, pieces(root, paths), workers))
