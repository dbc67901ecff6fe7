"""Where data lie: on this machine, or on a system that fsspec reaches (`s3://bucket/x`), as if it were a folder."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, cast

from rine.pixels.pictures.errors import ContainerError


def place(address: str | PathLike[str]) -> Path:
    """The path of an address; one with a scheme is a `upath.UPath`, which is no `Path` and does what one does.

    Raises `ContainerError` where what reads it is not installed.
    """
    text = str(address)
    if not is_remote(text):
        return Path(text)
    try:
        from upath import UPath

        return cast(Path, UPath(text))
    except (ImportError, ValueError) as error:
        raise ContainerError(
            f"{text} cannot be reached ({error}); such places need: pip install 'rine[remote]'"
        ) from error


def is_remote(address: object) -> bool:
    return "://" in str(address)


def system_of(path: Path) -> tuple[Any, str]:
    """The fsspec file system of a remote path, and the path in it."""
    remote: Any = path
    return remote.fs, remote.path
