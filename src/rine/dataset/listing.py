"""Lists of picture files in folders, sorted, and the errors that say which folder is not as expected.

Nothing is opened here. Paths are posix and relative to the root; symbolic links are followed; only files with
a picture's suffix count, so the notes and scripts that lie in some data sets do not.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # every command imports this, before the study's arithmetic is set
    import numpy as np

# Formats that cannot be read are among them: such a file is listed with the reason, not passed over. SVG is no raster
# format; a picture that was passed over in silence would be taken for one that was judged.
SUFFIXES = (
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpg", ".jxl", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".svg", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip


class DatasetError(ValueError):
    """A data set that cannot be used as it lies there: the message names it, the folder, what is expected."""


class Picture(NamedTuple):
    path: str  # an address (rine.pixels.pictures.containers), posix, relative to the root
    label: int  # 1 = synthetic
    source: str
    category: str  # class folder or ""
    split: str  # train | val | test


class ListedTestSet(NamedTuple):
    generator: str
    family: str
    study: str  # grid | ldm
    real: str  # a source
    fake: str  # a source
    title: str = ""  # for people; a data set of one's own is called by its own name
    released: str = ""  # when its generator was, 2022-08-22; "" where it is not known


class TrainingSource(NamedTuple):
    """A source that has synthetic pictures to learn from."""

    source: str
    family: str
    study: str  # grid | ldm
    released: str = ""  # as of a test set


class Pictures(Sequence[Picture]):
    """Pictures in some fifty bytes each, where tuples take six times as many; each is made when it is asked for."""

    def __init__(self, pictures: Iterable[Picture]) -> None:
        self._paths, self._ends, self._kinds = bytearray(), array("q", [0]), array("l")
        numbers: dict[tuple[Any, ...], int] = {}
        for path, *rest in pictures:
            self._paths += path.encode("utf-8", "surrogateescape")
            self._ends.append(len(self._paths))
            self._kinds.append(numbers.setdefault(tuple(rest), len(numbers)))
        self.kinds = [Picture("", *rest) for rest in numbers]  # of which each picture is one, but for its path

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return tuple(self[each] for each in range(*number.indices(len(self))))
        number = range(len(self))[number]
        path = self._paths[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogateescape")
        return self.kinds[self._kinds[number]]._replace(path=path)

    def paths(self) -> Iterator[str]:
        ends = zip(self._ends, self._ends[1:], strict=False)
        return (self._paths[start:end].decode("utf-8", "surrogateescape") for start, end in ends)

    def numbers(self) -> np.ndarray:
        """Which of `kinds` each picture (n,) is."""
        import numpy as np

        return np.asarray(self._kinds, dtype=np.int32)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Listing:
    """The pictures of one data set and the test sets that they form; all belong to one study."""

    study: str
    pictures: Any  # whatever gives them; `Pictures` afterwards
    test_sets: tuple[ListedTestSet, ...] = ()
    training: tuple[TrainingSource, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)  # by path; see `rine.dataset.told`

    def __post_init__(self) -> None:
        if not isinstance(self.pictures, Pictures):
            object.__setattr__(self, "pictures", Pictures(self.pictures))


def pictures_in(root: Path, folder: str) -> list[str]:
    """Picture files anywhere under `root/folder`, sorted; hidden files are left out."""
    if "://" in str(root):
        from rine.pixels.pictures import system_of  # with NumPy and Pillow

        system, top = system_of(root)
        found = (path.removeprefix(top).lstrip("/") for path in system.find(f"{top}/{folder}"))
        shown = (path for path in found if not any(part.startswith(".") for part in path.split("/")))
        return sorted(path for path in shown if is_picture(path.rsplit("/", 1)[-1]))
    paths: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(root / folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back up: walk it once
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = Path(folder, os.path.relpath(place, root / folder)).as_posix()
        paths += [f"{inner}/{name}" for name in files if is_picture(name)]
    return sorted(paths)


def is_picture(name: str) -> bool:
    """Whether a file of this name is meant to be a picture; only reading it tells whether it is one."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def filled(root: Path, name: str, folder: str) -> list[str]:
    """`pictures_in` for the data set `name`, where a missing or an empty folder is an error."""
    place = root / folder
    if not place.is_dir():
        other = {"0_real": "1_fake", "1_fake": "0_real"}.get(place.name)
        half = f"; there is only {other}: one label only" if other and (place.parent / other).is_dir() else ""
        raise DatasetError(f"data set {name!r}: expected pictures in a folder {place}, it is missing{half}")
    paths = pictures_in(root, folder)
    if not paths:
        raise DatasetError(f"data set {name!r}: {place} is an empty class; expected pictures ({', '.join(SUFFIXES)})")
    return paths


def pair(root: Path, name: str, folder: str, source: str, category: str, split: str) -> list[Picture]:
    """The pictures of `folder/{0_real,1_fake}`; neither may be missing or empty."""
    return [
        Picture(path, label, source, category, split)
        for label, side in enumerate(("0_real", "1_fake"))
        for path in filled(root, name, f"{folder}/{side}")
    ]


def subfolders(root: Path, name: str, folder: str, expected: str) -> list[str]:
    """Sorted names of the folders in `root/folder`; an error says what is `expected` where there are none."""
    place = root / folder
    if not place.is_dir():
        raise DatasetError(f"data set {name!r}: expected a folder {place} with {expected}; it is missing")
    names = sorted(path.name for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise DatasetError(f"data set {name!r}: {place} holds no folders; expected {expected}")
    return names


def named(
    root: Path, name: str, list_file: str, place: Callable[[str], tuple[list[str], str]]
) -> list[tuple[str, str]]:
    """(path, category) of every picture that a list names, one a line; all of them must be there.

    `place` maps a line to the paths at which its picture can lie, and to its category.
    """
    file = root / list_file
    if not file.is_file():
        raise DatasetError(f"data set {name!r}: expected the list of real pictures {file}, it is missing")
    missing, placed = [], []
    lines = dict.fromkeys(line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines())
    for line in filter(None, lines):
        candidates, category = place(line)
        path = next((path for path in candidates if (root / path).is_file()), None)
        if path is None:
            missing.append(f"{line}, expected at {' or '.join(str(root / path) for path in candidates)}")
        else:
            placed.append((path, category))
    if missing:
        raise DatasetError(
            f"data set {name!r}: of the {len(missing) + len(placed)} pictures that {file} names, "
            f"{len(missing)} are missing; the first is {missing[0]}"
        )
    if not placed:
        raise DatasetError(f"data set {name!r}: {file} names no picture; expected one a line")
    return placed
