"""Pictures inside other files: an address says which, and one function reads it.

An address is `x/y.jpg`, a member of an archive (`a.zip!b/c.png`, `b.tar!c.png`), or a cell of a parquet file
(`part-0003.parquet#1207@image`: row 1207, from 0, of the column `image`, which need not be said). The few files that a
process read last stay open, so that pictures that are read in the order of their addresses are found where the last one
ended.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from rine.pixels.pictures.archives import Tar, Zip
from rine.pixels.pictures.errors import ContainerError, UnreadablePicture, message
from rine.pixels.pictures.places import is_remote
from rine.pixels.pictures.tables import Column, row_groups

_INSIDE = re.compile(
    r"(?P<archive>.+?\.(?:zip|tar))!(?P<member>.+)|(?P<table>.+\.parquet)#(?P<row>\d+)(?:@(?P<column>[^/]+))?",
    re.IGNORECASE | re.DOTALL,
)
_OPEN = 4  # files that a thread keeps open
_TOGETHER = 64  # members of an archive that are read by one process, one after the other


class Container(Protocol):
    def read(self, place: str, most: int) -> bytes: ...  # raises `ContainerError`

    def close(self) -> None: ...


def split(address: str) -> tuple[str, str]:
    """The file that an address leads to, and the place in it: "" where the file itself is the picture."""
    found = _INSIDE.fullmatch(address)
    if found is None or (not is_remote(address) and Path(address).is_file()):
        return address, ""
    if found["table"]:
        return found["table"], f"{found['row']}@{found['column'] or 'image'}"
    return found["archive"], found["member"]


def content(address: str, most: int) -> bytes | None:
    """The bytes of a picture inside another file, at most so many; None where the address is that of a plain file.

    Raises `UnreadablePicture`, and `MemoryError`.
    """
    file, place = split(address)
    if not place:
        return None
    try:
        return _opened(file, place.partition("@")[2] if file.lower().endswith(".parquet") else "").read(place, most)
    except ContainerError as error:
        raise UnreadablePicture(address, str(error)) from error
    except OSError as error:
        raise UnreadablePicture(address, f"{file} cannot be read ({error.strerror or message(error)})") from error


def members(archive: Path) -> list[str]:
    """Names of the files in a zip or tar, as they stand in it; raises `ContainerError` for one that is none."""
    opened: Zip | Tar = (Zip if archive.suffix.lower() == ".zip" else Tar)(str(archive))
    try:
        return opened.names()
    finally:
        opened.close()


def pieces(root: Path, addresses: Sequence[str]) -> Iterator[list[str]]:
    """Sorted addresses in runs that one process reads best: a row group of a table, some members of an archive.

    A plain file is a run of its own, so that each byte of a data set is read once, by whoever reads.
    """
    for (file, inside), of_file in groupby(addresses, lambda address: (split(address)[0], split(address)[1] != "")):
        those = list(of_file)
        if not inside:
            yield from ([address] for address in those)
        elif file.lower().endswith(".parquet"):
            groups = row_groups(root / file)
            rows = [int(split(address)[1].partition("@")[0]) for address in those]
            numbered = zip(groups.searchsorted(rows, side="right").tolist(), those, strict=True)
            yield from ([address for _, address in run] for _, run in groupby(numbered, lambda pair: pair[0]))
        else:
            yield from (those[start : start + _TOGETHER] for start in range(0, len(those), _TOGETHER))


_kept = threading.local()


def _opened(file: str, column: str) -> Container:
    """The open file, whose content is still the one that was opened; of a remote one that is taken for granted."""
    about = None if is_remote(file) else os.stat(file)  # noqa: PTH116
    key = (file, column, about and about.st_size, about and about.st_mtime_ns)
    if not hasattr(_kept, "files"):
        _kept.files = OrderedDict()
    files: OrderedDict[object, Container] = _kept.files
    if key not in files:
        while len(files) >= _OPEN:
            files.popitem(last=False)[1].close()
        kind = Zip if file.lower().endswith(".zip") else Tar
        files[key] = Column(file, column) if column else kind(file)
    files.move_to_end(key)
    return files[key]
