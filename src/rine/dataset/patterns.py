"""Patterns to addresses: globs that may lead into archives, and folders whose names say something, `{generator}`."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from rine.dataset.listing import DatasetError, is_picture, pictures_in
from rine.pixels.pictures import ContainerError, is_remote, members, system_of

FIELDS = ("generator", "label", "category")  # what a folder's name can say
_ARCHIVE = re.compile(r"(.+?\.(?:zip|tar))!(.+)", re.IGNORECASE)
_TOKEN = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?[^]]+\]|\{\w*\})")
_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def files(root: Path, pattern: str) -> list[str]:
    """Files and folders that a glob matches, relative to the root (an absolute one: absolute)."""
    if is_remote(root):
        system, top = system_of(root)
        return [path.removeprefix(top).lstrip("/") for path in system.glob(f"{top}/{pattern}")]
    # not Path.glob: it refuses absolute patterns, and before Python 3.13 `**` does not follow links
    return glob.glob(pattern, root_dir=root, recursive=True)  # noqa: PTH207


def find(root: Path, pattern: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Addresses of the pictures that a pattern matches, or that lie in a folder that it matches, and its fields.

    Raises `DatasetError` for an archive that is none, and for a field that there is not.
    """
    if "{" not in pattern and "!" not in pattern:
        yield from ((address, {}) for address in _candidates(root, pattern))
        return
    pattern = PurePosixPath(pattern).as_posix()  # "./a//b" finds "a/b"
    matches = matcher(pattern)
    for address in _candidates(root, pattern):
        if found := matches.fullmatch(address):
            yield address, found.groupdict()


def matcher(pattern: str) -> re.Pattern[str]:
    """What matches a pattern's files, and all that lies below a folder that it matches; fields are named groups."""
    parts, seen = [], set()
    for token in _TOKEN.split(pattern):
        if token in _WILD:
            parts.append(_WILD[token])
        elif re.fullmatch(r"\{\w*\}", token):
            field = token[1:-1]
            if field not in FIELDS:
                raise DatasetError(f"{pattern!r}: {token} is none of {', '.join(f'{{{each}}}' for each in FIELDS)}")
            parts.append(f"(?P={field})" if field in seen else f"(?P<{field}>[^/]+?)")
            seen.add(field)
        elif token.startswith("[") and len(token) > 2:
            parts.append("[^" + token[2:] if token[1] == "!" else token)
        else:
            parts.append(re.escape(token))
    return re.compile("".join(parts).removesuffix("/") + "(?:/.*)?", re.DOTALL)


def plain(pattern: str) -> str:
    """The glob of a pattern with fields."""
    return re.sub(r"\{\w*\}", "*", pattern)


def _candidates(root: Path, pattern: str) -> Iterator[str]:
    inside = _ARCHIVE.fullmatch(pattern)
    if inside:
        for archive in sorted(files(root, plain(inside[1]))):
            yield from (f"{archive}!{name}" for name in sorted(names_in(root / archive)) if _is_shown(name))
        return
    for match in sorted(map(Path, files(root, plain(pattern)))):
        if (root / match).is_dir():  # a pattern that ends at a folder means everything in it
            yield from pictures_in(root, match.as_posix())
        elif is_picture(match.name):
            yield match.as_posix()


def names_in(archive: Path) -> frozenset[str]:
    """Names of the files in an archive; raises `DatasetError` for one that is none."""
    about = archive.stat()
    return _names_in(archive, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4)
def _names_in(archive: Path, size: int, changed: int) -> frozenset[str]:
    try:
        return frozenset(members(archive))
    except (ContainerError, OSError) as error:
        raise DatasetError(f"{archive}: {error}") from error


def _is_shown(name: str) -> bool:
    """Whether a member of an archive is a picture; hidden ones are left out, as in folders."""
    *folders, last = (part for part in name.split("/") if part not in {".", ".."})
    return is_picture(last) and not any(part.startswith((".", "__MACOSX")) for part in folders)
