"""A command's arguments to a stream of pictures' paths: files, folders, globs, file:// URLs, lists of them."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

from rine.dataset.listing import is_picture


@dataclass(frozen=True)
class Found:
    """A path as the row names it, and why it cannot be tried where that is already known."""

    path: str
    error: str | None = None


def find(arguments: Iterable[str], listing: TextIO | None = None) -> Iterator[Found]:
    """Yield every picture that the arguments name, in their order and folders in sorted order.

    `-` stands for the lines of `listing`, one argument a line. Nothing is read but directories, and nothing raises: an
    argument that leads nowhere is one `Found` with the reason. Hidden files and folders inside a folder are passed
    over, and links to folders are not followed, so that no walk leaves the folder that was named or goes in circles.
    """
    for argument in arguments:
        if argument == "-" and listing is not None:
            lines = (line.rstrip("\r\n") for line in listing)
            yield from find((line for line in lines if line), None)
        else:
            yield from _one(argument)


def _one(argument: str) -> Iterator[Found]:
    path = argument
    if "://" in argument:
        try:
            path = local_path(argument)
        except ValueError as error:
            yield Found(argument, str(error))
            return
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  names are kept as given, and a Path would drop "./" and "//"
    except (OSError, ValueError) as error:
        if glob.has_magic(path) and "\0" not in path:
            yield from _pattern(path)
        elif _is_inside(path):
            yield Found(path)
        else:
            yield Found(path, reason(error))
        return
    yield from _folder(path) if stat.S_ISDIR(mode) else [_file(path, mode)]


def _is_inside(path: str) -> bool:
    """Whether this is the address of a picture in an archive or a table that is there."""
    from rine.pixels.pictures import split  # with NumPy and Pillow

    file = "" if "\0" in path else split(path)[0]
    return file not in {"", path} and Path(file).is_file()


def _file(path: str, mode: int) -> Found:
    # a pipe or a device would block or never end
    return Found(path, None if stat.S_ISREG(mode) else "not a regular file")


def local_path(url: str) -> str:
    """Path of a file:// URL; raises `ValueError` for any other URL: nothing here fetches from a network."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "file":
        raise ValueError(f"an address of {parts.scheme}://: only file:// is read, download the picture first")
    if parts.netloc.lower() not in {"", "localhost"}:
        raise ValueError(f"a file on another machine ({parts.netloc}): only local files are read")
    return unquote(parts.path, errors="surrogateescape")


def _pattern(pattern: str) -> Iterator[Found]:
    """Expand a glob in sorted order; folders that it matches are walked, as if they had been named."""
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  keeps names as given
    if not matches:
        yield Found(pattern, "no file matches this pattern")
    for match in matches:
        try:
            mode = os.stat(match).st_mode  # noqa: PTH116
        except OSError as error:
            yield Found(match, reason(error))
            continue
        if not stat.S_ISDIR(mode):
            yield _file(match, mode)
        elif "**" not in pattern:
            yield from _folder(match)
        elif is_picture(Path(match).name):  # `**` matches what lies in a folder too: walking it would judge files twice
            yield Found(match, "a folder, not a picture")


def reason(error: Exception) -> str:
    """One line of plain words for why a path could not be reached."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


def _folder(root: str) -> Iterator[Found]:
    """Every picture in a folder and the folders in it; one that holds none is one row, so that it is not missed."""
    empty = True
    errors: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=errors.append):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        pictures = sorted(n for n in names if is_picture(n))
        for name in pictures:
            empty = False
            yield Found(os.path.join(folder, name))  # noqa: PTH118
        if folder != root and not names and not subfolders and is_picture(Path(folder).name):
            empty = False
            yield Found(folder, "a folder, not a picture")
        while errors:
            empty = False
            error = errors.pop()
            yield Found(str(error.filename), f"folder: {reason(error)}")
    for error in errors:
        empty = False
        yield Found(str(error.filename), f"folder: {reason(error)}")
    if empty:
        yield Found(root, "a folder with no pictures in it")
