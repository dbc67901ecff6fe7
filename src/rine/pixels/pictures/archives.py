"""Members of zip and tar files, read where they lie: nothing is unpacked."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections import Counter
from pathlib import PurePosixPath
from typing import IO
from weakref import finalize

from rine.apart import bounds
from rine.pixels.pictures.errors import ContainerError, message
from rine.pixels.pictures.places import place

_LARGEST_LIST = 256 << 20  # bytes of a file's list of members that memory is asked for
_PARTS = "one that comes in parts (.z01, .z02, ...) is joined by `zip -s 0 parts.zip --out whole.zip`"
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class Zip:
    """An open zip file."""

    def __init__(self, file: str) -> None:
        self._stream = _opened(file)
        finalize(self, self._stream.close)
        try:
            self._file = zipfile.ZipFile(self._stream)
        except _BROKEN as error:
            self._stream.close()
            raise ContainerError(f"no whole zip archive ({message(error)}); {_PARTS}") from error
        if any(each.volume for each in self._file.infolist()):
            self._stream.close()
            raise ContainerError(f"one of several parts of a zip archive; {_PARTS}")
        self._twice = {name for name, n in Counter(self._file.namelist()).items() if n > 1}

    def names(self) -> list[str]:
        return [each.filename for each in self._file.infolist() if not each.is_dir()]

    def read(self, place: str, most: int) -> bytes:
        _refuse(place, self._twice)
        try:
            about = self._file.getinfo(place)
        except KeyError as error:
            raise ContainerError(f"the archive has no {place!r}") from error
        if about.flag_bits & 1:
            raise ContainerError("it is encrypted; allowed: archives that need no password")
        _fits(about.file_size, most)
        try:
            with self._file.open(about) as member:
                return _whole(member.read(about.file_size + 1), about.file_size)
        except _BROKEN as error:
            raise ContainerError(f"cannot be unpacked ({message(error)})") from error

    def close(self) -> None:
        self._stream.close()


class Tar:
    """An open tar file; one that is compressed as a whole cannot be read from the middle, and is refused."""

    def __init__(self, file: str) -> None:
        self._stream = _opened(file)
        finalize(self, self._stream.close)
        try:
            self._file = tarfile.open(fileobj=self._stream, mode="r:")  # noqa: SIM115
            members = [each for each in self._file.getmembers() if each.isfile()]
        except _BROKEN as error:
            self._stream.close()
            raise ContainerError(f"no whole tar archive without compression ({message(error)})") from error
        self._members = {each.name: each for each in members}
        self._twice = {name for name, n in Counter(each.name for each in members).items() if n > 1}

    def names(self) -> list[str]:
        return [*self._members]

    def read(self, place: str, most: int) -> bytes:
        _refuse(place, self._twice)
        if place not in self._members:
            raise ContainerError(f"the archive has no {place!r}")
        about = self._members[place]
        _fits(about.size, most)
        try:
            member = self._file.extractfile(about)
            data = member.read(about.size) if member else b""  # a buffer reserves as much as it is asked for
        except _BROKEN as error:
            raise ContainerError(f"cannot be unpacked ({message(error)})") from error
        return _whole(data, about.size)

    def close(self) -> None:
        self._stream.close()


def _opened(file: str) -> IO[bytes]:
    path = place(file)
    # the list of an archive's members comes into memory whole
    bounds.reserve(0, min(path.stat().st_size, _LARGEST_LIST))
    return path.open("rb")


def _refuse(place: str, twice: set[str]) -> None:
    if place.startswith("/") or ".." in PurePosixPath(place.replace("\\", "/")).parts:
        raise ContainerError("its name leads out of the archive; allowed: names below it")
    if place in twice:
        raise ContainerError("two members of the archive have this name; allowed: one")


def _fits(size: int, most: int) -> None:
    if size > most:
        raise ContainerError(f"it unpacks to {size / 1e6:,.0f} MB; allowed: {most / 1e6:,.0f} MB")
    bounds.reserve(0, size)


def _whole(data: bytes, said: int) -> bytes:
    if len(data) != said:
        raise ContainerError(f"it unpacks to more or less than the {said:,} bytes that it says")
    return data
